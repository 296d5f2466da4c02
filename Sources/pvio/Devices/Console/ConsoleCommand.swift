import ArgumentParser
import ConsoleBack
import DriverCommands
import LinuxSystem
import SystemPackage
import XenInterface
import XenStoreClient
import Xenbus

/// `pvio console`: attaches the user's terminal to a domain's console.
struct ConsoleCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "console", abstract: "Attach this terminal to a domain's console; Ctrl-] leaves.",
    discussion: "When the console's back-end ends, its next one is waited for.")

  @OptionGroup var common: CommonOptions
  @Argument(help: "The domain, by number or name.") var domain: String
  @Argument(help: "The console: console0, 0 or its id.") var device = "0"

  /// Ctrl-].
  private static let escape: UInt8 = 0x1D

  func run() async throws {
    let directory = common.runDirectory
    let address = try await DeviceAddress.lookUp(device, BackendConsoleCommand.kind, in: domain, directory)
    let lock = try lock(directory.device(address.id).consoleLock, address)
    Process.takeSignals()
    let store = try DaemonConnection.store(directory)
    defer { store.close() }
    let stop = try StopDescriptor()
    let keyboard = try? TerminalMode(of: 0)
    defer { try? keyboard?.apply(to: 0) }
    var isFirst = true
    while let path = try await terminal(of: address, store, mustBeThere: isFirst) {
      isFirst = false
      if keyboard != nil { Process.writeError("\(address.device) of domain \(address.domain) is \(path); Ctrl-] leaves\n") }
      let ending: DescriptorRelay.Ending
      do throws(Errno) {
        let terminal = try OwnedDescriptor.open(path, flags: TerminalMode.openFlags)
        if keyboard != nil { try TerminalMode.raw(0).apply(to: 0) }
        ending = try DescriptorRelay.run(input: 0, output: 1, far: terminal.rawValue, escape: Self.escape, stop: stop.rawValue)
      } catch {
        throw CommandFailure("\(path): \(error)")
      }
      try? keyboard?.apply(to: 0)
      if ending != .farSideEnded { break }
      if keyboard != nil { Process.writeError("\nthe console's back-end has ended; waiting for the next one\n") }
    }
    _ = consume lock
  }

  private func lock(_ path: String, _ address: DeviceAddress) throws -> LockedFile {
    do {
      return try LockedFile(path: path)
    } catch .wouldBlock {
      let holder = LockedFile.holder(of: path).map { "process \($0)" } ?? "another process"
      throw CommandFailure("\(address.device) of domain \(address.domain) has a terminal attached already (\(holder)): leave that one first")
    } catch {
      throw CommandFailure("cannot write \(path): \(error)")
    }
  }

  /// Where the console is, as the back-end says that is running now, in a directory that the guest cannot write. Waited for unless it
  /// must be there; nil when the device is removed.
  private func terminal(of address: DeviceAddress, _ store: XenStoreClient, mustBeThere: Bool) async throws -> String? {
    let lock = common.runDirectory.device(address.id).backendLock
    let changes = try await store.watch(address.paths.backend)
    for await _ in changes {
      guard try await store.exists("\(address.paths.backend)/state") else { return nil }
      let path = try await store.readIfPresent("\(address.paths.backend)/\(ConsoleKeys.Backend.tty.name)")
      let process = try await store.readIfPresent("\(address.paths.backend)/\(ConsoleBackendDevice.processKey)")
      if let path, let holder = LockedFile.holder(of: lock), process == "\(holder)" { return path }
      if mustBeThere { throw CommandFailure("\(address.device) of domain \(address.domain) has no back-end: start one with 'pvio backend console'") }
    }
    return nil
  }
}

/// Becomes readable when a signal asks the process to end.
private struct StopDescriptor {
  private let counter: SharedDescriptor
  var rawValue: Int32 { counter.rawValue }

  init() throws {
    let counter = SharedDescriptor(try EventDescriptor.create())
    self.counter = counter
    Task {
      _ = await Process.nextSignal()
      EventDescriptor.signal(counter.descriptor)
    }
  }
}
