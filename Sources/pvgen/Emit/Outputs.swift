/// Every file that pvgen writes: path below the package root, and content.
struct Outputs {
  /// Sorted by path.
  let files: [(path: String, content: String)]

  /// Folders that hold generated files only: anything else in there is stale.
  let ownedFolders: [String]

  init(_ descriptions: [ProtocolDescription]) {
    let modules = Set(descriptions.map(\.module))
    let drivers = descriptions.filter { $0.driver != nil }
    ownedFolders = modules.map(\.folder).sorted() + ["Protocols/generated", "Tests/XenInterfaceTests/Generated"]
      + drivers.map { DriverTests.folder(of: $0) }
    var files: [String: String] = [:]
    for description in descriptions { files.merge(Outputs.swift(description)) { first, _ in first } }
    files["Protocols/generated/pvio_abi.h"] = CMirrorHeader(descriptions: descriptions).file()
    files["Protocols/generated/abi_check.c"] = CABICheck(descriptions: descriptions).file()
    files["Protocols/generated/vectors_check.c"] = CVectorsCheck(descriptions: descriptions).file()
    // A package of drivers has only those, whose tests bring their vectors along.
    let shared = descriptions.filter { !$0.module.isDevice }
    if !shared.isEmpty { files["Tests/XenInterfaceTests/Generated/VectorTables.swift"] = SwiftVectorTables(descriptions: shared).file() }
    for description in drivers {
      guard let driver = description.driver else { continue }
      files.merge(SwiftDriver(description: description, driver: driver).files()) { first, _ in first }
      files.merge(DriverTests(description: description, driver: driver).files()) { first, _ in first }
      files["Protocols/generated/\(DriverHeader.path(of: description))"] = DriverHeader(description: description, driver: driver).file()
    }
    for description in descriptions { files["Protocols/\(description.name)/README.md"] = MarkdownPage(description: description).file() }
    self.files = files.sorted { $0.key < $1.key }.map { (path: $0.key, content: $0.value) }
  }

  private static func swift(_ description: ProtocolDescription) -> [String: String] {
    let folder = description.swiftFolder
    let constants = SwiftConstants(description: description)
    var files: [String: String] = [:]
    for group in description.constants { files[folder + group.name + ".swift"] = constants.constantGroup(group) }
    for entry in description.enumerations { files[folder + entry.name + ".swift"] = constants.enumeration(entry) }
    for entry in description.flags { files[folder + entry.name + ".swift"] = constants.flagSet(entry) }
    for entry in description.strings { files[folder + entry.name + ".swift"] = constants.stringGroup(entry) }
    for entry in description.layouts { files[folder + entry.name + ".swift"] = constants.sharedLayout(entry) }
    for record in description.records {
      for abi in record.distinctABIs {
        files[folder + record.swiftName(abi) + ".swift"] = SwiftRecord(layout: WordLayout(record, abi, description)).file()
      }
    }
    if let keys = description.keys { files[folder + keys.name + ".swift"] = SwiftKeys(description: description, group: keys).file() }
    return files
  }
}
