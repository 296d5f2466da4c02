import EventLoop
import Glibc
import LinuxSystem
import Logging
import SharedMemory
import Synchronization
import VhostUser
import VirtioInterface
import VirtioRing

/// Bytes as what a hostile VMM and its guest say, over a real socket: messages of any form, with descriptors or without, cut anywhere; what
/// the guest has in its memory; and when the device answers. What must hold, whatever they say: no trap, every message is handled at once
/// or waits for the device only, the device has no queue when the connection has ended, and no descriptor is left open.
///
/// Each byte is an operation in its low four bits, with numbers behind it.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzVhostUser(_ bytes: UnsafePointer<UInt8>?, _ byteCount: Int) -> CInt {
  // SAFETY: libFuzzer passes `byteCount` readable bytes for the length of this call; they are copied at once.
  let input = unsafe bytes.map { unsafe Array(UnsafeBufferPointer(start: $0, count: byteCount)) } ?? []
  // The first time, a connection that says nothing: what is opened once for all of them is not the input's.
  if Shared.isNew { run([]) }
  run(input)
  return 0
}

private func run(_ input: [UInt8]) {
  do {
    var fuzz = try VhostUserFuzz(input)
    fuzz.run()
    fuzz.end()
  } catch { fatalError("no socket: \(error)") }
  Shared.checkDescriptors()
}

/// What all inputs use. libFuzzer has one thread.
private enum Shared {
  static let loop: EventLoop = {
    do { return try EventLoop(name: "fuzz") } catch { fatalError("no io_uring: \(error)") }
  }()
  static let memory = MemoryDescriptors()
  private static let lowestFree = Atomic<Int32>(-1)
  private static let openCount = Atomic<Int>(-1)
  static var isNew: Bool { openCount.load(ordering: .relaxed) < 0 }

  /// As many memories, counters and sockets are open as after the inputs before, or one was left open. The kernel closes what a completed
  /// operation held a moment later: looked for a few times.
  static func checkDescriptors() {
    var lowest: Int32 = -1
    for attempt in 0..<100 {
      lowest = dup(0)
      close(lowest)
      if lowest == lowestFree.load(ordering: .relaxed) { return }
      loop.turn(maySleep: false)
      if attempt > 50 { usleep(1000) }
    }
    // Pipes are the fuzzer's own, to its symbolizer.
    let open = openDescriptors
    let (isNew, known) = openCount.compareExchange(expected: -1, desired: open.count, ordering: .relaxed)
    precondition(isNew || open.count == known, "left open, with \(loop.operationsInFlight) operations under way: \(open)")
    lowestFree.store(lowest, ordering: .relaxed)
  }

  private static var openDescriptors: [String] {
    (0..<64 as Range<Int32>).compactMap { number in
      var target = [UInt8](repeating: 0, count: 256)
      // SAFETY: at most `target.count` bytes are written, and an array that is not empty has an address.
      let count = unsafe target.withUnsafeMutableBytes { unsafe readlink("/proc/self/fd/\(number)", $0.baseAddress!, $0.count) }
      let name = String(decoding: target.prefix(max(0, count)), as: UTF8.self)
      return ["/memfd:", "anon_inode:", "socket:"].contains(where: name.hasPrefix) ? "\(number) \(name)" : nil
    }
  }
}

/// Descriptors that a VMM may send: memory of several kinds, and what is none.
private struct MemoryDescriptors {
  static let byteCount = 64 << 10
  let sealed: SharedDescriptor
  let bytes: SharedBytes
  let all: [SharedDescriptor]

  init() {
    do {
      let memory = try MemoryFile.create(name: "guest", byteCount: Self.byteCount)
      bytes = try SharedRegion(mapping: memory, byteCount: Self.byteCount, access: .readWrite).bytes
      sealed = SharedDescriptor(memory)
      all = [
        sealed, SharedDescriptor(try EventDescriptor.create()), SharedDescriptor(try MemoryFile.createUnsealed(name: "guest", byteCount: 8192)),
        SharedDescriptor(try OwnedDescriptor.open("/dev/null", flags: O_RDWR)),
      ]
    } catch { fatalError("no memory: \(error)") }
  }
}

/// Takes chains when it is told to, and lets queues stop when it is told to.
private final class FuzzDevice: VhostUserDevice {
  private(set) var running: [Int: VhostUserQueue] = [:]
  private(set) var stops: [(queue: VhostUserQueue, done: () -> Void)] = []
  private var taken: [(queue: Int, chain: UInt16)] = []
  var holdsStops = false
  private var space: [UInt8] = Array(0..<32)

  override var features: VirtioFeatures { VirtioFeatures(rawValue: 0x21) }
  override var protocolFeatures: VhostUserFeatures { [.mtu, .rarp] }
  override var queueCount: Int { 2 }
  override var configuration: [UInt8] { space }
  override func setMTU(_ mtu: UInt64) -> Bool { mtu < 9000 }

  override func setConfiguration(_ bytes: [UInt8], at offset: Int) -> Bool {
    guard offset + bytes.count <= space.count else { return false }
    space.replaceSubrange(offset..<offset + bytes.count, with: bytes)
    return true
  }

  override func started(_ queue: VhostUserQueue) {
    precondition(running[queue.index] == nil, "queue \(queue.index) was started twice")
    running[queue.index] = queue
  }

  override func stop(_ queue: VhostUserQueue, done: @escaping () -> Void) {
    precondition(running[queue.index] === queue, "queue \(queue.index) was stopped and does not run")
    stops.append((queue, done))
    if !holdsStops { letStop() }
  }

