public import PVDriver
import SharedMemory
import SharedRing
import SimulatedPlatform
import TestSupport
import XenInterface
import Xenbus

/// What a front-end that keeps to no rule can do to a back-end whose requests come through a mailbox. After each attack the back-end must be
/// able to let go of everything and serve the next front-end.
public enum HostileMailboxFrontend<Engine: RequestRingEngine> {
  /// What it does.
  public enum Attack: String, Sendable, CaseIterable, CustomStringConvertible {
    /// A state that there is not.
    case impossibleState
    /// A message longer than its page.
    case tooLong
    /// Further pages, of which none were agreed on.
    case extraPages
    /// Messages of random bytes and lengths.
    case randomMessages
    /// A message that changes while it is read.
    case messageThatChanges
    /// It takes back what it has asked for.
    case takesItBack
    /// Signals without messages.
    case eventStorm
    public var description: String { rawValue }
  }

  /// How the attack ended.
  public struct Outcome: Sendable, Equatable {
    public var counters = DriverReport()
    /// What is not as it was before; empty when all is well.
    public var leftOver = ""
  }

  /// Makes an attack on a back-end of its own, then lets an honest front-end connect to it.
  public static func attempt(_ attack: Attack, options: [String: String] = [:], seed: UInt64 = 1) async throws -> Outcome {
    let target = try await BackendUnderTest<RequestRingBackendDriver<Engine>>(options: options)
    var outcome = Outcome()
    let front = try RawPages(target.frontPlatform, count: 1)
    try await target.connect(front.keys(Engine.Interface.self))
    var generator = SeededGenerator(seed: seed)
    let page = front.memory
    for _ in 0..<20 {
      switch attack {
      case .impossibleState: page.store8(77, at: RawMailbox.state)
      case .tooLong: front.submit(length: 5000, [])
      case .extraPages:
        page.store8(3, at: RawMailbox.extraPageCount)
        front.submit(length: 8, [])
      case .randomMessages:
        let bytes = generator.bytes(Int(generator.next() % 200))
        front.submit(length: UInt32(bytes.count), bytes)
      case .messageThatChanges:
        front.submit(length: UInt32(Engine.Interface.Request.byteCount), [])
        for _ in 0..<50 { page.store32(UInt32(truncatingIfNeeded: generator.next()), at: 8 + Int(generator.next() % 64) * 4) }
      case .takesItBack:
        front.submit(length: 16, [])
        page.store8(MailboxState.cancelled.rawValue, at: RawMailbox.state)
      case .eventStorm: for _ in 0..<50 { front.signal() }
      }
      front.signal()
      outcome.counters = await target.settle()
    }
    outcome.leftOver += await target.disconnect()
    if !front.everythingIsUnmapped() { outcome.leftOver += "the page is still mapped; " }
    let next = try RawPages(target.frontPlatform, count: 1)
    try await target.connect(next.keys(Engine.Interface.self))
    next.submit(length: UInt32(Engine.Interface.Request.byteCount), [])
    next.signal()
    _ = await target.settle()
    if next.memory.load8(at: RawMailbox.state) != MailboxState.finished.rawValue { outcome.leftOver += "the next front-end got no answer; " }
    outcome.leftOver += await target.finish()
    return outcome
  }
}

/// Places of a mailbox (`struct tpmif_shared_page`).
private enum RawMailbox {
  static let state = 4, extraPageCount = 7, message = 8
}

extension RawPages {
  fileprivate func submit(length: UInt32, _ message: [UInt8]) {
    memory.copyIn(message, at: RawMailbox.message)
    memory.store32(length, at: 0)
    memory.store8(MailboxState.submitted.rawValue, at: RawMailbox.state)
  }
}

/// The same for libFuzzer, and for a while of random bytes in a test.
public enum MailboxFuzz<Engine: RequestRingEngine>: DriverFuzzing {
  public static func run(_ input: [UInt8], options: [String: String]) async throws -> String {
    let target = try await BackendUnderTest<RequestRingBackendDriver<Engine>>(options: options)
    let front = try RawPages(target.frontPlatform, count: 1)
    try await target.connect(front.keys(Engine.Interface.self))
    var reader = FuzzReader(input[...])
    while let operation = reader.byte() {
      switch operation & 3 {
      case 0: front.memory.store32(reader.word(), at: Int(operation >> 2) * 4)
      case 1: front.memory.store8(operation >> 5, at: RawMailbox.state)
      case 2: front.signal()
      default:
        let bytes = reader.bytes(Int(operation >> 2))
        front.submit(length: UInt32(bytes.count), bytes)
        front.signal()
      }
    }
    front.signal()
    var wrong = await target.disconnect()
    if !front.everythingIsUnmapped() { wrong += "the page is still mapped; " }
    return wrong + (await target.finish())
  }
}
