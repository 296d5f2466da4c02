import EventLoop
public import PVDriver
import SharedMemory
import SharedRing
import SimulatedPlatform
import TestSupport
import XenInterface
import XenPlatform
import Xenbus

/// What a front-end that keeps to no rule can do to a driver's back-end. The same for every driver: what it does by itself is the
/// framework's, and what it makes of an engine's requests must not matter.
///
/// After each attack the back-end must be able to let go of everything and serve the next front-end.
public enum HostileFrontend<Engine: RequestRingEngine> {
  /// What it does.
  public enum Attack: String, Sendable, CaseIterable, CustomStringConvertible {
    /// `req_prod` more than one ring ahead.
    case producerTooFarAhead
    /// `req_prod` behind what was taken.
    case producerGoesBack
    /// Grant references that were never granted.
    case unknownGrants
    /// A read-only page where the back-end has to write.
    case readOnlyGrants
    /// More data than the pages that a request can name.
    case dataBeyondItsPages
    /// Data that starts behind its first page.
    case dataOffsetBeyondItsPage
    /// Requests of random bytes.
    case randomRequests
    /// Entries that change while they are read.
    case entriesThatChange
    /// Signals without requests.
    case eventStorm
    /// A whole ring of requests, and gone.
    case leavesWithTheRingFull
    public var description: String { rawValue }
  }

  /// How the attack ended.
  public struct Outcome: Sendable, Equatable {
    /// Responses by status; an identifier that was not asked for counts as status -32768.
    public var statuses: [Int16: Int] = [:]
    public var requestCount = 0
    public var counters = DriverReport()
    /// What is not as it was before; empty when all is well.
    public var leftOver = ""
  }

  /// Makes an attack on a back-end of its own, then lets an honest front-end connect to it.
  public static func attempt(_ attack: Attack, options: [String: String] = [:], seed: UInt64 = 1) async throws -> Outcome {
    let target = try await BackendUnderTest<RequestRingBackendDriver<Engine>>(options: options)
    var outcome = Outcome()
    let front = try await target.connect(startingAt: .max &- 5)
    var generator = SeededGenerator(seed: seed)
    perform(attack, front, &generator, &outcome)
    outcome.counters = await target.settle()
    collect(front, &outcome)
    outcome.leftOver += await target.disconnect()
    if !front.everythingIsUnmapped() { outcome.leftOver += "pages of the front-end are still mapped; " }
    let next = try await target.connect(startingAt: 7)
    next.ring.value.putRequest(next.request(1))
    next.publish()
    _ = await target.settle()
    do throws(RingFault) {
      if try next.ring.value.takeResponse()?.identifier != 1 { outcome.leftOver += "the next front-end got no answer; " }
    } catch {
      outcome.leftOver += "the back-end broke the next front-end's ring: \(error); "
    }
    outcome.leftOver += await target.finish()
    return outcome
  }

  private static func perform(
    _ attack: Attack, _ front: RawFrontend<Engine.Interface>, _ generator: inout SeededGenerator, _ outcome: inout Outcome
  ) {
    /// Sends as many requests as the ring has room for, up to `count`, each changed by `change`.
    func send(_ count: Int, _ change: (inout Engine.Interface.Request) -> Void) {
      for _ in 0..<min(count, front.ring.value.freeRequestCount) {
        outcome.requestCount += 1
        var request = front.request(UInt64(outcome.requestCount))
        change(&request)
        front.ring.value.putRequest(request)
      }
      front.publish()
    }
    let hasData = Engine.Interface.Request.dataPageCapacity > 0
    switch attack {
    case .producerTooFarAhead: front.memory.storeRelease32(front.memory.load32(at: 0) &+ 100_000, at: 0)
    case .producerGoesBack: front.memory.storeRelease32(front.memory.load32(at: 0) &- 1, at: 0)
    case .unknownGrants:
      send(4) { request in
        for index in 0..<Engine.Interface.Request.dataPageCapacity { request.setDataReference(GrantReference(rawValue: .max), at: index) }
      }
    case .readOnlyGrants: send(4) { request in if hasData, let last = front.references.last { request.setDataReference(last, at: 0) } }
    case .dataBeyondItsPages: send(4) { $0.dataLength = .max }
    case .dataOffsetBeyondItsPage: send(4) { $0.dataOffset = .max }
    case .randomRequests:
      for _ in 0..<20 {
        send(8) { request in request = randomRequest(&generator, front) }
        collect(front, &outcome)
      }
    case .entriesThatChange:
      for _ in 0..<50 {
        send(4) { _ in }
        for _ in 0..<20 {
          let place = 64 + Int(generator.next() % UInt64(front.memory.byteCount - 64)) & ~3
          front.memory.store32(UInt32(truncatingIfNeeded: generator.next()), at: place)
        }
        collect(front, &outcome)
      }
    case .eventStorm: for _ in 0..<1000 { front.signal() }
    case .leavesWithTheRingFull: send(.max) { _ in }
    }
    front.signal()
  }

  /// Random bytes; now and then a page that there is.
  private static func randomRequest(_ generator: inout SeededGenerator, _ front: RawFrontend<Engine.Interface>) -> Engine.Interface.Request {
    let bytes = (0..<Engine.Interface.Request.byteCount).map { _ in UInt8(truncatingIfNeeded: generator.next() >> 32) }
    var request = Engine.Interface.Request(copying: WireBytes(bytes), at: 0)
    if generator.next() & 1 == 0 {
      request.dataLength = UInt32(generator.next() % UInt64(2 * max(1, Engine.Interface.maximumDataByteCount)))
      request.dataOffset = UInt16(generator.next() % 5000)
      for index in 0..<Engine.Interface.Request.dataPageCapacity {
        request.setDataReference(front.references[Int(generator.next() % UInt64(front.references.count))], at: index)
      }
    }
    return request
  }

  private static func collect(_ front: RawFrontend<Engine.Interface>, _ outcome: inout Outcome) {
    while let response = try? front.ring.value.takeResponse() { outcome.statuses[response.status, default: 0] += 1 }
  }
}
