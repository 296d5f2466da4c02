import BlockFront
import BlockTestSupport
import EventLoop
import NBDExport
import Testing
import XenInterface

@Suite struct HostileClientTests {
  private static let mebibyte = 1 << 20

  private func device() async throws -> ExportedDevice {
    let device = try await ExportedDevice.start(.device(sectorCount: UInt64(8 * Self.mebibyte / 512), flushes: true))
    try await device.pair.frontend.write(pattern(8 * Self.mebibyte, seed: 2), at: 0)
    return device
  }

  /// What a client says after the server's greeting, for which the connection is closed.
  static let offences: [(name: String, bytes: @Sendable (RawClient) -> [UInt8])] = [
    ("client flags that do not exist", { _ in big(UInt32(0xFF)) }),
    ("no fixed newstyle", { _ in big(UInt32(0)) }),
    ("an option with a wrong magic", { _ in big(UInt32(3)) + big(UInt64(0x1234)) + big(UInt32(7)) + big(UInt32(0)) }),
    ("an option that is too long", { _ in big(UInt32(3)) + big(0x4948_4156_454F_5054 as UInt64) + big(UInt32(7)) + big(UInt32.max) }),
    ("options without end", { client in big(UInt32(3)) + (0..<1000).flatMap { _ in client.option(99, []) } }),
    ("an unknown export the old way", { client in big(UInt32(3)) + client.option(1, Array("other".utf8)) }),
    ("a command with a wrong magic", { client in big(UInt32(3)) + client.option(1, []) + client.command(0, magic: 1) }),
    ("a payload beyond all bounds", { client in big(UInt32(3)) + client.option(1, []) + client.command(1, byteCount: .max) }),
  ]

  @Test(arguments: offences.indices)
  func aClientThatBreaksTheProtocolIsClosedAndOthersGoOn(index: Int) async throws {
    let device = try await device()
    let other = try RawClient(device.socketPath)
    try other.go(structured: false)
    let hostile = try RawClient(device.socketPath)
    _ = try hostile.receive(18)
    // The server may close while the rest is still being sent.
    try? hostile.send(Self.offences[index].bytes(hostile))
    #expect(hostile.isClosed(), "\(Self.offences[index].name)")
    try other.send(other.command(0, cookie: 99, offset: 4096, byteCount: 512))
    let reply = try #require(try other.simpleReply())
    #expect(reply == (0, 99))
    #expect(try other.receive(512) == Array(pattern(8 * Self.mebibyte, seed: 2)[4096..<4608]))
    #expect(await device.stop() == 0)
  }

  @Test func refusesWhatCannotBeDoneAndStaysInStep() async throws {
    let device = try await device()
    let client = try RawClient(device.socketPath)
    try client.go(structured: false)
    let end = UInt64(8 * Self.mebibyte)
    let cases: [(bytes: [UInt8], error: UInt64)] = [
      (client.command(0, cookie: 1, offset: 1, byteCount: 512), 22),
      (client.command(0, cookie: 2, offset: 0, byteCount: 100), 22),
      (client.command(0, cookie: 3, offset: end, byteCount: 512), 22),
      (client.command(0, cookie: 4, offset: .max - 511, byteCount: 1024), 22),
      (client.command(0, cookie: 5, offset: 0, byteCount: .max), 22),
      (client.command(1, cookie: 6, offset: end, byteCount: 1024) + Array(repeating: 0xAA, count: 1024), 28),
      (client.command(1, cookie: 7, offset: 3, byteCount: 100_000) + Array(repeating: 0x25, count: 100_000), 22),
      (client.command(1, flags: 0x80, cookie: 8, byteCount: 512) + Array(repeating: 0xAA, count: 512), 22),
      (client.command(4, cookie: 9, byteCount: 512), 95),
      (client.command(77, cookie: 10), 22),
      (client.command(7, cookie: 11, byteCount: 512), 22),
      (client.command(3, cookie: 12), 0),
      (client.command(1, cookie: 13), 0),
      (client.command(0, cookie: 14), 0),
    ]
    for (number, test) in cases.enumerated() {
      try client.send(test.bytes)
      let reply = try #require(try client.simpleReply())
      #expect(reply == (test.error, UInt64(number + 1)))
    }
    #expect(await device.contents() == pattern(8 * Self.mebibyte, seed: 2), "nothing was written")
    #expect(await device.stop() == 0)
  }

