public import SharedMemory
import EventLoop
import LinuxSystem
import Uring

/// Which memory is registered with the ring: pinned once, so that a transfer to it needs no look-up of pages.
struct BufferRegistration {
  /// `RequestPool.Slot.region` of a request whose vectors lie in several arenas.
  static let mixedRegions: Int32 = -2
  static let tableCapacity = 64

  /// By region: whether the ring has it, under the same index.
  private var isRegistered: [Bool] = []
  /// The ring has a table of buffers, made by this engine.
  var hasTable: Bool?

  var count: Int { isRegistered.count }
  mutating func append(_ registered: Bool) { isRegistered.append(registered) }
  mutating func removeAll() { isRegistered.removeAll(keepingCapacity: true) }
  func isRegistered(at index: Int) -> Bool { isRegistered[index] }

  /// Index of the registered buffer that is `region`.
  func buffer(of region: Int32) -> Int? {
    guard region >= 0, Int(region) < isRegistered.count, isRegistered[Int(region)] else { return nil }
    return Int(region)
  }
}

extension BlockEngine {
  /// Regions that the engine knows of; a vector in a higher one calls for ``learnRegions(_:)``.
  public var knownRegionCount: Int { registration.count }

  /// Tells the engine of memory that requests will use, by region; earlier ones are the same as before. It is registered
  /// with the ring where that is possible: it need not be (locked memory is limited), and then costs a little more each time.
  public func learnRegions(_ ranges: [SharedVector]) {
    for index in registration.count..<max(registration.count, ranges.count) {
      registration.append(register(ranges[index], at: index))
    }
  }

  private func register(_ range: SharedVector, at index: Int) -> Bool {
    guard case .file = store.kind, store.isDirect, let loop, index < BufferRegistration.tableCapacity else { return false }
    if registration.hasTable == nil {
      // Fails when another engine of this loop has one: then this one does without.
      registration.hasTable = (try? loop.uring.registerSparseBuffers(count: UInt32(BufferRegistration.tableCapacity))) != nil
    }
    guard registration.hasTable == true else { return false }
    return (try? loop.uring.setRegisteredBuffer(address: range.address, byteCount: range.byteCount, at: index)) != nil
  }

  /// Unpins all memory. No request may be under way.
  public func forgetBuffers() {
    for index in 0..<registration.count where registration.isRegistered(at: index) {
      try? loop?.uring.setRegisteredBuffer(address: 0, byteCount: 0, at: index)
    }
    registration.removeAll()
  }

  func registerFile() {
    guard case .file(let opened) = store.kind else { return }
    file = loop.registerFile(opened.descriptor.rawValue)
  }

  func unregisterFile() {
    loop?.unregisterFile(file)
    file = .descriptor(-1)
  }
}
