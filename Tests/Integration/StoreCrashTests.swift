import Foundation
import Glibc
import LinuxSystem
import SystemPackage
import TestSupport
import Testing
import XenInterface
import XenStoreWire

extension Integration {
  /// `pvio daemon --state-dir`, killed at any moment.
  @Suite struct StoreCrash {
    /// `PVIO_CRASH_ROUNDS` and `PVIO_CRASH_SEED`, as `make crash-store` sets them.
    private static let rounds = number("PVIO_CRASH_ROUNDS") ?? 200
    private static let seed = number("PVIO_CRASH_SEED") ?? UInt64.random(in: 1...UInt64(UInt32.max))

    private static func number(_ variable: String) -> UInt64? { ProcessInfo.processInfo.environment[variable].flatMap { UInt64($0) } }

    @Test(.timeLimit(.minutes(20))) func aKilledDaemonServesExactlyWhatItAcknowledged() async throws {
      let seed = Self.seed
      print("crash test: \(Self.rounds) rounds with PVIO_CRASH_SEED=\(seed)")
      var random = SeededGenerator(seed: seed)
      try await withTestBed(daemon: false) { bed in
        let state = "\(bed.imageDirectory)/state"
        let socket = "\(bed.runDirectory)/xenstored/socket"
        // A log so short that it is replaced again and again while the storm goes on.
        let arguments = ["daemon", "--state-dir", state, "--state-log-bytes", "8192"]
        var clients = (0..<4).map { StormClient(number: $0) }
        var counter = StormCounter()
        var acknowledgedCount = 0
        var undecidedCount = 0

        for round in 0...Self.rounds {
          if round > 0, Int.random(in: 0..<5, using: &random) == 0 {
            // Killed while it starts: nothing that was there may suffer.
            let early = try bed.start(Program.pvio, arguments)
            try await Task.sleep(for: .microseconds(Int.random(in: 1000...60_000, using: &random)))
            early.kill()
          }
          let daemon = try bed.start(Program.pvio, arguments)
          try await bed.waitForLine("pvio daemon ready", of: daemon)
          #expect(!daemon.errors.contains("damaged"))

          let reader = try RawStoreClient(socket)
          for index in clients.indices {
            let found = StormModel(try reader.tree(clients[index].top) ?? [:])
            let allowed = clients[index].allowed
            if !allowed.contains(found) {
              throw TestFailure(
                "seed \(seed), round \(round), client \(index): \(found.difference(from: allowed[0])); \(allowed.count - 1) were pending")
            }
            #expect(clients[index].surprises == [], "seed \(seed), round \(round)")
            undecidedCount += clients[index].pending.count
            clients[index].acknowledged = found
            clients[index].pending = []
          }
          let kept = try reader.call(.read, XenStorePayload.join([StormCounter.path]))
          let number = kept.type == .read ? StormCounter.number(kept.payload) : 0
          #expect(number >= counter.highestSeen, "seed \(seed), round \(round): \(counter.highestSeen) was seen")
          #expect(number <= counter.next, "seed \(seed), round \(round)")
          counter.highestSeen = number
          for client in clients { _ = try reader.call(.makeDirectory, XenStorePayload.join([client.top])) }
          if round == Self.rounds {
            daemon.send(signal: SIGTERM)
            #expect(try await daemon.finish() == .exited(0))
            break
          }

          let storm = clients
          let seeds = clients.map { _ in random.next() }
          let counting = counter
          async let written = onThreads(storm.indices.map { index in
            {
              var client = storm[index]
              client.run(socket: socket, seed: seeds[index])
              return client
            }
          })
          async let counted = onThreads([true, false].map { writes in
            {
              var counter = counting
              if writes { counter.write(socket: socket) } else { counter.read(socket: socket) }
              return counter
            }
          })
          try await Task.sleep(for: .microseconds(Int.random(in: 500...50_000, using: &random)))
          daemon.kill()
          clients = await written
          let counters = await counted
          counter.next = counters[0].next
          counter.highestSeen = max(counters[0].highestSeen, counters[1].highestSeen)
        }
        for client in clients { acknowledgedCount += client.acknowledgedCount }
        print("crash test: \(acknowledgedCount) acknowledged operations kept; \(undecidedCount) were under way, whole or not at all")
        #expect(acknowledgedCount > 0)
      }
    }

