import EventLoop
public import PVDriver
import SharedMemory
import SharedRing
import SimulatedPlatform
import TestSupport
import XenInterface
import XenPlatform
import Xenbus

/// What a front-end that keeps to no rule can do to a back-end with a page of events. After each attack the back-end must be able to let go
/// of everything and serve the next front-end.
public enum HostileEventFrontend<Engine: EventRingEngine> where Engine.Device: DefaultDevice {
  /// What it does.
  public enum Attack: String, Sendable, CaseIterable, CustomStringConvertible {
    /// Its producer more than one ring ahead.
    case producerTooFarAhead
    /// It claims to have read what was never written.
    case consumerAhead
    /// Events of random bytes.
    case randomEvents
    /// Events that change while they are read.
    case eventsThatChange
    /// Random words where the indices are.
    case indicesAtRandom
    /// Signals without events.
    case eventStorm
    /// It reads nothing of much that it is sent.
    case neverReads
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
    let target = try await BackendUnderTest<EventPageBackendDriver<Engine>>(options: options)
    var outcome = Outcome()
    let front = try RawEventPage<Engine.Device>(target)
    try await target.connect(front.keys)
    var generator = SeededGenerator(seed: seed)
    try await perform(attack, front, target, &generator)
    front.pages.signal()
    outcome.counters = await target.settle()
    outcome.leftOver += await target.disconnect()
    if !front.pages.everythingIsUnmapped() { outcome.leftOver += "the page is still mapped; " }
    outcome.leftOver += try await serveTheNext(target)
    outcome.leftOver += await target.finish()
    return outcome
  }

  private static func perform(
    _ attack: Attack, _ front: RawEventPage<Engine.Device>, _ target: BackendUnderTest<EventPageBackendDriver<Engine>>,
    _ generator: inout SeededGenerator
  ) async throws {
    let (page, out) = (front.pages.memory, front.plan.outLayout)
    switch attack {
    case .producerTooFarAhead: page.storeRelease32(page.load32(at: out.producer) &+ 100_000, at: out.producer)
    case .consumerAhead:
      page.storeRelease32(1_000_000, at: front.plan.inLayout.consumer)
      // Noticed when the back-end looks for room: once the ring is full.
      for _ in 0..<600 { target.driver.send(Engine.Device.ToFrontend()) }
    case .randomEvents:
      for _ in 0..<20 {
        var writer = try EventWriter<Engine.Device.FromFrontend>(page, layout: out)
        while try writer.put(Engine.Device.FromFrontend(copying: WireBytes(generator.bytes(Engine.Device.FromFrontend.byteCount)), at: 0)) {}
        front.pages.signal()
        _ = await target.settle()
      }
    case .eventsThatChange:
      for _ in 0..<50 {
        var writer = try EventWriter<Engine.Device.FromFrontend>(page, layout: out)
        while try writer.put(Engine.Device.FromFrontend()) {}
        front.pages.signal()
        for _ in 0..<50 { page.store32(UInt32(truncatingIfNeeded: generator.next()), at: out.first + Int(generator.next() % 256) * 4) }
      }
    case .indicesAtRandom:
      for _ in 0..<100 {
        page.store32(UInt32(truncatingIfNeeded: generator.next()), at: Int(generator.next() % 4) * 4)
        target.driver.send(Engine.Device.ToFrontend())
        front.pages.signal()
      }
    case .eventStorm: for _ in 0..<1000 { front.pages.signal() }
    case .neverReads: for _ in 0..<2000 { target.driver.send(Engine.Device.ToFrontend()) }
    }
  }

  /// An honest front-end gets the event that it is sent.
  private static func serveTheNext(_ target: BackendUnderTest<EventPageBackendDriver<Engine>>) async throws -> String {
    let next = try RawEventPage<Engine.Device>(target)
    try await target.connect(next.keys)
    target.driver.send(Engine.Device.ToFrontend())
    _ = await target.settle()
    do throws(EventRingFault) {
      var reader = try EventReader<Engine.Device.ToFrontend>(next.pages.memory, layout: next.plan.inLayout)
      return try reader.take() == nil ? "the next front-end got no event; " : ""
    } catch {
      return "the back-end broke the next front-end's page: \(error); "
    }
  }
}

/// The page of a front-end that a test makes up.
struct RawEventPage<Device: EventPageDevice & DefaultDevice> {
  let pages: RawPages
  let plan: EventPagePlan<Device.Agreement>
  let keys: [String: String]

  init<Engine: EventRingEngine>(_ target: BackendUnderTest<EventPageBackendDriver<Engine>>) throws where Engine.Device == Device {
    pages = try RawPages(target.frontPlatform, count: 1)
    let device = Device()
    plan = try device.plan(
      for: XenbusDirectory(side: .backend, path: "/backend", domain: .control, values: Device.standardOffer))
    keys = device.keys(plan, page: pages.references[0], port: pages.channel.port)
  }
}

/// The same for libFuzzer, and for a while of random bytes in a test.
public enum EventFuzz<Engine: EventRingEngine>: DriverFuzzing where Engine.Device: DefaultDevice {
  public static func run(_ input: [UInt8], options: [String: String]) async throws -> String {
    let target = try await BackendUnderTest<EventPageBackendDriver<Engine>>(options: options)
    let front = try RawEventPage<Engine.Device>(target)
    try await target.connect(front.keys)
    let (page, out) = (front.pages.memory, front.plan.outLayout)
    var reader = FuzzReader(input[...])
    while let operation = reader.byte() {
      switch operation & 7 {
      case 0: page.store32(reader.word(), at: Int(operation >> 3) & 3 * 4)
      case 1: page.store32(reader.word(), at: Int(reader.word() % 1024) * 4)
      case 2: front.pages.signal()
      case 3: target.driver.send(Engine.Device.ToFrontend())
      case 4: page.storeRelease32(page.load32(at: front.plan.inLayout.producer), at: front.plan.inLayout.consumer)
      default:
        let producer = page.load32(at: out.producer)
        let place = out.first + Int(producer % out.count) * out.eventByteCount
        page.copyIn(reader.bytes(Engine.Device.FromFrontend.byteCount), at: place)
        page.storeRelease32(producer &+ 1, at: out.producer)
        front.pages.signal()
      }
    }
    front.pages.signal()
    var wrong = await target.disconnect()
    if !front.pages.everythingIsUnmapped() { wrong += "the page is still mapped; " }
    return wrong + (await target.finish())
  }
}

extension SeededGenerator {
  mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next() >> 32) } }
}
