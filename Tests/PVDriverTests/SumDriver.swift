import EventLoop
import PVDriver
import XenInterface
import Xenbus

/// A driver in two versions, written by hand as `pvgen` would: it adds; version 2 has a second number, and says which version answered.
enum SumOld: RequestRingInterface {
  typealias Request = SumRequest<Two>
  typealias Response = SumResponse<Three>
  typealias Features = SumFeatures
  static let kind = DeviceKind("sum")
  static var versions: ClosedRange<UInt32> { 1...1 }
  static var dataDirection: GrantedDataDirection { .toBackend }
  static var isRepeatable: Bool { false }
  static var ringPageOrder: Int { 0 }
}

enum SumNew: RequestRingInterface {
  typealias Request = SumRequest<Three>
  typealias Response = SumResponse<Four>
  typealias Features = SumFeatures
  static let kind = DeviceKind("sum")
  static var versions: ClosedRange<UInt32> { 1...2 }
  static var dataDirection: GrantedDataDirection { .toBackend }
  static var isRepeatable: Bool { true }
  static var ringPageOrder: Int { 2 }
}

/// The new one through a mailbox.
enum SumPosted: RequestRingInterface {
  typealias Request = SumRequest<Three>
  typealias Response = SumResponse<Four>
  typealias Features = SumFeatures
  static let kind = DeviceKind("posted-sum")
  static var carrier: RequestCarrier { .mailbox }
  static var versions: ClosedRange<UInt32> { 1...2 }
  static var dataDirection: GrantedDataDirection { .toBackend }
  static var isRepeatable: Bool { true }
  static var ringPageOrder: Int { 0 }
}

/// The old one through a mailbox.
enum SumPostedOld: RequestRingInterface {
  typealias Request = SumRequest<Two>
  typealias Response = SumResponse<Three>
  typealias Features = SumFeatures
  static let kind = DeviceKind("posted-sum")
  static var carrier: RequestCarrier { .mailbox }
  static var versions: ClosedRange<UInt32> { 1...1 }
  static var dataDirection: GrantedDataDirection { .toBackend }
  static var isRepeatable: Bool { false }
  static var ringPageOrder: Int { 0 }
}

/// Adds at once, whatever it is asked through.
final class PostedSumEngine: RequestRingEngine {
  typealias Interface = SumPosted
  init(_ setup: EngineSetup) {}
  func handle(_ request: SumRequest<Three>, _ data: GrantedBytes) -> SumResponse<Four> {
    var response = SumResponse<Four>(.okay)
    response.sum = request.first &+ request.second
    return response
  }
}

/// A number of 64-bit words, for a record's size.
protocol WordCount: Sendable { static var count: Int { get } }
enum Two: WordCount { static let count = 2 }
enum Three: WordCount { static let count = 3 }
enum Four: WordCount { static let count = 4 }

/// id, first; version 2: second.
struct SumRequest<Size: WordCount>: RequestRingRequest {
  static var byteCount: Int { Size.count * 8 }
  var identifier: UInt64 = 0
  var first: UInt64 = 0
  /// Since version 2.
  var second: UInt64 = 0

  init() {}

  init<Source: WireSource & ~Copyable>(copying source: borrowing Source, at offset: Int) {
    identifier = source.loadWord64(at: offset)
    first = source.loadWord64(at: offset + 8)
    if Size.count > 2 { second = source.loadWord64(at: offset + 16) }
  }

  func store<Sink: WireSink & ~Copyable>(to sink: borrowing Sink, at offset: Int) {
    sink.storeWord64(identifier, at: offset)
    sink.storeWord64(first, at: offset + 8)
    if Size.count > 2 { sink.storeWord64(second, at: offset + 16) }
  }

  static var dataPageCapacity: Int { 0 }
  var dataOffset: UInt16 { get { 0 } set {} }
  var dataLength: UInt32 { get { 0 } set {} }
  func dataReference(at index: Int) -> GrantReference { preconditionFailure("no data") }
  mutating func setDataReference(_ reference: GrantReference, at index: Int) { preconditionFailure("no data") }
  mutating func forget(newerThan version: UInt32) { if version < 2 { second = 0 } }
  static var traceFields: [TraceField] { [TraceField("first"), TraceField("second", isSigned: true)] }
  func traceValue(at index: Int) -> UInt64 { index == 0 ? first : second }
}

