import Testing

/// `Package.swift` against the layer table of `docs/architecture.md`.
@Suite struct LayerTests {
  let manifest = Manifest.package
  let table = LayerTable.documented
  var layered: [Manifest.Target] { manifest.targets.filter { !$0.isForTests } }

  /// The rows that the targets should have: all drivers are one row.
  var rows: [String] {
    layered.map(row).reduce(into: []) { rows, row in if rows.last != row { rows.append(row) } }
  }
  func row(_ target: Manifest.Target) -> String { target.isDriver ? "NAMEDriver" : target.name }

  @Test func theManifestAndTheTableAreReadable() {
    #expect(layered.count > 20)
    #expect(table.rows.count > 20)
    #expect(manifest.products.contains("SystemPackage"))
    // A target of each form of declaration, with what it depends on.
    let dependencies = Dictionary(manifest.targets.map { ($0.name, $0.dependencies) }) { first, _ in first }
    #expect(dependencies["CLiburing"] == [])
    #expect(dependencies["XenStoreWire"] == ["XenInterface"])
    #expect(dependencies["pvgen"] == ["Yams", "ArgumentParser"])
    #expect(dependencies["ArchitectureTests"] == [])
  }

  @Test func theTableHasEveryTargetInTheManifestsOrder() {
    #expect(table.rows.map(\.target) == rows)
    for row in table.rows { #expect(!row.summary.isEmpty, "\(row.target) has no line that says what it is") }
  }

  @Test func layersGrowFromTopToBottom() {
    let layers = table.rows.map { Int($0.layer) ?? -1 }
    #expect(!layers.contains(-1), "a layer is a number")
    #expect(layers == layers.sorted())
  }

  @Test func aTargetDependsOnlyOnRowsAboveItsOwn() {
    for target in layered {
      let drivers = layered.filter(\.isDriver).map(\.name)
      let rows = table.rows.prefix { $0.target != row(target) }.map(\.target)
      let above = Set(rows).union(rows.contains("NAMEDriver") ? drivers : []).union(manifest.products)
      for dependency in target.dependencies where !above.contains(dependency) {
        Issue.record("\(target) depends on \(dependency), which is not in a row above it")
      }
    }
  }

  @Test func nothingDependsOnTests() {
    let testsOnly = Set(manifest.targets.filter(\.isForTests).map(\.name))
    for target in layered { #expect(testsOnly.isDisjoint(with: target.dependencies), "\(target)") }
  }

  @Test func everySwiftTargetHasTheStrictSettings() {
    for target in manifest.targets where !["CLinuxShims", "CLiburing"].contains(target.name) {
      #expect(target.isStrict, "\(target) is not built with the strict settings")
    }
  }

  @Test func everyFolderOfSourcesBelongsToOneTarget() {
    let paths = manifest.targets.map(\.path)
    #expect(Set(paths).count == paths.count)
    for file in Repository.swiftFiles(under: "Sources") + Repository.swiftFiles(under: "Tests") {
      #expect(paths.contains { file.path.hasPrefix($0 + "/") }, "\(file) belongs to no target")
    }
  }
}
