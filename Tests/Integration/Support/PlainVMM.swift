import Glibc
import LinuxSystem
import SharedMemory
import SystemPackage
import VhostUser
import VirtioInterface
import VirtioRing

/// A VMM with one queue in a guest's memory, over a real socket to a back-end in another process: sets up as it should, and lets the test do
/// to the ring and the memory what it likes.
final class PlainVMM {
  static let entryCount = 64
  static let guestAddress: UInt64 = 0x4000_0000
  static let userAddress: UInt64 = 0x7f00_0000_0000
  /// Where data begins, behind the ring.
  static let dataOffset = 1 << 16

  private let socket: SharedDescriptor
  let file: SharedDescriptor
  private let kick: SharedDescriptor
  private let call: SharedDescriptor
  /// A test that takes pages away must not be killed by it either.
  private let faults: MemoryFaults?
  let memory: SharedBytes
  let parts: DeviceQueue.Parts
  private let format: DeviceQueue.Format
  private var driver: DriverQueue
  private let queue: UInt32
  private var cursor = PlainVMM.dataOffset

  /// Connects, and sets a queue of the device up, with `features` of that device besides the ring's own. The memory is not sealed: it may be made
  /// smaller.
  init(_ socketPath: String, format: DeviceQueue.Format = .split, byteCount: Int = 4 << 20, queue: UInt32 = 0, features deviceFeatures: UInt64 = 0) throws {
    self.queue = queue
    socket = SharedDescriptor(try UnixSocket.connect(to: socketPath, kind: .stream))
    file = SharedDescriptor(try MemoryFile.createUnsealed(name: "guest", byteCount: byteCount))
    memory = try SharedRegion(mappingGuestMemory: file.descriptor, fileOffset: 0, byteCount: byteCount).bytes
    faults = MemoryFaults(watching: memory)
    kick = SharedDescriptor(try EventDescriptor.create())
    call = SharedDescriptor(try EventDescriptor.create())
    self.format = format
    let sizes = DeviceQueue.partByteCounts(format, entryCount: Self.entryCount)
    parts = DeviceQueue.Parts(
      descriptors: memory.slice(at: 0, byteCount: sizes.descriptors), driver: memory.slice(at: 4096, byteCount: sizes.driver),
      device: memory.slice(at: 8192, byteCount: sizes.device))
    driver = DriverQueue(
      format, entryCount: Self.entryCount, parts: parts, features: DeviceQueue.Features(indirect: true), start: format == .split ? 0 : 0x8000)
    let features = VirtioFeatures(rawValue: deviceFeatures).union([.version1, .protocolFeatures, .indirectDescriptors])
    try send(.setOwner)
    try send(.setFeatures, words((format == .packed ? features.union(.ringPacked) : features).rawValue))
    try send(.setProtocolFeatures, words(VhostUserFeatures([.acknowledgements, .resetDevice, .configuration]).rawValue))
    try setMemory()
    try setQueue()
  }

  deinit { hangUp() }

  func hangUp() { UnixSocket.shutDown(socket.descriptor) }

  // MARK: Messages

