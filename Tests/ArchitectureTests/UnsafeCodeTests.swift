import Testing

/// Unsafe code is where a reviewer expects it: each file that has some is listed here, so that a new one is noticed.
@Suite struct UnsafeCodeTests {
  /// Modules whose job is what the compiler cannot check: system calls, mappings, the kernel's rings.
  static let primitiveFiles: Set = [
    "Sources/Broker/RunDirectory.swift",
    "Sources/EventLoop/CounterSignaller.swift",
    "Sources/EventLoop/EventLoop.swift",
    "Sources/EventLoop/EventLoopThread.swift",
    "Sources/EventLoop/LoopEventChannel.swift",
    "Sources/LinuxSystem/ChildProcess.swift",
    "Sources/LinuxSystem/DescriptorRelay.swift",
    "Sources/LinuxSystem/DiskFile.swift",
    "Sources/LinuxSystem/EventDescriptor.swift",
    "Sources/LinuxSystem/EventChannelDevice.swift",
    "Sources/LinuxSystem/GrantDevice.swift",
    "Sources/LinuxSystem/KernelRandom.swift",
    "Sources/LinuxSystem/LinkEvents.swift",
    "Sources/LinuxSystem/LockedFile.swift",
    "Sources/LinuxSystem/MemoryFile+Contents.swift",
    "Sources/LinuxSystem/MemoryFile.swift",
    "Sources/LinuxSystem/OwnedChildProcess.swift",
    "Sources/LinuxSystem/OwnedDescriptor+Reading.swift",
    "Sources/LinuxSystem/OwnedDescriptor.swift",
    "Sources/LinuxSystem/ProcessLimits.swift",
    "Sources/LinuxSystem/ProgramCall.swift",
    "Sources/LinuxSystem/ProgramReplacement.swift",
    "Sources/LinuxSystem/PseudoTerminal.swift",
    "Sources/LinuxSystem/RegularFile.swift",
    "Sources/LinuxSystem/RouteSocket.swift",
    "Sources/LinuxSystem/ShareFile.swift",
    "Sources/LinuxSystem/StorageFile.swift",
    "Sources/LinuxSystem/SystemThread.swift",
    "Sources/LinuxSystem/TCPSocket.swift",
    "Sources/LinuxSystem/TapDevice.swift",
    "Sources/LinuxSystem/TerminationSignals.swift",
    "Sources/LinuxSystem/TextFile.swift",
    "Sources/LinuxSystem/UnixSocket.swift",
    "Sources/SharedMemory/FixedObjects.swift",
    "Sources/SharedMemory/FixedTable.swift",
    "Sources/SharedMemory/ObjectSlots.swift",
    "Sources/SharedMemory/SharedBytes+Arrays.swift",
    "Sources/SharedMemory/SharedBytes+Release.swift",
    "Sources/SharedMemory/SharedBytes+Wire.swift",
    "Sources/SharedMemory/SharedBytes.swift",
    "Sources/SharedMemory/SharedRegion.swift",
    "Sources/SharedMemory/SharedSlot.swift",
    "Sources/SharedMemory/SharedSlots.swift",
    "Sources/SharedMemory/SharedVector.swift",
    "Sources/Uring/Uring.swift",
    "Sources/Uring/UringError.swift",
    "Sources/Uring/UringMessage.swift",
    "Sources/Uring/UringOperation.swift",
  ]

  /// Single places elsewhere, with the reason why the primitive modules do not do it for them.
  static let exceptions: [String: String] = [
    "Sources/Devices/Block/Engine/BlockEngine+Memory.swift": "copies between a disk in memory and a granted page, both by address",
    "Sources/Devices/Block/Engine/Script/BlockEngine+Script.swift": "copies between a script's pipes and a granted page, by address",
    "Sources/Devices/Net/Packets/Frame+Checksum.swift": "sums a frame's pieces, by address",
    "Sources/Devices/Net/Packets/Frame+Copy.swift": "copies a frame whose pieces are in a peer's pages, by address",
    "Sources/pvgen/Emit/DriverTests.swift": "the word is in the text of a fuzz target that it writes",
    "Sources/pvgen/ProtocolFolder.swift": "Foundation says through a pointer whether a path is a folder",
    "Sources/pvio/Bench/BenchAllocations.swift": "gives its children a counting malloc, and removes its temporary file",
    "Sources/pvio/Bench/BenchFiles.swift": "removes its temporary files",
    "Sources/pvio/Bench/BenchDaemon.swift": "removes its temporary folders",
    "Sources/TestSupport/TestDisk.swift": "makes, reads and removes an image",
    "Sources/XenStoreCore/XenStoreTree+Walk.swift": "walks through a tree without counting a reference at each level",
    "Sources/VirtioRing/GuestMemory.swift": "stretches of a guest's memory are checked numbers, which single accesses and copies go through",
    "Sources/pvio/Bench/BenchConnect.swift": "waits for a socket's file",
    "Sources/DriverCommands/Support/Host.swift": "reads an environment variable",
    "Sources/pvio/Bench/VhostUserDisk.swift": "waits for a socket's file",
    "Sources/pvio/Daemon/ServiceManager.swift": "the service manager's address is in the environment",
    "Sources/pvio/Devices/ResizeCommand.swift": "sets the size of an image by its path",
    "Sources/pvio/Doctor/DoctorCommand.swift": "looks at limits, paths and installed programs",
    "Sources/DriverCommands/Support/Process.swift": "standard error, and the one object that holds the process's signals",
    "Sources/pvio/Run/RunSession.swift": "waits for a socket's file, removes its temporary folders",
    "Sources/pvio/Specs/DiskSpec.swift": "makes a relative path absolute",
    "Sources/DriverCommands/Support/StandardOutput.swift": "writes bytes to standard output",
    "Sources/DriverCommands/Support/RunDirectory.swift": "environment and folders of the command",
  ]

  static let sources = Repository.swiftFiles(under: "Sources")

  @Test func unsafeCodeIsOnlyInListedFiles() {
    for file in Self.sources where !Self.primitiveFiles.contains(file.path) && Self.exceptions[file.path] == nil {
      guard let line = file.unsafeLines.first else { continue }
      Issue.record("\(file):\(line): unsafe code in a file that is not listed for it")
    }
  }

  @Test func aListedFileHasUnsafeCode() {
    let withUnsafeCode = Set(Self.sources.filter { !$0.unsafeLines.isEmpty }.map(\.path))
    for path in Self.primitiveFiles.union(Self.exceptions.keys).sorted() where !withUnsafeCode.contains(path) {
      Issue.record("\(path) need not be listed any more")
    }
  }

  @Test func aFileWithUnsafeCodeSaysWhyItIsSafe() {
    for file in Self.sources where !file.unsafeLines.isEmpty || file.text.contains("@unchecked Sendable") {
      if !file.text.contains("// SAFETY") { Issue.record("\(file) has unsafe code and no SAFETY comment") }
    }
  }

  @Test func compilerFlagsThatSwitchChecksOffAreNotUsed() throws {
    let manifest = try Repository.text(of: "Package.swift")
    for flag in ["unsafeFlags", "-Ounchecked", "-enforce-exclusivity=unchecked"] { #expect(!manifest.contains(flag), "\(flag)") }
  }
}

extension Repository.File {
  /// Numbers of the lines with the word `unsafe` in code: as an expression, an attribute or an argument.
  var unsafeLines: [Int] {
    code.filter { _, text in text.split { !($0.isLetter || $0.isNumber || $0 == "_") }.contains("unsafe") }.map(\.number)
  }
}
