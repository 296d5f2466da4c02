import EventLoop
import Glibc
import LinuxSystem
import Logging
import SystemPackage
import Testing
import VhostUser
import VirtioInterface
import VirtioRing

/// A VMM at the other end of a real socket, and the server that it talks to, both turned by the test's thread.
///
/// It says exactly what it is told to, right or wrong.
final class TestVMM {
  let turns: TestLoop
  let device: VhostUserDevice
  private var server: VhostUserServer?
  private let socket: OwnedDescriptor
  private let heard = Heard()
  var notices: [VhostUserServer.Notice] { heard.notices }

  /// Apart from the VMM, which hears of the end while it goes.
  private final class Heard { var notices: [VhostUserServer.Notice] = [] }

  init(_ device: VhostUserDevice, on turns: TestLoop) throws {
    self.turns = turns
    self.device = device
    let pair = try UnixSocket.pair(.stream)
    let theirs = try pair.second.duplicate()
    socket = try pair.first.duplicate()
    server = try VhostUserServer(device, connected: theirs, logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })) { [heard] in
      heard.notices.append($0)
    }
  }

  convenience init() throws {
    let turns = try TestLoop()
    try self.init(TestDevice(loop: turns.loop), on: turns)
  }

  deinit {
    UnixSocket.shutDown(socket)
    let heard = heard
    _ = turns.run { heard.notices.contains { $0 != .connected } }
  }

  /// The device, where it is one that tests play.
  var testDevice: TestDevice {
    guard let device = device as? TestDevice else { preconditionFailure("another kind of device") }
    return device
  }

  // MARK: What it says

  func write(_ bytes: [UInt8], descriptors: [Int32] = []) throws {
    #expect(try UnixSocket.send(bytes, descriptors: descriptors, on: socket) == bytes.count)
  }

  func send(
    _ request: UInt32, _ payload: [UInt8] = [], descriptors: [Int32] = [], flags: UInt32 = 1, announcing byteCount: Int? = nil
  ) throws {
    try write(bytesOf(request) + bytesOf(flags) + bytesOf(UInt32(byteCount ?? payload.count)) + payload, descriptors: descriptors)
  }

  func send(_ request: VhostUserRequest, _ payload: [UInt8] = [], descriptors: [Int32] = [], needsReply: Bool = false) throws {
    try send(request.rawValue, payload, descriptors: descriptors, flags: needsReply ? 9 : 1)
  }

  /// The same, and throws `EAGAIN` rather than wait for room.
  func sendWithoutWaiting(_ request: VhostUserRequest) throws {
    _ = try UnixSocket.send(bytesOf(request.rawValue) + bytesOf(UInt32(1)) + bytesOf(UInt32(0)), on: socket, nonBlocking: true)
  }

  /// Sends a message and returns what it is answered with.
  func ask(_ request: VhostUserRequest, _ payload: [UInt8] = [], descriptors: [Int32] = [], needsReply: Bool = false) throws -> Answer {
    try send(request, payload, descriptors: descriptors, needsReply: needsReply)
    let answer = try answer()
    #expect(answer.request == request.rawValue && answer.flags == 5, "\(request) was answered by \(answer.request), flags \(answer.flags)")
    return answer
  }

  /// Sends a message, and waits until it was obeyed and nothing else was said.
  func tell(_ request: VhostUserRequest, _ payload: [UInt8] = [], descriptors: [Int32] = []) throws {
    let answer = try ask(request, payload, descriptors: descriptors, needsReply: true)
    #expect(word64(answer.payload) == 0 && answer.payload.count == 8)
    #expect(try saysNothing(), "\(request) was answered twice")
  }

  // MARK: What it hears

  struct Answer {
    var request: UInt32
    var flags: UInt32
    var payload: [UInt8]
    var descriptors: [SharedDescriptor]
  }

  struct Ended: Error { var failure: VhostUserError? }

  func answer() throws -> Answer {
    var descriptors: [SharedDescriptor] = []
    let header = try read(12, &descriptors)
    let size = Int(UInt32(truncatingIfNeeded: word64(Array(header[8..<12]))))
    let payload = size > 0 ? try read(size, &descriptors) : []
    return Answer(
      request: UInt32(truncatingIfNeeded: word64(Array(header[0..<4]))), flags: UInt32(truncatingIfNeeded: word64(Array(header[4..<8]))),
      payload: payload, descriptors: descriptors)
  }

  private func read(_ count: Int, _ descriptors: inout [SharedDescriptor]) throws -> [UInt8] {
    var bytes: [UInt8] = []
    var isLate = false
    let limit = turns.loop.schedule(afterNanoseconds: 20_000_000_000) { isLate = true }
    defer { limit.cancel() }
    while bytes.count < count {
      guard !isLate else { throw Ended(failure: nil) }
      do throws(Errno) {
        let part = try UnixSocket.receive(capacity: count - bytes.count, on: socket, nonBlocking: true)
        descriptors += part.descriptors.map { SharedDescriptor(owning: $0) }
        if part.bytes.isEmpty { throw Errno.connectionReset }
        bytes += part.bytes
      } catch {
        guard error == .wouldBlock else {
          _ = turns.run { isOver }
          throw Ended(failure: failure)
        }
        turns.turn()
      }
    }
    return bytes
  }

  /// Whether the server has nothing more to say, once it has done what it was told.
  func saysNothing() throws -> Bool {
    for _ in 0..<3 { turns.loop.turn(maySleep: false) }
    do throws(Errno) {
      return try UnixSocket.receive(capacity: 1, on: socket, nonBlocking: true).bytes.isEmpty
    } catch { return error == .wouldBlock }
  }

  // MARK: The end

  var isOver: Bool {
    for case .disconnected in notices { return true }
    return false
  }

  /// What the server said of the end.
  var failure: VhostUserError? {
    for case .disconnected(let failure) in notices { return failure }
    return nil
  }

  /// Turns until the server has ended the connection, and returns why.
  func ending() -> VhostUserError? {
    #expect(turns.run { isOver })
    return failure
  }

  /// Hangs up.
  func hangUp() {
    UnixSocket.shutDown(socket)
    _ = turns.run { isOver }
  }

  // MARK: Setting up

  static let protocolFeatures: VhostUserFeatures = [
    .multipleQueues, .logSharedMemory, .acknowledgements, .backendChannel, .configuration, .inflight, .resetDevice, .memorySlots, .status,
  ]

  func negotiate(_ features: VirtioFeatures = [], protocolFeatures: VhostUserFeatures = TestVMM.protocolFeatures) throws {
    try send(.setOwner)
    try send(.setFeatures, bytesOf(features.union([.version1, .protocolFeatures, .eventIndex, .indirectDescriptors]).rawValue))
    try send(.setProtocolFeatures, bytesOf(protocolFeatures.rawValue))
  }

  func setMemory(_ guest: TestGuest) throws {
    try send(.setMemoryTable, bytesOf(UInt32(1)) + bytesOf(UInt32(0)) + guest.region, descriptors: [guest.file.rawValue])
  }

  /// Sets a queue up and starts it; returns its kick and call.
  @discardableResult
  func start(_ queue: Int, of guest: TestGuest, base: UInt32, kick: Bool = true, marksWrites: Bool = false) throws -> (kick: SharedDescriptor, call: SharedDescriptor) {
    let events = (kick: SharedDescriptor(try EventDescriptor.create()), call: SharedDescriptor(try EventDescriptor.create()))
    let index = UInt32(queue)
    try send(.setVringNumber, bytesOf(index) + bytesOf(UInt32(TestGuest.entryCount)))
    try send(.setVringBase, bytesOf(index) + bytesOf(base))
    try send(.setVringAddress, guest.address(of: queue, marksWrites: marksWrites))
    try send(.setVringCall, bytesOf(UInt64(queue)), descriptors: [events.call.rawValue])
    try send(.setVringKick, bytesOf(UInt64(queue) | (kick ? 0 : 1 << 8)), descriptors: kick ? [events.kick.rawValue] : [])
    try send(.setVringEnable, bytesOf(index) + bytesOf(UInt32(1)))
    // Whatever is answered: all of the above has been handled then.
    _ = try ask(.getFeatures)
    return events
  }
}

/// One end of a socket pair, to be given away, whose fate can be seen: when the last copy is closed, the other end reads the end.
final class WatchedDescriptor {
  private var kept: OwnedDescriptor
  private var given: SharedDescriptor?

  init() throws {
    let pair = try UnixSocket.pair(.stream)
    kept = try pair.first.duplicate()
    given = SharedDescriptor(try pair.second.duplicate())
  }

  var rawValue: Int32 { given?.rawValue ?? -1 }

  /// Gives up the copy of our own. Call when it was sent.
  func letGo() { given = nil }

  var isClosed: Bool {
    do throws(Errno) { return try UnixSocket.receive(capacity: 1, on: kept, nonBlocking: true).bytes.isEmpty } catch { return error != .wouldBlock }
  }
}
