import Foundation
import Glibc
import LinuxSystem
import SharedMemory
import Testing
import XenInterface

/// The terminal of a console's back-end, as a person's terminal program has it.
private final class Person {
  private let terminal: OwnedDescriptor
  private(set) var seen = ""

  init(_ path: String) throws {
    terminal = try OwnedDescriptor.open(path, flags: O_RDWR | O_NOCTTY | O_NONBLOCK)
  }

  func type(_ text: String) throws {
    let bytes = Array(text.utf8)
    // SAFETY: as many bytes as there are.
    #expect(unsafe write(terminal.rawValue, bytes, bytes.count) == bytes.count)
  }

  /// Looks until `text` has appeared.
  func waitFor(_ text: String) async throws {
    try await eventually("the console shows '\(text)'; so far: \(seen.suffix(200))") {
      var buffer = [UInt8](repeating: 0, count: 65536)
      // SAFETY: at most as many bytes as there is room for.
      let count = unsafe read(terminal.rawValue, &buffer, buffer.count)
      if count > 0 { seen += String(decoding: buffer[..<count], as: UTF8.self) }
      return seen.contains(text)
    }
  }
}

extension Integration {
  /// Guest, back-end, daemon and the person at the terminal are processes of their own.
  @Suite struct Consoles {
    private static let echo = #"echo ready; while read line; do echo "got $line"; [ "$line" = quit ] && exit 3; done"#

    private func startBackend(_ bed: TestBed, _ more: String...) async throws -> RunningProgram {
      let backend = try bed.start(Program.pvio, ["backend", "console", "--domain", "7", "--device", "console0"] + more)
      try await eventually("the back-end offers a console") {
        let outcome = try await bed.run(Program.pvio, ["store", "read", "/local/domain/0/backend/console/7/0/state"])
        guard backend.isRunning else { throw TestFailure("the back-end ended: \(backend.errors)") }
        return outcome.output == "2\n"
      }
      return backend
    }

    private func terminal(_ bed: TestBed) async throws -> String { try await bed.storeValue("/local/domain/0/backend/console/7/0/tty") }

    @Test func aCommandOnTheGuestsEndIsReachedFromTheBackEndsTerminalAndLogged() async throws {
      try await withTestBed { bed in
        try await bed.pvio("domain", "create", "--domid", "7", "guest")
        let log = "\(bed.directory)/console.log"
        let backend = try await startBackend(bed, "--log", log)
        let guest = try bed.start(Program.pvio, ["export", "console", "guest", "console0", "--", "sh", "-c", Self.echo])
        try await bed.waitForLine("pvio export ready", of: guest)
        let person = try Person(try await terminal(bed))
        try await person.waitFor("ready")
        try person.type("hello\r")
        try await person.waitFor("got hello")
        #expect(try await bed.storeValue("/local/domain/7/device/console/0/tty") == terminal(bed))
        let refused = try await bed.run(
          Program.pvio, ["store", "--domain", "7", "write", "/local/domain/7/device/console/0/tty", "/dev/pts/666"])
        #expect(!refused.succeeded, "the guest may not say where people attach (XSA-57)")
        try person.type("quit\r")
        #expect(try await guest.finish() == .exited(3), "\(guest.errors)")
        try await eventually("the log has all of it") { try TextFile.read(log).contains("got quit") }
        #expect(try TextFile.read(log).contains("got hello"))
        backend.send(signal: SIGTERM)
        #expect(try await backend.finish() == .exited(0), "\(backend.errors)")
        try await bed.pvio("detach", "7", "console0")
        try await bed.stopDaemon()
      }
    }

    @Test func theConsoleCommandPassesWhatIsTypedAndLeavesAtItsKey() async throws {
      try await withTestBed { bed in
        try await bed.pvio("domain", "create", "--domid", "7", "guest")
        try await bed.pvio("attach", "7", "console", "log=\(bed.directory)/console.log")
        let guest = try bed.start(Program.pvio, ["export", "console", "guest", "console0", "--", "sh", "-c", Self.echo])
        try await bed.waitForLine("pvio export ready", of: guest)
        try await bed.call("sh", "-c", "printf 'typed\\r\\035never' | \(Program.pvio) console guest")
        try await eventually("the guest has read it") { try TextFile.read("\(bed.directory)/console.log").contains("got typed") }
        #expect(try !TextFile.read("\(bed.directory)/console.log").contains("never"))
        try await eventually("status has counted it") { try await bed.pvio("status").contains("bytes_to_guest: 6") }
        guest.send(signal: SIGTERM)
        _ = try await guest.finish()
        try await bed.pvio("detach", "7", "console0")
        try await bed.stopDaemon()
      }
    }

