// swift-tools-version: 6.2
import PackageDescription

// Reading this list from top to bottom is reading the layer table of docs/architecture.md: a target imports only
// from the rows above its own. `Tests/ArchitectureTests` holds this manifest against that table, and the build
// runs with `--explicit-target-dependency-import-check error`.

/// Language features of every Swift target: strict memory safety is an error, existentials are spelled out,
/// imports are internal and explicit.
let strict: [SwiftSetting] = [
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let system: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")

func layer(_ name: String, _ dependencies: [Target.Dependency], path: String? = nil) -> Target {
  .target(name: name, dependencies: dependencies, path: path, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
  .testTarget(name: name, dependencies: dependencies, resources: resources, swiftSettings: strict)
}

/// A driver: its protocol file, and what Sources/Devices/NAME has beside the code that is generated from it.
func driver(_ name: String) -> Target {
  layer(
    "\(name)Driver",
    [
      "DriverCommands", "PVDriver", "Xenbus", "XenStoreClient", "EventLoop", "XenPlatform", "SharedRing", "SharedMemory", "LinuxSystem",
      "XenInterface", argumentParser, system, logging,
    ],
    path: "Sources/Devices/\(name)")
}

func driverTests(_ name: String) -> Target {
  tests("\(name)Tests", [
      .target(name: "\(name)Driver"), "DriverTestSupport", "PVDriver", "Xenbus", "SimulatedPlatform", "XenStoreClient", "EventLoop", "XenPlatform",
      "SharedRing", "SharedMemory", "LinuxSystem", "XenInterface", logging,
    ])
}

/// The drivers of this package, each a word. Sources/pvio/Drivers.swift has the same list for the command.
let drivers = [
  "Keyboard",
  "Entropy",
]

let package = Package(
  name: "pvio",
  products: [
    .executable(name: "pvio", targets: ["pvio"]),
    .library(name: "XenInterface", targets: ["XenInterface"]),
    .library(name: "SharedRing", targets: ["SharedRing"]),
    .library(name: "XenStoreClient", targets: ["XenStoreClient"]),
    .library(name: "PVDriver", targets: ["PVDriver"]),
    // For drivers in packages of their own.
    .library(name: "DriverCommands", targets: ["DriverCommands"]),
    .library(name: "DriverTestSupport", targets: ["DriverTestSupport"]),
    .library(name: "Xenbus", targets: ["Xenbus"]),
    .library(name: "EventLoop", targets: ["EventLoop"]),
    .library(name: "SharedMemory", targets: ["SharedMemory"]),
    .library(name: "LinuxSystem", targets: ["LinuxSystem"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    // 0: C
    .target(name: "CLinuxShims"),
    .systemLibrary(name: "CLiburing", pkgConfig: "liburing", providers: [.apt(["liburing-dev"])]),

    // 1: pure and primitive
    layer("XenInterface", []),
    layer("VirtioInterface", ["XenInterface"]),
    layer("LinuxSystem", ["CLinuxShims", system]),
    layer("SharedMemory", ["CLinuxShims", "LinuxSystem", "XenInterface", system]),

    // 2: mechanisms
    layer("SharedRing", ["SharedMemory", "XenInterface"]),
    layer("VirtioRing", ["CLinuxShims", "VirtioInterface", "SharedMemory"]),
    layer("XenStoreWire", ["XenInterface"]),
    layer("XenStoreRing", ["SharedRing", "SharedMemory", "XenInterface"]),
    layer("XenStoreMigration", ["XenStoreWire", "XenInterface"]),
    layer("XenStoreCore", ["XenStoreMigration", "XenStoreWire", "SharedMemory", "XenInterface"]),
    layer("XenPlatform", ["SharedMemory", "LinuxSystem", "XenInterface", system]),
    layer("Uring", ["CLiburing", "CLinuxShims", "LinuxSystem", system]),
    layer("TestSupport", ["LinuxSystem", system, logging]),

    // 3: loops, store, life cycle, platforms
    layer(
      "EventLoop", ["Uring", "XenPlatform", "SharedRing", "SharedMemory", "LinuxSystem", "CLinuxShims", "XenInterface", system]),
    layer("XenStoreClient", ["XenStoreRing", "XenStoreWire", "XenPlatform", "SharedRing", "SharedMemory", "XenInterface", "LinuxSystem", system]),
    layer("XenStoreLog", ["XenStoreCore", "XenStoreWire", "LinuxSystem", "XenInterface", system]),
    layer(
      "XenStoreServer",
      [
        "XenStoreLog", "XenStoreRing", "XenStoreCore", "XenStoreMigration", "XenStoreWire", "EventLoop", "XenPlatform", "SharedRing", "SharedMemory",
        "LinuxSystem", "XenInterface", system, logging,
      ]),
    layer("Xenbus", ["XenStoreClient", "XenStoreWire", "XenInterface", logging]),
    layer("BrokerWire", ["XenInterface", "LinuxSystem", system]),
    layer("ProcessPlatform", ["BrokerWire", "XenPlatform", "SharedMemory", "LinuxSystem", "XenInterface", system]),
    layer("XenHostPlatform", ["XenPlatform", "SharedMemory", "LinuxSystem", "XenInterface", system]),
    layer("Broker", ["BrokerWire", "EventLoop", "XenStoreMigration", "XenPlatform", "SharedMemory", "LinuxSystem", "XenInterface", system, logging]),
    layer(
      "SimulatedPlatform",
      ["TestSupport", "XenPlatform", "XenStoreClient", "XenStoreCore", "XenStoreWire", "SharedMemory", "LinuxSystem", "XenInterface", system]),

    // 4: the driver contract
    layer(
      "PVDriver",
      [
        "Xenbus", "EventLoop", "XenStoreClient", "XenPlatform", "Uring", "SharedRing", "SharedMemory", "LinuxSystem", "XenInterface", system, logging,
      ]),
    layer("VhostUser", ["VirtioRing", "VirtioInterface", "EventLoop", "SharedMemory", "LinuxSystem", system, logging]),

    layer(
      "DriverTestSupport",
      [
        "PVDriver", "Xenbus", "SimulatedPlatform", "TestSupport", "EventLoop", "XenStoreClient", "XenPlatform", "SharedRing", "SharedMemory",
        "LinuxSystem", "XenInterface", logging,
      ]),

    // 5: devices
    layer("BlockInterface", ["SharedMemory", "SharedRing", "XenInterface", "Xenbus"], path: "Sources/Devices/Block/Interface"),
    layer(
      "BlockEngine",
      ["BlockInterface", "EventLoop", "Uring", "SharedMemory", "LinuxSystem", "XenInterface", system, logging],
      path: "Sources/Devices/Block/Engine"),
    layer(
      "BlockBack",
      [
        "BlockEngine", "BlockInterface", "PVDriver", "Xenbus", "XenStoreClient", "EventLoop", "XenPlatform", "SharedRing", "SharedMemory",
        "XenInterface", system, logging,
      ],
      path: "Sources/Devices/Block/Back"),
    layer(
      "BlockFront",
      [
        "BlockInterface", "PVDriver", "Xenbus", "XenStoreClient", "EventLoop", "XenPlatform", "SharedRing", "SharedMemory", "LinuxSystem",
        "XenInterface", system, logging,
      ],
      path: "Sources/Devices/Block/Front"),
    layer(
      "BlockVirtio",
      [
        "BlockEngine", "BlockInterface", "PVDriver", "VhostUser", "VirtioRing", "VirtioInterface", "EventLoop", "SharedRing", "SharedMemory",
        "XenInterface", system, logging,
      ],
      path: "Sources/Devices/Block/Virtio"),

    layer("NetPackets", ["SharedMemory", "XenInterface"], path: "Sources/Devices/Net/Packets"),
    layer("NetInterface", ["NetPackets", "SharedMemory", "SharedRing", "XenInterface", "Xenbus"], path: "Sources/Devices/Net/Interface"),
    layer(
      "NetTap", ["NetPackets", "EventLoop", "Uring", "SharedMemory", "LinuxSystem", "CLinuxShims", system], path: "Sources/Devices/Net/Tap"),
    layer(
      "NetEngine", ["NetTap", "NetPackets", "EventLoop", "Uring", "SharedMemory", "LinuxSystem", "XenInterface", system, logging],
      path: "Sources/Devices/Net/Engine"),
    layer(
      "NetBack",
      [
        "NetEngine", "NetInterface", "NetPackets", "PVDriver", "Xenbus", "XenStoreClient", "EventLoop", "XenPlatform", "SharedRing", "SharedMemory",
        "LinuxSystem", "XenInterface", system, logging,
      ],
      path: "Sources/Devices/Net/Back"),
    layer(
      "NetFront",
      [
        "NetInterface", "NetPackets", "PVDriver", "Xenbus", "XenStoreClient", "EventLoop", "XenPlatform", "SharedRing", "SharedMemory", "LinuxSystem",
        "XenInterface", system, logging,
      ],
      path: "Sources/Devices/Net/Front"),
    layer(
      "NetVirtio",
      [
        "NetEngine", "NetPackets", "PVDriver", "VhostUser", "VirtioRing", "VirtioInterface", "EventLoop", "SharedRing", "SharedMemory", "LinuxSystem",
        "XenInterface", logging,
      ],
      path: "Sources/Devices/Net/Virtio"),

    layer("ConsoleInterface", ["SharedRing", "SharedMemory", "XenInterface", "Xenbus"], path: "Sources/Devices/Console/Interface"),
    layer(
      "ConsoleBack",
      [
        "ConsoleInterface", "PVDriver", "Xenbus", "EventLoop", "XenPlatform", "SharedRing", "SharedMemory", "LinuxSystem", "XenInterface", system, logging,
      ],
      path: "Sources/Devices/Console/Back"),
    layer(
      "ConsoleFront",
      ["ConsoleInterface", "PVDriver", "Xenbus", "SharedRing", "SharedMemory", "XenInterface"],
      path: "Sources/Devices/Console/Front"),

    layer("NinePEngine", ["LinuxSystem", system], path: "Sources/Devices/NineP/Engine"),
    layer(
      "NinePBack",
      ["NinePEngine", "PVDriver", "Xenbus", "EventLoop", "XenPlatform", "SharedRing", "SharedMemory", "XenInterface"],
      path: "Sources/Devices/NineP/Back"),
    layer("NinePFront", ["PVDriver", "Xenbus", "SharedRing", "XenInterface"], path: "Sources/Devices/NineP/Front"),
    layer(
      "Vchan",
      [
        "PVDriver", "Xenbus", "XenStoreClient", "EventLoop", "XenPlatform", "SharedRing", "SharedMemory", "LinuxSystem", "XenInterface", system,
      ],
      path: "Sources/Devices/Vchan"),

    // 6: transports to the outside
    layer(
      "NBDExport",
      ["BlockFront", "BlockInterface", "EventLoop", "Uring", "SharedMemory", "LinuxSystem", "XenInterface", system, logging]),
    layer("TapExport", ["NetFront", "NetTap", "NetPackets", "EventLoop", "SharedMemory", "LinuxSystem", system]),

    layer(
      "DriverCommands",
      [
        "PVDriver", "ProcessPlatform", "XenHostPlatform", "BrokerWire", "Xenbus", "XenStoreClient", "EventLoop", "XenPlatform", "SharedMemory", "LinuxSystem", "XenInterface",
        argumentParser, system, logging,
      ]),
  ] + drivers.map(driver) + [
    // 7: commands
    .executableTarget(
      name: "pvio",
      dependencies: [
        "DriverCommands", "Vchan", "NinePFront", "NinePBack", "NinePEngine", "ConsoleFront", "ConsoleBack", "ConsoleInterface", "NBDExport", "TapExport", "NetVirtio", "NetFront", "NetBack", "NetEngine", "NetTap", "NetInterface", "NetPackets", "BlockVirtio", "BlockFront", "BlockBack",
        "BlockEngine", "VhostUser",
        "BlockInterface", "PVDriver", "Broker", "BrokerWire", "ProcessPlatform", "XenStoreServer", "XenStoreLog",
        "XenStoreClient", "XenStoreCore", "XenStoreMigration", "XenStoreWire", "Xenbus", "EventLoop", "Uring", "XenPlatform", "SharedRing", "SharedMemory",
        "LinuxSystem", "XenInterface", argumentParser, system, logging,
      ] + drivers.map { .target(name: "\($0)Driver") },
      swiftSettings: strict),
    .executableTarget(name: "pvgen", dependencies: [yams, argumentParser], swiftSettings: strict),

    // A back-end in memory and a hypervisor in one process, for the tests of devices.
    layer(
      "BlockTestSupport",
      ["BlockFront", "BlockInterface", "EventLoop", "XenPlatform", "SharedRing", "SharedMemory", "LinuxSystem", "XenInterface"],
      path: "Tests/BlockTestSupport"),

    // Tests, in the order of Sources/.
    tests("ArchitectureTests", []),
    tests("XenInterfaceTests", ["VirtioInterface", "XenInterface"]),
    tests("PvgenTests", ["pvgen"]),
    tests("SharedMemoryTests", ["SharedMemory", "LinuxSystem", "XenInterface", system]),
    tests("SharedRingTests", ["TestSupport", "SharedRing", "SharedMemory", "LinuxSystem", "XenInterface"]),
    tests("VirtioRingTests", ["TestSupport", "VirtioRing", "VirtioInterface", "SharedMemory"]),
    tests(
      "VhostUserTests",
      [
        "TestSupport",
        "BlockVirtio", "BlockEngine", "BlockInterface", "VhostUser", "VirtioRing", "VirtioInterface", "EventLoop", "SharedRing", "SharedMemory",
        "LinuxSystem", system, logging,
      ]),
    tests("UringTests", ["Uring", "EventLoop", "XenPlatform", "LinuxSystem", "XenInterface", system]),
    tests("XenStoreRingTests", ["XenStoreRing", "SharedRing", "SharedMemory", "LinuxSystem", "XenInterface", system]),
    tests("XenStoreMigrationTests", ["XenStoreMigration", "XenStoreWire", "XenInterface"]),
    tests("XenStoreCoreTests", ["TestSupport", "XenStoreCore", "XenStoreMigration", "XenStoreWire", "XenInterface"]),
    tests("XenStoreModelTests", ["TestSupport", "XenStoreCore", "XenStoreWire", "XenInterface", "LinuxSystem", system]),
    tests("XenStoreLogTests", ["XenStoreLog", "XenStoreCore", "XenStoreWire", "LinuxSystem", "XenInterface", system]),
    tests(
      "XenStoreServerTests",
      [
        "TestSupport", "XenStoreServer", "XenStoreLog", "XenStoreClient", "XenStoreCore", "XenStoreRing", "XenStoreWire",
        "EventLoop", "XenPlatform", "SharedRing", "SharedMemory", "LinuxSystem", "XenInterface", system, logging,
      ]),
    tests("XenbusTests", ["PVDriver", "Xenbus", "XenStoreClient", "XenStoreCore", "XenStoreWire", "XenInterface"]),
    tests(
      "ByteStreamTests",
      [
        "TestSupport",
        "ConsoleFront", "ConsoleBack", "ConsoleInterface", "PVDriver", "Xenbus", "SimulatedPlatform", "XenStoreClient", "XenPlatform", "EventLoop",
        "SharedRing", "SharedMemory", "LinuxSystem", "XenInterface", system, logging,
      ]),
    tests("DriverCommandsTests", ["DriverCommands", "PVDriver", "SimulatedPlatform", "Xenbus", "XenStoreClient", "XenInterface", logging]),
    tests(
      "PVDriverTests",
      ["PVDriver", "DriverTestSupport", "SimulatedPlatform", "XenPlatform", "SharedRing", "SharedMemory", "Xenbus", "EventLoop", "XenInterface"]),
    tests("NinePTests", ["TestSupport", "NinePEngine"]),
    tests(
      "VchanTests",
      ["Vchan", "PVDriver", "SimulatedPlatform", "XenStoreClient", "XenStoreWire", "XenPlatform", "EventLoop", "SharedRing", "SharedMemory", "LinuxSystem", "XenInterface"]),
    tests(
      "PlatformConformance",
      [
        "ProcessPlatform", "XenHostPlatform", "Broker", "XenStoreMigration", "BrokerWire", "SimulatedPlatform", "XenStoreClient", "XenPlatform", "EventLoop", "SharedMemory",
        "LinuxSystem", "XenInterface", system, logging,
      ]),
    tests(
      "BlockTests",
      [
        "TestSupport", "BlockTestSupport", "BlockBack", "BlockFront", "BlockEngine", "BlockInterface", "PVDriver", "Xenbus", "SimulatedPlatform",
        "XenStoreClient", "XenStoreCore", "XenPlatform", "EventLoop", "Uring", "SharedRing", "SharedMemory", "LinuxSystem",
        "XenInterface", system, logging,
      ]),
    tests(
      "BlockVirtioTests",
      [
        "TestSupport",
        "BlockVirtio", "BlockEngine", "BlockInterface", "PVDriver", "VhostUser", "VirtioRing", "VirtioInterface", "EventLoop", "SharedRing",
        "SharedMemory", "LinuxSystem", "XenInterface", system, logging,
      ]),
    tests("NetPacketsTests", ["NetPackets", "SharedMemory", "LinuxSystem", system]),
    tests(
      "NetVirtioTests",
      [
        "NetVirtio", "NetEngine", "NetPackets", "VhostUser", "VirtioRing", "VirtioInterface", "EventLoop", "SharedRing", "SharedMemory",
        "XenInterface",
      ]),
    tests("NetEngineTests", ["NetEngine", "NetPackets", "EventLoop", "SharedMemory", "LinuxSystem", system]),
    tests(
      "NetBackTests",
      [
        "TestSupport",
        "NetBack", "NetEngine", "NetInterface", "NetPackets", "PVDriver", "SimulatedPlatform", "EventLoop", "XenPlatform", "SharedRing",
        "SharedMemory", "LinuxSystem", "XenStoreClient", "XenInterface", "Xenbus", system, logging,
      ]),
    tests(
      "NetFrontTests",
      [
        "NetFront", "NetBack", "NetEngine", "NetInterface", "NetPackets", "PVDriver", "SimulatedPlatform", "EventLoop", "XenPlatform", "SharedRing", "SharedMemory", "LinuxSystem",
        "XenInterface", "Xenbus", logging,
      ]),
    tests("NetInterfaceTests", ["TestSupport", "NetInterface", "NetPackets", "SharedRing", "SharedMemory", "LinuxSystem", "XenInterface", "Xenbus"]),
    tests(
      "NBDExportTests",
      ["NBDExport", "BlockTestSupport", "BlockFront", "EventLoop", "LinuxSystem", "XenInterface", system]),
    tests(
      "NetTapTests",
      [
        "TapExport", "NetFront", "NetBack", "NetEngine", "NetTap", "NetPackets", "SimulatedPlatform", "Xenbus", "XenStoreClient", "XenStoreCore",
        "EventLoop", "SharedMemory", "LinuxSystem", "XenInterface", system,
      ]),
    tests(
      "Integration",
      [
        "TestSupport",
        "NetInterface", "NetPackets", "VhostUser", "VirtioRing", "VirtioInterface", "ProcessPlatform", "Xenbus", "XenStoreClient", "XenStoreWire",
        "XenPlatform", "SharedMemory", "XenInterface", "LinuxSystem", system,
      ]),
  ] + drivers.map(driverTests),
  swiftLanguageModes: [.v6]
)
