import Foundation

/// Files of the package that tests read.
enum PackageFiles {
  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  static let generatedC = root.appendingPathComponent("Protocols/generated")

  /// Every golden vector file.
  static func vectorFiles() throws -> [URL] {
    let folder = root.appendingPathComponent("Protocols")
    return try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
      .map { folder.appendingPathComponent($0).appendingPathComponent("vectors.txt") }
      .filter { FileManager.default.fileExists(atPath: $0.path) }
  }
}
