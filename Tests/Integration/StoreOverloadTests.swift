import Foundation
import LinuxSystem
import Testing
import XenInterface
import XenStoreWire

extension Integration {
  /// Clients that take more than they give, against a daemon of its own: its memory stays flat, and others are served.
  @Suite struct StoreOverload {
    /// What the daemon may ever have had in memory, its own binary included, with which a debug build begins at about 30 MiB: ten
    /// connections with 4 MiB of events each, and what a queue costs besides. Were all events kept, it would be 128 MiB more, and with a million (`PVIO_EVENTS`) 300.
    private static let residentLimitMiB = 120
    private static let name = String(repeating: "n", count: 230)
    /// Watch events that the store makes, all in all.
    private static let eventCount = ProcessInfo.processInfo.environment["PVIO_EVENTS"].flatMap { Int($0) } ?? 400_000
    private static let watcherCount = 10
    /// Requests that the writer sends before it reads their replies.
    private static let batchSize = 100

    /// The most that a process has had in memory, in MiB (`VmHWM`).
    private func peakMiB(_ processID: Int32) throws -> Int {
      let status = try TextFile.read("/proc/\(processID)/status")
      let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") })
      return try #require(Int(line.filter(\.isNumber))) >> 10
    }

    @Test("XSA-326: hundreds of thousands of watch events that nobody reads leave the daemon's memory flat and others served")
    func unreadEvents() async throws {
      try await withTestBed { bed in
        let socket = "\(bed.runDirectory)/xenstored/socket"
        let daemon = try #require(bed.daemon)
        try await bed.pvio("domain", "create", "--domid", "7")
        try await bed.pvio("store", "write", "/noise", "")
        try await bed.pvio("store", "chmod", "/noise", "n0", "r7")
        let guestSocket = "\(bed.runDirectory)/domains/7/store.sock"
        // Half of them may leave as much unread as the daemon allows, half are a guest, held to its own limits.
        func watcher(_ number: Int) throws -> RawStoreClient {
          let client = try RawStoreClient(number.isMultiple(of: 2) ? socket : guestSocket)
          #expect(try client.ask(.watch, "/noise|t|") == "OK|")
          return client
        }
        var watchers = try (0..<Self.watcherCount).map(watcher)
        let writer = try RawStoreClient(socket)
        let third = try RawStoreClient(socket)
        #expect(try third.ask(.write, "/served|") == "OK|")
        var events = 0
        var lost = 0
        var number = 0
        while events < Self.eventCount {
          var batch: [UInt8] = []
          for _ in 0..<Self.batchSize / 2 {
            // Each event names a node that no event named before, so that none absorbs another; the nodes do not stay.
            batch += RawStoreClient.request(.write, "/noise/\(Self.name)\(number)|")
              + RawStoreClient.request(.remove, "/noise/\(Self.name)\(number)|")
            number += 1
          }
          try writer.send(batch)
          for _ in 0..<Self.batchSize { #expect(try writer.next() == "OK|") }
          events += Self.batchSize / 2 * Self.watcherCount
          #expect(try third.ask(.read, "/served|") == "")
          // Who was given up comes again, and reads nothing again.
          for index in watchers.indices {
            do { _ = try watchers[index].sendWithoutWaiting(RawStoreClient.request(.unwatch, "/none|t|")) } catch {
              watchers[index] = try watcher(index)
              lost += 1
            }
          }
        }
        // Those who are no guest twice each. A guest's events are dropped after 20 s, on a slow machine before there are too many.
        #expect(lost >= Self.watcherCount)
        #expect(daemon.errors.contains("bytes of watch events were not read"))
        #expect(try peakMiB(daemon.processID) < Self.residentLimitMiB)
        #expect(daemon.isRunning)
        print("watch events: \(events), connections given up: \(lost), peak: \(try peakMiB(daemon.processID)) MiB")
      }
    }

    @Test("XSA-326: clients that send requests and read no replies are read from no more, and cost no more than their limit")
    func unreadReplies() async throws {
      try await withTestBed { bed in
        let socket = "\(bed.runDirectory)/xenstored/socket"
        let daemon = try #require(bed.daemon)
        let third = try RawStoreClient(socket)
        #expect(try third.ask(.write, "/large|" + String(repeating: "v", count: 4000)) == "OK|")
        let greedy = try (0..<32).map { _ in try RawStoreClient(socket) }
        let requests = (0..<500).flatMap { _ in RawStoreClient.request(.read, "/large|") }
        var sent = 0
        // Each goes on until the daemon takes no more, three times over, with others served in between.
        for _ in 0..<3 {
          for client in greedy {
            var rest = requests[...]
            while !rest.isEmpty {
              let count = try client.sendWithoutWaiting(Array(rest))
              if count == 0 { break }
              sent += count
              rest.removeFirst(count)
              if rest.isEmpty { rest = requests[...] }
              #expect(sent < 1 << 30)
            }
            #expect(try third.ask(.read, "/large|").utf8.count == 4000)
          }
        }
        #expect(try peakMiB(daemon.processID) < Self.residentLimitMiB)
        // What was asked is still answered, in order.
        for _ in 0..<500 { #expect(try greedy[0].next().utf8.count == 4000) }
        print("requests without readers: \(sent >> 20) MiB, peak: \(try peakMiB(daemon.processID)) MiB")
      }
    }
  }
}
