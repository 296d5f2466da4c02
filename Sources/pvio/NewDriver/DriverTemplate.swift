/// The files of a new driver: small, and working as they are. It adds one to a number, until its author writes something else.
struct DriverTemplate {
  let name: DriverName

  /// The author's files: path below the package, and content.
  var files: [(path: String, content: String)] {
    [
      ("Protocols/\(name.name)/protocol.yaml", protocolFile), ("Sources/Devices/\(name.prefix)/Engine/\(name.prefix)Engine.swift", engine),
      ("Sources/Devices/\(name.prefix)/Front/\(name.prefix)Command.swift", command),
      ("Tests/\(name.prefix)Tests/\(name.prefix)Tests.swift", test),
    ]
  }

  private var protocolFile: String {
    """
    protocol: \(name.name)
    title: \(name.prefix)
    summary: What the device does, in a sentence.
    driver:
      request:
        - {name: number, type: u32, doc: A number}
      response:
        - {name: answer, type: u32, doc: The number and one}

    """
  }

  private var engine: String {
    """
    public import PVDriver
    import XenInterface

    /// What the back-end does with a request.
    public final class \(name.prefix)Engine: RequestRingEngine {
      public typealias Interface = \(name.prefix)Interface
      public init(_ setup: EngineSetup) {}

      public func handle(_ request: \(name.prefix)Request, _ data: GrantedBytes) -> \(name.prefix)Response {
        var response = \(name.prefix)Response(.okay)
        response.answer = request.number &+ 1
        return response
      }
    }

    """
  }

  private var command: String {
    """
    public import ArgumentParser
    public import DriverCommands
    import PVDriver

    /// Uses a device of this kind from the command line.
    public struct \(name.prefix)Command: AsyncParsableCommand {
      public static let configuration = CommandConfiguration(commandName: "\(name.kind)", abstract: "Ask a domain's \(name.kind) device.")
      @OptionGroup var device: FrontendOptions
      @Option(help: "A number.") var number: UInt32 = 1
      public init() {}

      public func run() async throws {
        var request = \(name.prefix)Request()
        request.number = number
        try await device.use(\(name.prefix)Interface.self) { client in
          print(try await client.call(request).response.answer)
        }
      }
    }

    extension DriverRegistration {
      /// What the device does, in a few words.
      public static let \(name.constant) = DriverRegistration(engine: \(name.prefix)Engine.self, commands: [\(name.prefix)Command.self])
    }

    """
  }

  private var test: String {
    """
    import DriverTestSupport
    import PVDriver
    import Testing
    import XenInterface
    import \(name.prefix)Driver

    @Suite struct \(name.prefix)Tests {
      @Test func aCallIsAnswered() async throws {
        let pair = try await DriverPair<\(name.prefix)Engine>()
        try await pair.startBackend()
        var request = \(name.prefix)Request()
        request.number = 41
        #expect(try await pair.client.call(request).response.answer == 42)
        #expect(await pair.finish() == "")
      }
    }

    """
  }
}

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
