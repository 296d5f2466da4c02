/// The files of a package of drivers that depends on pvio.
struct DriverPackageTemplate {
  /// Of the package and its command: the folder's name.
  let name: String
  /// Where pvio is: a path or a URL.
  let origin: String

  private var dependency: String {
    origin.contains("://") ? ".package(url: \"\(origin)\", branch: \"main\")" : ".package(path: \"\(origin)\")"
  }

  /// The package's identity, as SwiftPM derives it.
  private var identity: String {
    let last = origin.split(separator: "/").last.map(String.init) ?? "pvio"
    return (last.hasSuffix(".git") ? String(last.dropLast(4)) : last).lowercased()
  }

  /// The type of the command: letters and digits of the name.
  private var type: String {
    let words = name.split { !$0.isLetter && !$0.isNumber }.map { $0.prefix(1).uppercased() + $0.dropFirst() }
    return words.joined() + "Program"
  }

  var files: [(path: String, content: String)] {
    [("Package.swift", manifest), ("Sources/Program/Program.swift", program), (".gitignore", ".build/\n")]
  }

  private var manifest: String {
    """
    // swift-tools-version: 6.2
    import PackageDescription

    let strict: [SwiftSetting] = [
      .strictMemorySafety(),
      .treatAllWarnings(as: .error),
      .enableUpcomingFeature("ExistentialAny"),
      .enableUpcomingFeature("InternalImportsByDefault"),
      .enableUpcomingFeature("MemberImportVisibility"),
    ]
    let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

    func pvio(_ names: String...) -> [Target.Dependency] { names.map { .product(name: $0, package: "\(identity)") } }

    func driver(_ name: String) -> Target {
      .target(
        name: "\\(name)Driver",
        dependencies: pvio("DriverCommands", "PVDriver", "Xenbus", "EventLoop", "SharedMemory", "LinuxSystem", "XenInterface") + [argumentParser],
        path: "Sources/Devices/\\(name)", swiftSettings: strict)
    }

    func driverTests(_ name: String) -> Target {
      .testTarget(
        name: "\\(name)Tests", dependencies: pvio("DriverTestSupport", "PVDriver", "XenInterface") + [.target(name: "\\(name)Driver")],
        swiftSettings: strict)
    }

    /// The drivers of this package, each a word. Sources/Program/Program.swift has the same list for the command.
    let drivers: [String] = [
    ]

    let package = Package(
      name: "\(name)",
      dependencies: [\(dependency), .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")],
      targets: drivers.map(driver) + drivers.map(driverTests) + [
        .executableTarget(
          name: "\(name)", dependencies: pvio("DriverCommands", "PVDriver") + [argumentParser] + drivers.map { .target(name: "\\($0)Driver") },
          path: "Sources/Program", swiftSettings: strict)
      ],
      swiftLanguageModes: [.v6]
    )

    """
  }

  private var program: String {
    """
    import ArgumentParser
    import DriverCommands

    @main struct \(type): DriverProgram {
      static let drivers: [DriverRegistration] = [
      ]
    }

    """
  }
}
