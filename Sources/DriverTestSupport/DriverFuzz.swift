import EventLoop
public import PVDriver
import SharedMemory
import SharedRing
import SimulatedPlatform
import TestSupport
import XenInterface

/// Bytes as what a hostile peer does to a driver's back-end, for one transport.
public protocol DriverFuzzing {
  /// Does what `input` says to a new connection. Returns what is wrong; empty when nothing is.
  static func run(_ input: [UInt8], options: [String: String]) async throws -> String
}

extension DriverFuzzing {
  /// The same without options.
  public static func run(_ input: [UInt8]) async throws -> String { try await run(input, options: [:]) }

  /// Runs random inputs for about `seconds`. Returns the first input that found something, and what; nil when none did.
  public static func search(seconds: Double, seed: UInt64, options: [String: String] = [:]) async throws -> (input: [UInt8], wrong: String)? {
    var generator = SeededGenerator(seed: seed)
    let deadline = ContinuousClock.now + .seconds(seconds)
    repeat {
      let input = (0..<Int(generator.next() % 512)).map { _ in UInt8(truncatingIfNeeded: generator.next() >> 24) }
      let wrong = try await run(input, options: options)
      if !wrong.isEmpty { return (input, wrong) }
    } while ContinuousClock.now < deadline
    return nil
  }
}

/// What an input says, byte by byte; zeroes after its end.
struct FuzzReader {
  private var rest: ArraySlice<UInt8>
  init(_ input: ArraySlice<UInt8>) { rest = input }
  mutating func byte() -> UInt8? { rest.popFirst() }
  mutating func word() -> UInt32 { (0..<4).reduce(0) { word, _ in word << 8 | UInt32(byte() ?? 0) } }
  mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in byte() ?? 0 } }
}

/// Bytes as what a hostile front-end does to a driver's back-end: for libFuzzer, and for a while of random bytes in a test.
///
/// What must hold, whatever they say: no trap, a response for each request until the ring is broken, nothing mapped afterwards.
public enum DriverFuzz<Engine: RequestRingEngine>: DriverFuzzing {
  /// Does what `input` says to a new connection. Returns what is wrong; empty when nothing is.
  public static func run(_ input: [UInt8], options: [String: String]) async throws -> String {
    let target = try await BackendUnderTest<RequestRingBackendDriver<Engine>>(options: options)
    defer { withExtendedLifetime(target) {} }
    let front = try await target.connect(startingAt: input.first.map { UInt32($0) &- 128 } ?? 0)
    var reader = FuzzReader(input.dropFirst())
    var answered = 0
    var sent = 0
    while let operation = reader.byte() {
      switch operation & 7 {
      case 0: front.memory.storeRelease32(reader.word(), at: 0)
      case 1: front.memory.store32(reader.word(), at: Int(reader.byte() ?? 0) & 0x3C)
      case 2: front.memory.store32(reader.word(), at: 64 + Int(reader.word() % UInt32(front.memory.byteCount - 64)) & ~3)
      case 3:
        front.publish()
        front.signal()
      case 4: while (try? front.ring.value.takeResponse()) != nil { answered += 1 }
      default:
        guard front.ring.value.freeRequestCount > 0 else { continue }
        var request = front.request(UInt64(sent))
        if operation & 8 != 0 { request = Engine.Interface.Request(copying: WireBytes(reader.bytes(Engine.Interface.Request.byteCount)), at: 0) }
        if operation & 16 != 0 { request.dataLength = reader.word() % UInt32(2 * Engine.Interface.maximumDataByteCount + 1) }
        if operation & 32 != 0 { request.dataOffset = UInt16(truncatingIfNeeded: reader.word()) }
        for index in 0..<Engine.Interface.Request.dataPageCapacity where operation & 64 != 0 {
          request.setDataReference(front.references[Int(reader.byte() ?? 0) % front.references.count], at: index)
        }
        front.ring.value.putRequest(request)
        sent += 1
      }
    }
    front.publish()
    front.signal()
    var wrong = await target.disconnect()
    if !front.everythingIsUnmapped() { wrong += "pages of the front-end are still mapped; " }
    return wrong + (await target.finish())
  }
}