  @Test func givesLargeReadsInOrderToClientsWithoutStructuredReplies() async throws {
    let device = try await device()
    let client = try RawClient(device.socketPath)
    try client.go(structured: false)
    try client.send(client.command(0, cookie: 1, byteCount: 512) + client.command(0, cookie: 2, byteCount: UInt32(5 * Self.mebibyte)) + client.command(0, cookie: 3, byteCount: 512))
    let expected = pattern(8 * Self.mebibyte, seed: 2)
    var seen: [UInt64] = []
    for _ in 0..<3 {
      let reply = try #require(try client.simpleReply())
      #expect(reply.error == 0)
      seen.append(reply.cookie)
      let count = reply.cookie == 2 ? 5 * Self.mebibyte : 512
      #expect(try client.receive(count) == Array(expected[..<count]))
    }
    #expect(seen == [1, 2, 3])
    #expect(await device.stop() == 0)
  }

  @Test func aClientThatNeitherReadsNorSendsKeepsNobodyElseWaiting() async throws {
    let device = try await device()
    var stalled: [RawClient] = []
    for number in 0..<15 {
      let client = try RawClient(device.socketPath)
      try client.go(structured: number.isMultiple(of: 2))
      if number < 8 {
        // Asks for much and reads nothing.
        for _ in 0..<32 { try client.send(client.command(0, byteCount: UInt32(4 * Self.mebibyte))) }
      } else {
        // Promises a large payload and sends a little of it.
        try client.send(client.command(1, byteCount: UInt32(4 * Self.mebibyte)) + Array(repeating: 1, count: 100))
      }
      stalled.append(client)
    }
    let client = try RawClient(device.socketPath)
    try client.go(structured: false)
    try client.send(client.command(1, cookie: 5, offset: UInt64(7 * Self.mebibyte), byteCount: 1 << 20) + Array(repeating: 0x77, count: 1 << 20))
    let reply = try #require(try client.simpleReply())
    #expect(reply == (0, 5))
    #expect(try await device.pair.frontend.read(at: UInt64(7 * Self.mebibyte), byteCount: 512) == Array(repeating: 0x77, count: 512))
    #expect(await device.server.connectionCount() == 16)
    let refused = try RawClient(device.socketPath)
    #expect(refused.isClosed(), "no more than were configured")
    #expect(await device.stop() == 0)
    _ = stalled
  }

  @Test func aClientThatLeavesInTheMiddleLeavesNothingBehind() async throws {
    let device = try await device()
    for number in 0..<20 {
      let client = try RawClient(device.socketPath)
      try client.go(structured: true)
      try client.send(client.command(0, byteCount: UInt32(2 * Self.mebibyte)))
      try client.send(client.command(1, byteCount: UInt32(Self.mebibyte)) + Array(repeating: 1, count: number * 5000))
    }
    while await device.server.connectionCount() > 0 {}
    let free = await device.pair.thread.loop.run { [pair = device.pair] in pair.frontend.plane.value.currentConnection?.pool.freePageCount }
    let bytes = try await device.pair.frontend.read(at: 0, byteCount: 8 * Self.mebibyte)
    #expect(bytes.count == 8 * Self.mebibyte)
    let after = await device.pair.thread.loop.run { [pair = device.pair] in pair.frontend.plane.value.currentConnection?.pool.freePageCount }
    #expect(free == after)
    #expect(try #require(free) >= 8192, "every data page is free again")
    #expect(await device.stop() == 0)
  }

  @Test func answersAfterADisconnectCommandAndThenCloses() async throws {
    let device = try await device()
    let client = try RawClient(device.socketPath)
    try client.go(structured: false)
    try client.send(client.command(0, cookie: 4, byteCount: 512) + client.command(2))
    let reply = try #require(try client.simpleReply())
    #expect(reply == (0, 4))
    #expect(try client.receive(512).count == 512)
    #expect(client.isClosed())
    #expect(await device.stop() == 0)
  }
}