  func send(_ request: VhostUserRequest, _ payload: [UInt8] = [], descriptors: [SharedDescriptor] = [], needsReply: Bool = false) throws {
    let header = [request.rawValue, needsReply ? 9 : 1, UInt32(payload.count)].flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } }
    _ = try UnixSocket.send(header + payload, descriptors: descriptors.map(\.rawValue), on: socket.descriptor)
  }

  /// Sends a message, and waits until it was obeyed.
  func tell(_ request: VhostUserRequest, _ payload: [UInt8] = [], descriptors: [SharedDescriptor] = []) throws {
    try send(request, payload, descriptors: descriptors, needsReply: true)
    guard try read(20).suffix(8).allSatisfy({ $0 == 0 }) else { throw TestFailure("\(request) was refused") }
  }

  private func read(_ count: Int) throws -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count {
      let part = try UnixSocket.receive(capacity: count - bytes.count, on: socket.descriptor)
      guard !part.bytes.isEmpty else { throw TestFailure("the back-end hung up") }
      bytes += part.bytes
    }
    return bytes
  }

  /// Whether the back-end has hung up.
  var isHungUp: Bool {
    get throws {
      do throws(Errno) {
        return try UnixSocket.receive(capacity: 1, on: socket.descriptor, nonBlocking: true).bytes.isEmpty
      } catch { return error == .connectionReset }
    }
  }

  func words(_ values: UInt64...) -> [UInt8] { values.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } } }
  /// Two numbers of 32 bits, as the messages about a queue have them.
  func pair(_ first: UInt32, _ second: UInt32) -> [UInt8] { words(UInt64(first) | UInt64(second) << 32) }

  func setMemory() throws {
    try tell(.setMemoryTable, words(1, Self.guestAddress, UInt64(memory.byteCount), Self.userAddress, 0), descriptors: [file])
  }

  /// Where the VMM says that the queue's parts are: offsets in the guest's memory.
  func address(descriptors: UInt64 = 0, driver: UInt64 = 4096, device: UInt64 = 8192) -> [UInt8] {
    pair(queue, 0) + words(Self.userAddress &+ descriptors, Self.userAddress &+ device, Self.userAddress &+ driver, 0)
  }

  private func setQueue() throws {
    try send(.setVringNumber, pair(queue, UInt32(Self.entryCount)))
    try send(.setVringBase, pair(queue, driver.base))
    try send(.setVringAddress, address())
    try send(.setVringCall, words(UInt64(queue)), descriptors: [call])
    try send(.setVringKick, words(UInt64(queue)), descriptors: [kick])
    try tell(.setVringEnable, pair(queue, 1))
  }

  // MARK: Requests

  /// A request as it was sent: which chain, and where its data and its status are.
  struct Sent {
    var id: UInt16
    var data: Int
    var byteCount: Int
    var status: Int
  }

  private func place(_ byteCount: Int) -> Int {
    cursor = (cursor + 511) & ~511
    if cursor + byteCount > memory.byteCount { cursor = Self.dataOffset }
    defer { cursor += byteCount }
    return cursor
  }

  func buffer(_ offset: Int, _ byteCount: Int, isWritable: Bool = false) -> DriverQueue.Buffer {
    DriverQueue.Buffer(guestAddress: Self.guestAddress + UInt64(offset), byteCount: UInt32(byteCount), isWritable: isWritable)
  }

  /// Sends a read, or a write of `data`.
  func send(_ type: VirtioBlockRequestType, sector: UInt64, byteCount: Int, data: [UInt8] = []) throws -> Sent {
    let header = place(16)
    memory.copyIn(words(UInt64(type.rawValue), sector), at: header)
    let sent = (data: place(byteCount), status: place(1))
    memory.copyIn(data.isEmpty ? [UInt8](repeating: 0xee, count: byteCount) : data, at: sent.data)
    memory.store8(0xff, at: sent.status)
    let buffers = [buffer(header, 16), buffer(sent.data, byteCount, isWritable: type == .read), buffer(sent.status, 1, isWritable: true)]
    guard let id = driver.add(buffers) else { throw TestFailure("the queue is full") }
    if driver.publish() { EventDescriptor.signal(kick.descriptor) }
    return Sent(id: id, data: sent.data, byteCount: byteCount, status: sent.status)
  }

  /// Sends bytes that the device reads.
  func send(_ bytes: [UInt8]) throws {
    let offset = place(bytes.count)
    memory.copyIn(bytes, at: offset)
    guard driver.add([buffer(offset, bytes.count)]) != nil else { throw TestFailure("the queue is full") }
    if driver.publish() { EventDescriptor.signal(kick.descriptor) }
  }

  /// Kicks, whatever the ring says.
  func ring() { EventDescriptor.signal(kick.descriptor) }

  /// Waits for the answers to all that was sent.
  func finish() async throws {
    try await eventually("\(driver.outstandingCount) requests are answered") {
      while try driver.takeUsed() != nil {}
      return driver.outstandingCount == 0
    }
  }

  /// Writes at `sector` and reads back; throws when anything is not as it should be.
  func verify(sector: UInt64, seed: Int) async throws {
    let data = (0..<4096).map { UInt8(truncatingIfNeeded: $0 / 7 + seed) }
    let write = try send(.write, sector: sector, byteCount: data.count, data: data)
    try await finish()
    let read = try send(.read, sector: sector, byteCount: data.count)
    try await finish()
    guard memory.load8(at: write.status) == 0, memory.load8(at: read.status) == 0 else { throw TestFailure("sector \(sector): an I/O error") }
    guard memory.copyOut(at: read.data, byteCount: read.byteCount) == data else { throw TestFailure("sector \(sector): other data") }
  }

  // MARK: What no guest does

  /// Writes a descriptor over whatever is there.
  func writeDescriptor(_ index: Int, address: UInt64, byteCount: UInt32, flags: UInt16, link: UInt16) {
    parts.descriptors.store64(address, at: index * 16)
    let low = UInt64(byteCount)
    // Flags and link change places in the packed format.
    let high = format == .split ? UInt64(flags) | UInt64(link) << 16 : UInt64(link) | UInt64(flags) << 16
    parts.descriptors.store64(low | high << 32, at: index * 16 + 8)
  }

  /// Offers the chain that begins at a descriptor of a split queue, and kicks.
  func offer(_ head: UInt16) {
    let index = parts.driver.load16(at: 2)
    parts.driver.store16(head, at: 4 + Int(index) % Self.entryCount * 2)
    parts.driver.storeRelease16(index &+ 1, at: 2)
    ring()
  }

  /// Makes the guest's memory smaller under whoever has it mapped.
  func truncateMemory(to byteCount: Int) throws { try check(ftruncate(file.rawValue, byteCount)) }
}
