import EventLoop
public import PVDriver
import SharedMemory
import SharedRing
import SimulatedPlatform
import TestSupport
import XenInterface
import XenPlatform
import Xenbus

/// What a front-end that keeps to no rule can do to a back-end with a stream of bytes. After each attack the back-end must be able to let go
/// of everything and serve the next front-end.
public enum HostileStreamFrontend<Engine: ByteStreamEngine> {
  /// What it does.
  public enum Attack: String, Sendable, CaseIterable, CustomStringConvertible {
    /// A size of the rings that there is not.
    case impossibleOrder
    /// Grant references that were never granted.
    case unknownGrants
    /// Its producer more than one ring ahead.
    case producerTooFarAhead
    /// Random words where the indices are.
    case indicesAtRandom
    case randomBytes
    /// Bytes that change while they are read.
    case bytesThatChange
    /// Signals without bytes.
    case eventStorm
    /// Much is sent, and nothing taken.
    case neverTakes
    public var description: String { rawValue }
  }

  /// How the attack ended.
  public struct Outcome: Sendable, Equatable {
    public var counters = DriverReport()
    /// Why the back-end did not connect.
    public var refusal: String?
    /// What is not as it was before; empty when all is well.
    public var leftOver = ""
  }

  /// Makes an attack on a back-end of its own, then lets an honest front-end connect to it.
  public static func attempt(_ attack: Attack, options: [String: String] = [:], seed: UInt64 = 1) async throws -> Outcome {
    let target = try await BackendUnderTest<ByteStreamEngineDriver<Engine>>(options: options)
    var outcome = Outcome()
    let front = try RawStream(target)
    if attack == .impossibleOrder { front.pages.memory.store32(seed & 1 == 0 ? 0 : 40, at: NinePInterfaceLayout.ringOrderOffset) }
    if attack == .unknownGrants { front.pages.memory.store32(.max, at: NinePInterfaceLayout.referencesOffset + 4) }
    do {
      try await target.connect(front.keys)
      var generator = SeededGenerator(seed: seed)
      try await perform(attack, front, target, &generator)
      front.pages.signal()
      outcome.counters = await target.settle()
    } catch let error as ByteStreamConnectError {
      outcome.refusal = "\(error)"
    }
    outcome.leftOver += await target.disconnect()
    if !front.pages.everythingIsUnmapped() { outcome.leftOver += "pages of the front-end are still mapped; " }
    outcome.leftOver += try await serveTheNext(target)
    outcome.leftOver += await target.finish()
    return outcome
  }

  private static func perform(
    _ attack: Attack, _ front: borrowing RawStream<Engine>, _ target: BackendUnderTest<ByteStreamEngineDriver<Engine>>, _ generator: inout SeededGenerator
  ) async throws {
    let page = front.pages.memory
    switch attack {
    case .impossibleOrder, .unknownGrants: break
    case .producerTooFarAhead: page.storeRelease32(1_000_000, at: NinePInterfaceLayout.outputProducerOffset)
    case .indicesAtRandom:
      for _ in 0..<100 {
        let places = [NinePInterfaceLayout.outputProducerOffset, NinePInterfaceLayout.outputConsumerOffset, NinePInterfaceLayout.inputConsumerOffset]
        page.store32(UInt32(truncatingIfNeeded: generator.next() >> 8) % 9000, at: places[Int(generator.next() % 3)])
        front.pages.signal()
      }
    case .randomBytes, .bytesThatChange, .neverTakes:
      for _ in 0..<20 {
        _ = try front.pair.value.producer.put(generator.bytes(4096))
        if attack == .bytesThatChange {
          for _ in 0..<100 { front.pages.memory.store32(UInt32(truncatingIfNeeded: generator.next()), at: 4096 + Int(generator.next() % 2048) * 4) }
        }
        front.pages.signal()
        _ = await target.settle()
        if attack != .neverTakes { front.takeAll() }
      }
    case .eventStorm: for _ in 0..<1000 { front.pages.signal() }
    }
  }

  /// The back-end takes the bytes of an honest front-end.
  private static func serveTheNext(_ target: BackendUnderTest<ByteStreamEngineDriver<Engine>>) async throws -> String {
    let next = try RawStream(target)
    try await target.connect(next.keys)
    _ = try next.pair.value.producer.put([10])
    next.pages.signal()
    _ = await target.settle()
    return next.pair.value.producer.isDrained ? "" : "the next front-end's bytes were not taken; "
  }
}

/// The stream of a front-end that a test makes up: a page, and two for each ring.
struct RawStream<Engine: ByteStreamEngine>: ~Copyable {
  let pages: RawPages
  let pair: FixedCell<ByteStreamPair>

  init(_ target: BackendUnderTest<ByteStreamEngineDriver<Engine>>) throws {
    pages = try RawPages(target.frontPlatform, count: 5)
    pair = FixedCell(
      FlexRingPage(pages.memory.slice(at: 0, byteCount: pageByteCount)).initializedFront(
        order: 2, data: pages.memory.slice(at: pageByteCount, byteCount: 4 * pageByteCount), references: Array(pages.references.dropFirst())))
  }

  var keys: [String: String] { pages.keys(Engine.Interface.self) }

  func takeAll() {
    var bytes = [UInt8](repeating: 0, count: 8192)
    while let count = try? pair.value.consumer.take(into: &bytes, limit: bytes.count), count > 0 {}
  }
}

/// The same for libFuzzer, and for a while of random bytes in a test.
public enum StreamFuzz<Engine: ByteStreamEngine>: DriverFuzzing {
  public static func run(_ input: [UInt8], options: [String: String]) async throws -> String {
    let target = try await BackendUnderTest<ByteStreamEngineDriver<Engine>>(options: options)
    let front = try RawStream(target)
    var reader = FuzzReader(input[...])
    if let first = reader.byte(), first & 15 == 0 { front.pages.memory.store32(reader.word(), at: 128 + Int(first >> 4) * 4) }
    do { try await target.connect(front.keys) } catch is ByteStreamConnectError {}
    while let operation = reader.byte() {
      switch operation & 7 {
      case 0: front.pages.memory.store32(reader.word() & 0x3FFF, at: [0, 4, 64, 68][Int(operation >> 3) & 3])
      case 1: front.pages.memory.store32(reader.word(), at: Int(reader.word() % 5120) * 4)
      case 2: front.pages.signal()
      case 3: front.takeAll()
      default:
        _ = try? front.pair.value.producer.put(reader.bytes(Int(operation)))
        front.pages.signal()
      }
    }
    front.pages.signal()
    var wrong = await target.disconnect()
    if !front.pages.everythingIsUnmapped() { wrong += "pages of the front-end are still mapped; " }
    return wrong + (await target.finish())
  }
}