  func letStop() {
    let waiting = stops
    stops = []
    for (queue, done) in waiting {
      for (index, chain) in taken where index == queue.index { if !queue.isBroken { queue.ring.value.put(chain, writtenByteCount: 1) } }
      taken.removeAll { $0.queue == queue.index }
      running[queue.index] = nil
      done()
    }
  }

  func take(from index: Int) {
    guard let queue = running[index], !queue.isBroken, !stops.contains(where: { $0.queue === queue }) else { return }
    do throws(VirtqueueFault) {
      guard let chain = try queue.ring.value.take() else { return }
      taken.append((index, chain.id))
      for place in 0..<chain.elementCount {
        let buffer = queue.ring.value.elements[place]
        if place < chain.readableCount {
          _ = queue.ring.value.memory.load8(buffer, at: buffer.byteCount - 1)
        } else {
          queue.ring.value.memory.store8(0x5a, to: buffer, at: buffer.byteCount - 1)
          queue.ring.value.memory.markWritten(buffer)
        }
      }
    } catch { queue.giveUp(error) }
  }

  func answer() {
    guard let (index, chain) = taken.popLast(), let queue = running[index] else { return }
    if !queue.isBroken { queue.ring.value.put(chain, writtenByteCount: 1) }
    queue.publish()
  }

  func sleep() { for queue in running.values { _ = queue.armKick(sawChains: true) } }
}

private struct VhostUserFuzz {
  private let input: [UInt8]
  private var position = 0
  private let device = FuzzDevice(loop: Shared.loop)
  private let socket: SharedDescriptor
  private let server: VhostUserServer
  private let memory = Shared.memory
  private let heard = Heard()

  private final class Heard { var isOver = false }

  init(_ input: [UInt8]) throws {
    self.input = input
    memory.bytes.zero(at: 0, byteCount: MemoryDescriptors.byteCount)
    let pair = try UnixSocket.pair(.stream)
    socket = SharedDescriptor(try pair.first.duplicate())
    let logger = Logger(label: "fuzz", factory: { _ in SwiftLogNoOpLogHandler() })
    server = try VhostUserServer(device, connected: try pair.second.duplicate(), logger: logger) { [heard] notice in
      if case .disconnected = notice { heard.isOver = true }
    }
  }

  private mutating func next() -> UInt8 {
    guard position < input.count else { return 0 }
    defer { position += 1 }
    return input[position]
  }

  private mutating func next16() -> UInt16 { UInt16(next()) | UInt16(next()) << 8 }
  private mutating func take(_ count: Int) -> [UInt8] { (0..<count).map { _ in next() } }

  mutating func run() {
    while position < input.count, !heard.isOver {
      let operation = next()
      let argument = Int(operation >> 4)
      switch operation & 15 {
      // A message that is right in form: its number, then its payload.
      case 0, 1, 2: message(descriptors: argument & 3 == 3 ? [] : [memory.all[argument & 3]], flags: operation & 15 == 2 ? 9 : 1)
      // Several descriptors.
      case 3: message(descriptors: (0..<argument).map { _ in memory.all[Int(next() & 3)] }, flags: 1)
      case 4: message(descriptors: [], flags: UInt32(next()) | UInt32(next()) << 24)
      // Bytes as they are.
      case 5: write(take(argument + 1), descriptors: [])
      case 6: write(take(argument + 1), descriptors: [memory.all[argument & 3]])
      // What the guest does.
      case 7:
        let offset = Int(next16())
        for (place, byte) in take(argument + 1).enumerated() { memory.bytes.store8(byte, at: (offset + place) % MemoryDescriptors.byteCount) }
      // What the device does.
      case 8, 9: device.take(from: argument & 1)
      case 10: device.answer()
      case 11: device.holdsStops = argument & 1 != 0
      case 12: device.letStop()
      case 13: device.sleep()
      default: device.notifyConfigurationChange?()
      }
      Shared.loop.turn(maySleep: false)
    }
  }

  private mutating func message(descriptors: [SharedDescriptor], flags: UInt32) {
    let request = UInt32(next())
    let payload = take(Int(next()))
    write(Self.bytes(request) + Self.bytes(flags) + Self.bytes(UInt32(payload.count)) + payload, descriptors: descriptors)
  }

  private static func bytes(_ word: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } }

  /// Sends, and reads what was answered so that the server never waits for room.
  private func write(_ bytes: [UInt8], descriptors: [SharedDescriptor]) {
    _ = try? UnixSocket.send(bytes, descriptors: descriptors.prefix(8).map(\.rawValue), on: socket.descriptor, nonBlocking: true)
    Shared.loop.turn(maySleep: false)
    while let part = try? UnixSocket.receive(capacity: 4096, on: socket.descriptor, nonBlocking: true), !part.bytes.isEmpty {
      for descriptor in part.descriptors { close(descriptor) }
    }
  }

  /// Hangs up. Nothing may be left.
  mutating func end() {
    UnixSocket.shutDown(socket.descriptor)
    device.holdsStops = false
    for _ in 0..<100_000 where !heard.isOver {
      device.letStop()
      Shared.loop.turn(maySleep: false)
    }
    precondition(heard.isOver, "the connection does not end")
    precondition(device.running.isEmpty && device.stops.isEmpty, "a queue outlived its connection")
    server.stop {}
    Shared.loop.turn(maySleep: false)
  }
}