    @Test func domainsAndTheirNodesOutliveTheDaemon() async throws {
      try await withTestBed(daemon: false) { bed in
        let state = "\(bed.imageDirectory)/state"
        try await bed.startDaemon("--state-dir", state)
        try await bed.pvio("domain", "create", "--domid", "7", "guest")
        try await bed.pvio("domain", "create", "--domid", "8", "other")
        try await bed.pvio("store", "write", "/local/domain/7/data/mine", "kept")
        try await bed.pvio("store", "write", "/local/domain/7/name", "renamed")
        try await bed.pvio("domain", "destroy", "8")
        bed.daemon?.kill()
        for _ in 0..<2 {
          try await bed.startDaemon("--state-dir", state)
          #expect(try await bed.domains().map(\.domid) == [0, 7])
          #expect(try await bed.storeValue("/local/domain/7/data/mine") == "kept")
          #expect(try await bed.storeValue("/local/domain/7/name") == "renamed")
          #expect(try await bed.run(Program.pvio, ["store", "read", "/local/domain/8/name"]).succeeded == false)
          // The second time it was stopped in order: that is a restart, not the end of the domains.
          try await bed.stopDaemon()
        }
      }
    }

    @Test(.enabled(if: geteuid() == 0, "mounting needs root")) func aFullDiskRefusesChangesUntilThereIsRoom() async throws {
      try await withTestBed(daemon: false) { bed in
        let disk = try await bed.mountMemory(byteCount: 4 << 20)
        let daemon = try bed.start(Program.pvio, ["daemon", "--state-dir", "\(disk)/state", "--state-log-bytes", "65536"])
        try await bed.waitForLine("pvio daemon ready", of: daemon)
        let client = try RawStoreClient("\(bed.runDirectory)/xenstored/socket")
        func write(_ value: String) throws -> XenStoreMessageType? {
          try client.call(.write, XenStorePayload.join(["/full/a"]) + Array(value.utf8)).type
        }
        #expect(try write("first") == .write)
        _ = try await bed.run("dd", ["if=/dev/zero", "of=\(disk)/filler", "bs=4096"])
        var accepted = "first"
        var count = 0
        // The room that was kept ready is used up first.
        while count < 20_000 {
          count += 1
          let value = "\(count)" + String(repeating: "x", count: 100)
          guard try write(value) == .write else { break }
          accepted = value
        }
        #expect(count < 20_000)
        let read = try client.call(.read, XenStorePayload.join(["/full/a"]))
        #expect(read.type == .read && read.payload == Array(accepted.utf8))
        #expect(try await bed.run(Program.pvio, ["domain", "create", "--domid", "9", "late"]).succeeded == false)
        #expect(daemon.isRunning && daemon.errors.contains("the disk is full"))
        try FileManager.default.removeItem(atPath: "\(disk)/filler")
        try await eventually("changes are accepted again") { try write("last") == .write }
        daemon.kill()
        try await bed.startDaemon("--state-dir", "\(disk)/state", "--state-log-bytes", "65536")
        #expect(try await bed.storeValue("/full/a") == "last")
      }
    }

    @Test func aStateDirectoryThatCannotBeUsedIsOneLine() async throws {
      try await withTestBed(daemon: false) { bed in
        let state = "\(bed.imageDirectory)/state"
        try await bed.startDaemon("--state-dir", state)
        let second = try await bed.run(Program.pvio, ["daemon", "--run-dir", "\(bed.directory)/other", "--state-dir", state])
        #expect(second.ending == .exited(1))
        #expect(second.errorLines.count == 1 && second.errors.contains("is in use by process \(bed.daemon?.processID ?? 0)"))
        try await bed.stopDaemon()
        let log = try #require(FileManager.default.contentsOfDirectory(atPath: state).first { $0.hasPrefix("log.") })
        let file = try #require(FileHandle(forUpdatingAtPath: "\(state)/\(log)"))
        try file.seek(toOffset: 4096 + 20)
        try file.write(contentsOf: Data([0xFF]))
        try file.close()
        let damaged = try await bed.run(Program.pvio, ["daemon", "--state-dir", state])
        #expect(damaged.ending == .exited(1))
        #expect(damaged.errorLines.count == 1 && damaged.errors.contains("\(state)/\(log) is damaged at byte 4096"), "\(damaged.errors)")
        let useless = try await bed.run(Program.pvio, ["daemon", "--accept-loss"])
        #expect(useless.ending == .exited(2) && useless.errorLines.count == 1)
      }
    }
  }
}

/// Runs each on a thread of its own, because they wait, and gives their results in order.
private func onThreads<Result: Sendable>(_ work: [@Sendable () -> Result]) async -> [Result] {
  await withTaskGroup(of: (Int, Result).self) { group in
    for (index, work) in work.enumerated() {
      group.addTask {
        await withCheckedContinuation { continuation in
          do {
            try SystemThread.start(name: "storm") { continuation.resume(returning: (index, work())) }
          } catch {
            continuation.resume(returning: (index, work()))
          }
        }
      }
    }
    var results: [Int: Result] = [:]
    for await (index, result) in group { results[index] = result }
    return work.indices.compactMap { results[$0] }
  }
}
