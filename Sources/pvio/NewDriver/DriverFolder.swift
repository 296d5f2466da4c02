import DriverCommands
import Foundation

/// A package that drivers are added to: pvio's own sources, or somebody's package that depends on them.
struct DriverFolder {
  let root: URL
  /// Where the command's list of drivers is.
  let listPath: String

  /// The package in `path`. Throws a line that says what is missing.
  init(_ path: String) throws {
    let root = URL(fileURLWithPath: path, isDirectory: true)
    let lists = ["Sources/pvio/Drivers.swift", "Sources/Program/Program.swift"]
    guard let list = lists.first(where: { FileManager.default.fileExists(atPath: root.appendingPathComponent($0).path) }) else {
      throw CommandFailure("\(path) has neither \(lists[0]) nor \(lists[1]): run this in pvio's sources, or make a package with --package DIR")
    }
    self.root = root
    listPath = list
  }

  func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: root.appendingPathComponent(path).path) }

  /// What the manifest calls the package; nil where that is not seen at a glance.
  var packageName: String? {
    guard let text = try? String(contentsOf: root.appendingPathComponent("Package.swift"), encoding: .utf8) else { return nil }
    return Self.packageName(in: text)
  }

  static func packageName(in manifest: String) -> String? {
    guard let start = manifest.range(of: "Package(\n  name: \"")?.upperBound, let end = manifest[start...].firstIndex(of: "\"") else { return nil }
    return String(manifest[start..<end])
  }

  /// Writes files that are not there yet; their folders are made.
  static func write(_ files: [(path: String, content: String)], to root: URL) throws {
    for (path, content) in files {
      let file = root.appendingPathComponent(path)
      guard !FileManager.default.fileExists(atPath: file.path) else { throw CommandFailure("\(file.path) is there already") }
      do {
        try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(content.utf8).write(to: file)
      } catch {
        throw CommandFailure("cannot write \(file.path): \(error.localizedDescription)")
      }
      print("  \(path)")
    }
  }

  /// Adds a driver to the two lists: a word for the package manager, a line for the command.
  func register(_ name: DriverName) throws {
    try change("Package.swift") { Self.adding("  \"\(name.prefix)\",", after: { $0.hasPrefix("let drivers") && $0.hasSuffix("[") }, to: $0) }
    try change(listPath) { text in
      guard let listed = Self.addingToList("    .\(name.constant),", to: text) else { return nil }
      return Self.adding("import \(name.prefix)Driver", after: { $0 == "import DriverCommands" }, to: listed)
    }
  }

  private func change(_ path: String, _ change: (String) -> String?) throws {
    let file = root.appendingPathComponent(path)
    guard let text = try? String(contentsOf: file, encoding: .utf8), let changed = change(text) else {
      throw CommandFailure("\(file.path) has no list of drivers where this looks for it: add the driver by hand")
    }
    do { try Data(changed.utf8).write(to: file) } catch { throw CommandFailure("cannot write \(file.path): \(error.localizedDescription)") }
    print("  \(path) (one line)")
  }

  /// `text` with `line` behind the first one that is an anchor.
  static func adding(_ line: String, after isAnchor: (String) -> Bool, to text: String) -> String? {
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    guard let index = lines.firstIndex(where: isAnchor) else { return nil }
    lines.insert(line, at: index + 1)
    return lines.joined(separator: "\n")
  }

  /// `text` with `line` at the end of its list of registrations.
  static func addingToList(_ line: String, to text: String) -> String? {
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    guard let start = lines.firstIndex(where: { $0.contains(": [DriverRegistration] = [") }),
      let end = lines[start...].firstIndex(where: { $0.trimmingCharacters(in: .whitespaces) == "]" })
    else { return nil }
    lines.insert(line, at: end)
    return lines.joined(separator: "\n")
  }
}
