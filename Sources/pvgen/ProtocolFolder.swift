import Foundation

/// The `Protocols/` folder of a package.
struct ProtocolFolder {
  /// The package root, which output paths are relative to.
  let root: URL

  /// Loads and validates every protocol, in order of name.
  func load() throws -> [ProtocolDescription] {
    let folder = root.appendingPathComponent("Protocols")
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    var descriptions: [ProtocolDescription] = []
    for name in names {
      let path = "Protocols/\(name)/protocol.yaml"
      let file = root.appendingPathComponent(path)
      guard FileManager.default.fileExists(atPath: file.path) else { continue }
      let text = try String(contentsOf: file, encoding: .utf8)
      let description = try ProtocolLoader(file: path).load(text)
      guard description.name == name else {
        throw InvalidProtocol(description.location, "protocol is '\(description.name)', but its folder is '\(name)'")
      }
      descriptions.append(description)
    }
    try Validator(descriptions).check()
    return descriptions
  }

  /// Writes the outputs that differ and removes leftovers; returns what was changed.
  func write(_ outputs: Outputs) throws -> [String] {
    let stale = try staleFiles(outputs)
    for path in stale {
      let file = root.appendingPathComponent(path)
      if let content = outputs.files.first(where: { $0.path == path })?.content {
        try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(content.utf8).write(to: file)
      } else {
        try FileManager.default.removeItem(at: file)
      }
    }
    return stale
  }

  /// Paths whose file is missing, differs, or should not be there.
  func staleFiles(_ outputs: Outputs) throws -> [String] {
    var stale: [String] = []
    for (path, content) in outputs.files {
      let present = try? Data(contentsOf: root.appendingPathComponent(path))
      if present != Data(content.utf8) { stale.append(path) }
    }
    let wanted = Set(outputs.files.map(\.path))
    for folder in outputs.ownedFolders {
      let found = FileManager.default.enumerator(atPath: root.appendingPathComponent(folder).path)
      while let name = found?.nextObject() as? String {
        let path = folder + "/" + name
        var isFolder: ObjCBool = false
        // SAFETY: the flag is a local variable, written before the call returns.
        let exists = unsafe FileManager.default.fileExists(atPath: root.appendingPathComponent(path).path, isDirectory: &isFolder)
        if exists && !isFolder.boolValue && !wanted.contains(path) { stale.append(path) }
      }
    }
    return stale.sorted()
  }
}
