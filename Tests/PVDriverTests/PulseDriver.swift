import PVDriver
import XenInterface
import Xenbus

/// A driver with a page of events in two versions, written by hand as `pvgen` would: it answers each number with the next one; version 2
/// says who answered.
enum PulseOld: EventRingInterface {
  typealias ToFrontend = PulseEvent<Two>
  typealias FromFrontend = PulseEvent<Two>
  typealias Features = SumFeatures
  static let kind = DeviceKind("pulse")
  static var versions: ClosedRange<UInt32> { 1...1 }
}

enum PulseNew: EventRingInterface {
  typealias ToFrontend = PulseEvent<Three>
  typealias FromFrontend = PulseEvent<Three>
  typealias Features = SumFeatures
  static let kind = DeviceKind("pulse")
  static var versions: ClosedRange<UInt32> { 1...2 }
}

/// number, padding; version 2: who sends it.
struct PulseEvent<Size: WordCount>: DriverRecord {
  static var byteCount: Int { Size.count * 8 }
  var number: UInt64 = 0
  /// Since version 2.
  var sender: UInt64 = 0

  init() {}

  init<Source: WireSource & ~Copyable>(copying source: borrowing Source, at offset: Int) {
    number = source.loadWord64(at: offset)
    if Size.count > 2 { sender = source.loadWord64(at: offset + 16) }
  }

  func store<Sink: WireSink & ~Copyable>(to sink: borrowing Sink, at offset: Int) {
    sink.storeWord64(number, at: offset)
    sink.storeWord64(0, at: offset + 8)
    if Size.count > 2 { sink.storeWord64(sender, at: offset + 16) }
  }

  mutating func forget(newerThan version: UInt32) { if version < 2 { sender = 0 } }
}

/// Answers with the next number, and counts what it is told.
final class PulseEngine: EventRingEngine {
  typealias Device = EventRingDevice<PulseNew>
  enum Counter: Int, DriverCounterName { case answered, connections, ends, minimumDepth }
  private let events: EventSender<PulseEvent<Three>>
  private let counters = DriverCounters<Counter>()

  init(_ setup: EngineSetup, _ events: EventSender<PulseEvent<Three>>) { self.events = events }

  var metrics: [String: UInt64] { counters.values }
  func connected(_ agreement: DriverAgreement<SumFeatures>) {
    counters.add(.connections)
    counters.add(.minimumDepth, UInt64(agreement.features.depth))
  }
  func disconnected() { counters.add(.ends) }

  func handle(_ event: PulseEvent<Three>) {
    counters.add(.answered)
    var answer = PulseEvent<Three>()
    answer.number = event.number &+ 1
    answer.sender = 0xA + event.sender
    events.send(answer)
  }
}

/// A stream that is sent back as it is.
enum Mirror: ByteStreamInterface {
  typealias Features = SumFeatures
  static let kind = DeviceKind("mirror")
  static var versions: ClosedRange<UInt32> { 1...2 }
  static var ringPageOrder: Int { 2 }
}

final class MirrorEngine: ByteStreamEngine {
  typealias Interface = Mirror
  private let output: ByteStreamOutput
  private let greeting: [UInt8]
  init(_ setup: EngineSetup, _ output: ByteStreamOutput) {
    self.output = output
    greeting = Array((setup.options["greeting"] ?? "").utf8)
  }
  static var optionKeys: [String] { ["greeting"] }
  func connected(_ agreement: DriverAgreement<SumFeatures>) { output.send(greeting) }
  func received(_ bytes: ArraySlice<UInt8>) { output.send(bytes) }
}
