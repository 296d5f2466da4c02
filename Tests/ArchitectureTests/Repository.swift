import Foundation

/// The files of this repository, as a checkout has them.
enum Repository {
  /// The folder that holds `Package.swift`.
  static let root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// A text file of the repository.
  struct File: Sendable, CustomStringConvertible {
    /// Relative to the repository's root.
    let path: String
    let text: String
    var description: String { path }
    var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }
  }

  /// Every text file but those that git ignores, in order of path.
  static let files: [File] = {
    var files: [File] = []
    for top in names(in: "").sorted() where !isIgnored(top) {
      let below = FileManager.default.enumerator(atPath: root.appendingPathComponent(top).path)
      let paths = [top] + (below?.compactMap { $0 as? String } ?? []).sorted().map { "\(top)/\($0)" }
      for path in paths where !path.hasSuffix(".trail") {
        guard let data = FileManager.default.contents(atPath: root.appendingPathComponent(path).path) else { continue }
        if let text = String(data: data, encoding: .utf8) { files.append(File(path: path, text: text)) }
      }
    }
    return files
  }()

  /// What is directly in a folder.
  static func names(in folder: String) -> [String] {
    (try? FileManager.default.contentsOfDirectory(atPath: root.appendingPathComponent(folder).path)) ?? []
  }

  /// The Swift files under one folder.
  static func swiftFiles(under folder: String) -> [File] {
    files.filter { $0.path.hasPrefix(folder + "/") && $0.path.hasSuffix(".swift") }
  }

  static func text(of path: String) throws -> String { try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8) }

  /// Whether a file or folder is there.
  static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: root.appendingPathComponent(path).path) }

  /// Build products and tools' own folders: what `.gitignore` lists, and hidden names other than `.ci` and `.gitignore`.
  private static func isIgnored(_ name: String) -> Bool {
    if name == "dist" || name == "Package.resolved" || name.hasPrefix("pan") { return true }
    return name.hasPrefix(".") && name != ".ci" && name != ".gitignore"
  }
}

extension Repository.File {
  /// The lines without what follows `//`, numbered from 1. Good enough to look for words; a `//` inside a text cuts a line short
  /// unless it belongs to a URL.
  var code: [(number: Int, text: Substring)] {
    lines.enumerated().map { index, line in
      var searched = line.startIndex..<line.endIndex
      while let slashes = line.range(of: "//", range: searched) {
        if slashes.lowerBound == line.startIndex || line[line.index(before: slashes.lowerBound)] != ":" {
          return (index + 1, line[..<slashes.lowerBound])
        }
        searched = slashes.upperBound..<line.endIndex
      }
      return (index + 1, line)
    }
  }
}
