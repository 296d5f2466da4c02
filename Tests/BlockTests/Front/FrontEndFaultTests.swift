import BlockFront
import BlockTestSupport
import EventLoop
import Testing
import XenInterface

@Suite struct FrontEndFaultTests {
  static let shape = BlockFrontConnection.Shape(
    queueCount: 1, ringPageOrder: 0, maximumIndirectSegments: 64, isPersistent: false, dataPageCount: 1024)

  @Test(arguments: [MemoryBackend.Misbehaviour.unknownIdentifier, .answersTwice, .wrongOperation, .tooManyResponses, .keepsMapped])
  func givesUpABackEndThatBreaksARule(misbehaviour: MemoryBackend.Misbehaviour) async throws {
    let pair = try DevicePair()
    let disk = pair.frontend
    let backend = try await pair.connect(.device(sectorCount: 2048), shape: Self.shape, misbehaviour: misbehaviour)
    var failure: BlockFrontError?
    for _ in 0..<3 where failure == nil {
      do throws(BlockFrontError) { _ = try await disk.read(at: 0, byteCount: 8192) } catch { failure = error }
    }
    guard case .broken(let fault) = failure else {
      Issue.record("failed with \(String(describing: failure))")
      return await pair.close()
    }
    switch (misbehaviour, fault) {
    case (.unknownIdentifier, .unknownIdentifier), (.answersTwice, .notWaiting), (.tooManyResponses, .ring): break
    case (.wrongOperation, .wrongOperation(_, 0, 1)), (.keepsMapped, .pagesStillMapped(_, 2)): break
    default: Issue.record("\(fault)")
    }
    #expect(disk.status.failure == fault.description)
    // Nothing more goes to the ring: what is asked for now waits for another connection.
    let before = await pair.thread.loop.run { backend.value.taken.values.reduce(0, +) }
    async let later = disk.read(at: 4096, byteCount: 512)
    let stillMapped = await pair.disconnect()
    #expect(stillMapped >= 1, "the back-end has the ring mapped, at least")
    let after = await pair.thread.loop.run { backend.value.taken.values.reduce(0, +) }
    #expect(after == before)
    await pair.kill(backend)
    let next = try await pair.connect(.device(sectorCount: 2048), shape: Self.shape, contents: Array(repeating: 5, count: 1 << 20))
    #expect(try await later == Array(repeating: 5, count: 512))
    await end(pair, next)
  }

  @Test func failsWhatIsInFlightWhenTheBackEndDiesAndRunsWhatComesLater() async throws {
    let pair = try DevicePair()
    let disk = pair.frontend
    let reports = disk.reports()
    let silent = try await pair.connect(.device(sectorCount: 2048), shape: Self.shape, misbehaviour: .silent)
    let inFlight = Task { try await disk.read(at: 0, byteCount: 512) }
    while await pair.thread.loop.run({ silent.value.taken.isEmpty }) {}
    await pair.kill(silent)
    await #expect(throws: BlockFrontError.backendLost("its process ended")) { try await inFlight.value }
    let data = pattern(3 << 20, seed: 3)
    async let later: Void = disk.write(data, at: 0)
    #expect(await pair.disconnect() == 0)
    let next = try await pair.connect(.device(sectorCount: 16 << 11), shape: Self.shape)
    try await later
    #expect(try await disk.read(at: 0, byteCount: data.count) == data)
    await end(pair, next)
    var seen: [BlockFrontReport] = []
    for await report in reports { seen.append(report) }
    #expect(
      seen.prefix(3) == [
        .connected(.device(sectorCount: 2048)),
        .backendLost("the back-end went away before it answered: its process ended"),
        .reconnected(.device(sectorCount: 16 << 11)),
      ])
  }

  @Test func waitsForABackEndOnlyAsLongAsItMay() async throws {
    var configuration = BlockFrontConfiguration()
    configuration.reconnectTimeoutNanoseconds = 1_000_000
    let pair = try DevicePair(configuration: configuration)
    await #expect(throws: BlockFrontError.notConnected(waitedNanoseconds: 1_000_000)) {
      try await pair.frontend.read(at: 0, byteCount: 512)
    }
    await #expect(throws: BlockFrontError.notConnected(waitedNanoseconds: 1_000_000)) { try await pair.frontend.flush() }
    await pair.close()
    await #expect(throws: BlockFrontError.closed) { try await pair.frontend.waitUntilConnected().sectorCount }
  }

  @Test func failsEverythingThatWaitsWhenItIsClosed() async throws {
    var configuration = BlockFrontConfiguration()
    configuration.reconnectTimeoutNanoseconds = 600_000_000_000
    let pair = try DevicePair(configuration: configuration)
    let waiting = Task { try await pair.frontend.read(at: 0, byteCount: 512) }
    let started = Task { try await pair.frontend.flush() }
    while await pair.thread.loop.run({ pair.frontend.plane.value.waitingCount }) < 2 {}
    await pair.frontend.close()
    await #expect(throws: BlockFrontError.closed) { try await waiting.value }
    await #expect(throws: BlockFrontError.closed) { try await started.value }
    await #expect(throws: BlockFrontError.closed, "also what comes later") { try await pair.frontend.read(at: 0, byteCount: 512) }
    await #expect(throws: BlockFrontError.closed) { try await pair.frontend.flush() }
    pair.thread.stopAndJoin()
  }

  @Test func finishesWhatIsInFlightBeforeItIsQuiet() async throws {
    let pair = try DevicePair()
    let backend = try await pair.connect(.device(sectorCount: 16 << 11), shape: Self.shape)
    async let written: Void = pair.frontend.write(pattern(1 << 20, seed: 1), at: 0)
    await withCheckedContinuation { continuation in
      pair.thread.loop.execute { pair.frontend.plane.value.quiesce { continuation.resume() } }
    }
    let stillMapped = await pair.disconnect()
    #expect(stillMapped == 1, "only the ring")
    await pair.kill(backend)
    let next = try await pair.connect(.device(sectorCount: 16 << 11), shape: Self.shape)
    try await written
    await end(pair, next)
  }
}