    @Test func aGuestThatTalksToNobodyGoesOnAndTheLogHasEverything() async throws {
      try await withTestBed { bed in
        try await bed.pvio("domain", "create", "--domid", "7", "guest")
        let log = "\(bed.directory)/console.log"
        let backend = try await startBackend(bed, "--log", log, "--spec", "history=4K")
        let guest = try bed.start(Program.pvio, ["export", "console", "guest", "console0", "--", "seq", "1", "60000"])
        #expect(try await guest.finish() == .exited(0), "\(guest.errors)")
        let wanted = (1...60000).map { "\($0)\r\n" }.joined()
        try await eventually("the log has all of it") { try TextFile.read(log, maximumByteCount: 1 << 22) == wanted }
        let person = try Person(try await terminal(bed))
        try await person.waitFor("60000")
        #expect(!person.seen.contains("\n30000\r"), "that was thrown away")
        backend.send(signal: SIGTERM)
        #expect(try await backend.finish() == .exited(0))
      }
    }

    @Test func theNextBackEndTakesTheGuestOver() async throws {
      try await withTestBed { bed in
        try await bed.pvio("domain", "create", "--domid", "7", "guest")
        let first = try await startBackend(bed)
        let guest = try bed.start(Program.pvio, ["export", "console", "guest", "console0", "--", "sh", "-c", Self.echo])
        try await bed.waitForLine("pvio export ready", of: guest)
        let shown = try bed.start("sh", ["-c", "sleep 600 | \(Program.pvio) console guest"])
        try await bed.waitForLine("ready", of: shown)
        first.kill()
        let second = try bed.start(Program.pvio, ["backend", "console", "--domain", "7", "--device", "console0"])
        // The same terminal program, at another terminal.
        let typing = try await eventuallyTerminal(bed)
        try typing.type("again\r")
        try await bed.waitForLine("got again", of: shown)
        #expect(guest.isRunning && second.isRunning)
      }
    }

    /// The terminal of the back-end that is connected.
    private func eventuallyTerminal(_ bed: TestBed) async throws -> Person {
      try await eventually("the guest is connected again") {
        let states = [
          try await bed.storeValue("/local/domain/0/backend/console/7/0/state"), try await bed.storeValue("/local/domain/7/device/console/0/state"),
        ]
        let path = try await terminal(bed)
        return states == ["4", "4"] && FileManager.default.fileExists(atPath: path)
      }
      return try Person(try await terminal(bed))
    }

    @Test func aGuestWithImpossibleIndicesIsDisconnectedAndTheNextOneServed() async throws {
      try await withTestBed { bed in
        try await bed.pvio("domain", "create", "--domid", "7", "guest")
        let backend = try await startBackend(bed)
        let liar = try LyingLife(bed, kind: "console") { platform in
          try LyingFrontend(platform, pageCount: 1, layOut: { _, _ in }) { ["ring-ref": "\($0[0])", "event-channel": "\($1)"] }
        }
        try await eventually("connected") { try await bed.storeValue("/local/domain/0/backend/console/7/0/state") == "4" }
        liar.frontend.claim(5000, at: ConsoleInterfaceLayout.outputProducerOffset)
        try await eventually("status says why") { try await bed.pvio("status").contains("the front-end broke stream 0") }
        #expect(backend.isRunning)
        await liar.end()
        let guest = try bed.start(Program.pvio, ["export", "console", "guest", "console0", "--", "sh", "-c", Self.echo])
        try await bed.waitForLine("pvio export ready", of: guest)
        let person = try Person(try await terminal(bed))
        try await person.waitFor("ready")
      }
    }
  }
}