/// id, length and status, sum; version 2: who answered.
struct SumResponse<Size: WordCount>: RequestRingResponse {
  static var byteCount: Int { Size.count * 8 }
  var identifier: UInt64 = 0
  var dataLength: UInt32 = 0
  var status: Int16 = 0
  var sum: UInt64 = 0
  /// Since version 2.
  var answeredBy: UInt64 = 0

  init() {}

  init<Source: WireSource & ~Copyable>(copying source: borrowing Source, at offset: Int) {
    identifier = source.loadWord64(at: offset)
    dataLength = source.loadWord32(at: offset + 8)
    status = Int16(truncatingIfNeeded: source.loadWord32(at: offset + 12))
    sum = source.loadWord64(at: offset + 16)
    if Size.count > 3 { answeredBy = source.loadWord64(at: offset + 24) }
  }

  func store<Sink: WireSink & ~Copyable>(to sink: borrowing Sink, at offset: Int) {
    sink.storeWord64(identifier, at: offset)
    sink.storeWord32(dataLength, at: offset + 8)
    sink.storeWord32(UInt32(UInt16(bitPattern: status)), at: offset + 12)
    sink.storeWord64(sum, at: offset + 16)
    if Size.count > 3 { sink.storeWord64(answeredBy, at: offset + 24) }
  }

  mutating func forget(newerThan version: UInt32) { if version < 2 { answeredBy = 0 } }
}

/// One feature of each kind: a yes of both, and the smaller number.
struct SumFeatures: DriverFeatures {
  static let fastKey = StoreKey<Bool>("feature-fast", writer: .backend, default: false)
  static let depthKey = StoreKey<UInt32>("max-depth", writer: .backend, default: 1, range: 1...64)
  var fast = true
  var depth: UInt32 = 8

  init() {}
  init(offeredBy backend: XenbusDirectory) throws(XenbusKeyError) {
    fast = try backend.value(Self.fastKey)
    depth = try backend.value(Self.depthKey)
  }
  init(acceptedBy frontend: XenbusDirectory, of offered: SumFeatures) throws(XenbusKeyError) {
    fast = try frontend.value(Self.fastKey)
    depth = try frontend.value(Self.depthKey)
    guard depth <= offered.depth, !fast || offered.fast else { throw frontend.error("max-depth", expected: "no more than was offered") }
  }
  func agreed(with other: SumFeatures) -> SumFeatures {
    var common = SumFeatures()
    common.fast = fast && other.fast
    common.depth = min(depth, other.depth)
    return common
  }
  var offerKeys: [String: String] { ["feature-fast": Self.fastKey.format(fast), "max-depth": Self.depthKey.format(depth)] }
  var acceptanceKeys: [String: String] { offerKeys }
}

/// Adds at once.
final class OldSumEngine: RequestRingEngine {
  typealias Interface = SumOld
  init(_ setup: EngineSetup) {}
  func handle(_ request: SumRequest<Two>, _ data: GrantedBytes) -> SumResponse<Three> {
    var response = SumResponse<Three>(.okay)
    response.sum = request.first
    return response
  }
}

/// Adds at once, or later in another order where the option says so.
final class NewSumEngine: RequestRingEngine {
  typealias Interface = SumNew
  static var optionKeys: [String] { ["later", "fail"] }
  private let setup: EngineSetup
  private var waiting: [(SumRequest<Three>, RequestRingAnswer<SumNew>)] = []
  private var version: UInt32 = 0
  private(set) var agreed: SumFeatures?

  init(_ setup: EngineSetup) throws {
    if let reason = setup.options["fail"] { throw SumFailure(reason: reason) }
    self.setup = setup
  }

  func connected(_ features: SumFeatures, version: UInt32) {
    agreed = features
    self.version = version
  }

  func begin(_ request: SumRequest<Three>, _ data: GrantedBytes, _ answer: RequestRingAnswer<SumNew>) {
    guard setup.options["later"] != nil else { return answer(response(request)) }
    waiting.append((request, answer))
    if waiting.count == 1 { setup.loop.schedule(afterNanoseconds: 1_000_000) { [self] in answerAll() } }
  }

  private func answerAll() {
    let due = waiting.reversed()
    waiting = []
    for (request, answer) in due { answer(response(request)) }
  }

  private func response(_ request: SumRequest<Three>) -> SumResponse<Four> {
    var response = SumResponse<Four>(.okay)
    response.sum = request.first &+ request.second
    response.answeredBy = UInt64(version)
    return response
  }
}

struct SumFailure: Error, CustomStringConvertible {
  var reason: String
  var description: String { reason }
}
