import Testing

/// What source files import, against what their targets declare.
@Suite struct ImportTests {
  static let targets = Manifest.package.targets.filter { $0.kind != .systemLibrary }

  /// Modules that come with the toolchain, and what may use them.
  static func mayImportSystemModule(_ module: String, _ target: Manifest.Target) -> Bool {
    switch module {
    case "Synchronization": true
    case "Glibc", "Dispatch": !pureTargets.contains(target.name)
    // Large, and slow where it matters; the life cycle takes the time of day from it.
    case "Foundation": target.isForTests || target.kind == .command || ["Xenbus", "DriverCommands", "DriverTestSupport", "TestSupport"].contains(target.name)
    case "Testing": target.isForTests
    default: false
    }
  }

  /// No system calls: the same input gives the same output.
  static let pureTargets: Set = ["XenInterface", "VirtioInterface", "XenStoreWire", "XenStoreMigration", "XenStoreCore", "SharedRing"]

  @Test func importsAreFoundWhateverStandsBeforeThem() {
    let lines = [
      "import A", "public import B", "@testable import C", "  internal import struct D.Inner", "@preconcurrency public import E",
      "// import F", "let important = 1", "importing()", "let script = \"\"\"", "import socket, time", "\"\"\"",
    ]
    let file = Repository.File(path: "", text: lines.joined(separator: "\n"))
    #expect(file.imports.map(\.module) == ["A", "B", "C", "D", "E"])
  }

  @Test(arguments: targets) func aTargetImportsOnlyWhatItDeclares(target: Manifest.Target) {
    let files = Repository.swiftFiles(under: target.path)
    #expect(!files.isEmpty || target.name == "CLinuxShims", "\(target) has no Swift files in \(target.path)")
    let declared = Set(target.dependencies)
    for file in files {
      for (line, module) in file.imports where !declared.contains(module) && !Self.mayImportSystemModule(module, target) {
        Issue.record("\(file):\(line): \(target) does not declare \(module), or may not use it")
      }
    }
  }

  @Test func onlyTheCommandNamesAConcretePlatform() {
    let platforms: Set = ["ProcessPlatform", "Broker", "BrokerWire", "SimulatedPlatform"]
    // Commands, what commands are made of, and what tests of drivers are made of.
    let namers: Set = ["pvio", "DriverCommands", "DriverTestSupport"]
    for target in Self.targets where !target.isForTests && !platforms.contains(target.name) && !namers.contains(target.name) {
      for file in Repository.swiftFiles(under: target.path) {
        for (line, module) in file.imports where platforms.contains(module) {
          Issue.record("\(file):\(line): \(target) imports the platform \(module); it takes a XenPlatform as a value")
        }
      }
    }
  }

  @Test func oneKindOfDeviceDoesNotKnowAnother() {
    let parts = Self.targets.filter { $0.path.hasPrefix("Sources/Devices/") }
    #expect(!parts.isEmpty)
    func kind(_ target: Manifest.Target) -> Substring { target.path.split(separator: "/")[2] }
    let kinds = Dictionary(uniqueKeysWithValues: parts.map { ($0.name, kind($0)) })
    for part in parts {
      for file in Repository.swiftFiles(under: part.path) {
        for (line, module) in file.imports {
          if let other = kinds[module], other != kind(part) { Issue.record("\(file):\(line): a \(kind(part)) device imports \(module)") }
        }
      }
    }
  }

  @Test func theTwoEndsOfADeviceDoNotKnowEachOther() {
    for target in Self.targets where target.path.hasPrefix("Sources/Devices/") {
      let otherEnd = target.path.hasSuffix("/Back") ? "Front" : target.path.hasSuffix("/Front") ? "Back" : nil
      guard let otherEnd else { continue }
      for dependency in target.dependencies { #expect(!dependency.hasSuffix(otherEnd), "\(target) depends on \(dependency)") }
    }
  }
}

extension Repository.File {
  /// Modules that the file imports, with the number of the line.
  var imports: [(line: Int, module: String)] {
    // What stands in a text of several lines may be another language's.
    var isText = false
    return code.compactMap { number, text in
      if text.matches(of: /"""/).count == 1 { isText.toggle() }
      if isText { return nil }
      var words = text.split(whereSeparator: \.isWhitespace)[...]
      while let word = words.first, word.hasPrefix("@") || ["public", "package", "internal", "private", "fileprivate"].contains(word) {
        words = words.dropFirst()
      }
      guard words.popFirst() == "import" else { return nil }
      if let kind = words.first, ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias"].contains(kind) {
        words = words.dropFirst()
      }
      return words.first.map { (number, String($0.prefix { $0 != "." })) }
    }
  }
}
