import EventLoop
import LinuxSystem
import SharedMemory
import SystemPackage
import VirtioInterface
import VirtioRing

// The guest's memory, and other memory that the VMM shares.
extension VhostUserSession {
  /// Regions that we take.
  static let memorySlots = GuestMemory.capacity - 3
  /// How often memory that could be taken away under us is looked after.
  private static let faultCheckNanoseconds: UInt64 = 100_000_000

  func setMemoryTable(_ message: Message) throws(VhostUserError) {
    let count = Int(Payload.word32(message.payload, at: 0))
    guard message.payload.count == 8 + count * MemoryRegionMessage.byteCount, count == message.descriptors.count else {
      throw VhostUserError(
        .setMemoryTable, "it names \(count) regions, with \(message.payload.count) bytes and \(message.descriptors.count) descriptors")
    }
    withQueuesStopped(message.header) { [self] () throws(VhostUserError) in
      memory.removeAll()
      faults = []
      for index in 0..<count {
        try map(MemoryRegionMessage(message.payload, at: 8 + index * MemoryRegionMessage.byteCount), message.descriptors[index], .setMemoryTable)
      }
      device.memoryChanged(memory)
    }
  }

  func addMemoryRegion(_ message: Message) throws(VhostUserError) {
    guard memory.regionCount < Self.memorySlots else { throw VhostUserError(.addMemoryRegion, "there are \(memory.regionCount) regions already") }
    // Nothing that runs knows of it: no queue has to stop.
    try map(MemoryRegionMessage(message.payload, at: 8), message.descriptors[0], .addMemoryRegion)
    device.memoryChanged(memory)
    for index in vrings.indices { try startIfComplete(index) }
  }

  func removeMemoryRegion(_ message: Message) {
    let region = MemoryRegionMessage(message.payload, at: 8)
    withQueuesStopped(message.header) { [self] () throws(VhostUserError) in
      guard memory.remove(guestAddress: region.guestAddress, userAddress: region.userAddress, byteCount: region.regionByteCount) else {
        throw VhostUserError(.removeMemoryRegion, "there is no region of \(region.regionByteCount) bytes at 0x\(String(region.guestAddress, radix: 16))")
      }
      device.memoryChanged(memory)
    }
  }

  private func map(_ region: MemoryRegionMessage, _ file: SharedDescriptor, _ request: VhostUserRequest) throws(VhostUserError) {
    let place = "the region of \(region.regionByteCount) bytes at 0x\(String(region.guestAddress, radix: 16))"
    let bytes = try map(file, offset: region.fileOffset, byteCount: region.regionByteCount, place, request)
    do throws(GuestMemory.RegionError) {
      try memory.add(bytes, guestAddress: region.guestAddress, userAddress: region.userAddress)
    } catch {
      switch error {
      case .overlap(let other): throw VhostUserError(request, "\(place) overlaps region \(other)")
      case .overflow: throw VhostUserError(request, "\(place) ends beyond the address space")
      case .empty, .tableFull: throw VhostUserError(request, "\(place) cannot be added: \(error)")
      }
    }
  }

  /// Maps a part of a file that the VMM shares.
  private func map(
    _ file: SharedDescriptor, offset: UInt64, byteCount: UInt64, _ place: String, _ request: VhostUserRequest
  ) throws(VhostUserError) -> SharedBytes {
    guard byteCount > 0, byteCount <= UInt64(Int.max) / 2, offset <= UInt64(Int.max) / 2 else {
      throw VhostUserError(request, "\(place) has an impossible size or place in its file")
    }
    // The kernel maps whole pages.
    let start = offset & ~4095
    let length: Int
    let region: SharedRegion
    do throws(Errno) {
      length = try MemoryFile.byteCount(of: file.descriptor)
      region = try SharedRegion(mappingGuestMemory: file.descriptor, fileOffset: Int(start), byteCount: Int(offset - start + byteCount))
    } catch {
      throw VhostUserError(request, "\(place) cannot be mapped: \(error)")
    }
    guard offset + byteCount <= UInt64(length) else {
      throw VhostUserError(request, "\(place) ends beyond its file, which has \(length) bytes")
    }
    if !MemoryFile.cannotShrink(file.descriptor) { try watchOver(region.bytes, place, request) }
    return region.bytes.slice(at: Int(offset - start), byteCount: Int(byteCount))
  }

  /// Memory that its owner can make smaller under us: survived, and noticed.
  private func watchOver(_ bytes: SharedBytes, _ place: String, _ request: VhostUserRequest) throws(VhostUserError) {
    guard let fault = MemoryFaults(watching: bytes) else {
      throw VhostUserError(request, "\(place) is not sealed against shrinking, and too many such regions are there already")
    }
    faults.append(fault)
    guard !isCheckingFaults else { return }
    isCheckingFaults = true
    checkFaults()
  }

  private func checkFaults() {
    guard !isOver else { return }
    if faults.contains(where: \.haveHappened) {
      return end(VhostUserError(message: "guest memory", "its file was made smaller while it was in use"))
    }
    loop.schedule(afterNanoseconds: Self.faultCheckNanoseconds) { [weak self] in self?.checkFaults() }
  }

  // MARK: Dirty log

  func setLogBase(_ message: Message) throws(VhostUserError) {
    let byteCount = message.word
    let offset = Payload.word64(message.payload, at: 8)
    let needed = DirtyLog.byteCount(upTo: memory.guestAddressEnd)
    // Bits are set in words of two bytes, which must not lie across two cache lines.
    guard offset % 8 == 0 else { throw VhostUserError(.setLogBase, "the log begins at byte \(offset) of its file, expected a multiple of 8") }
    guard byteCount >= needed else {
      throw VhostUserError(.setLogBase, "a log of \(byteCount) bytes is too small for the guest's memory, which takes \(needed)")
    }
    memory.dirtyLog.use(try map(message.descriptors[0], offset: offset, byteCount: byteCount, "the log", .setLogBase))
    memory.dirtyLog.setActive(features?.contains(.logAll) == true)
    reply(to: message.header, Payload.bytes(UInt64(0)))
  }

  // MARK: What outlives us

  /// Makes the memory in which a later back-end finds what was under way.
  func makeInflight(_ message: Message) throws(VhostUserError) {
    let wanted = InflightMessage(message.payload)
    let byteCount = try inflightByteCount(wanted, .getInflightDescriptor)
    do throws(Errno) {
      let file = try MemoryFile.create(name: "pvio-inflight", byteCount: byteCount)
      let answer = InflightMessage(byteCount: UInt64(byteCount), queueCount: wanted.queueCount, entryCount: wanted.entryCount)
      reply(to: message.header, answer.bytes, descriptors: [file.rawValue])
    } catch {
      throw VhostUserError(.getInflightDescriptor, "no memory for \(byteCount) bytes: \(error)")
    }
  }

  func setInflight(_ message: Message) throws(VhostUserError) {
    let given = InflightMessage(message.payload)
    let needed = try inflightByteCount(given, .setInflightDescriptor)
    guard given.byteCount >= UInt64(needed) else {
      throw VhostUserError(.setInflightDescriptor, "\(given.byteCount) bytes are too few for \(given.queueCount) queues of \(given.entryCount) entries")
    }
    guard given.fileOffset % 8 == 0 else {
      throw VhostUserError(.setInflightDescriptor, "the record begins at byte \(given.fileOffset) of its file, expected a multiple of 8")
    }
    inflight = (
      try map(message.descriptors[0], offset: given.fileOffset, byteCount: given.byteCount, "the in-flight record", .setInflightDescriptor), given
    )
  }

  private func inflightByteCount(_ message: InflightMessage, _ request: VhostUserRequest) throws(VhostUserError) -> Int {
    guard message.queueCount > 0, Int(message.queueCount) <= vrings.count, message.entryCount > 0, Int(message.entryCount) <= DeviceQueue.entryLimit else {
      throw VhostUserError(request, "\(message.queueCount) queues of \(message.entryCount) entries: this device has \(vrings.count) queues")
    }
    return Int(message.queueCount) * inflightStride(features?.contains(.ringPacked) == true ? .packed : .split, message)
  }

  /// Bytes of one queue's record.
  private func inflightStride(_ format: DeviceQueue.Format, _ message: InflightMessage) -> Int {
    switch format {
    case .split: InflightRecord.byteCount(entryCount: Int(message.entryCount))
    case .packed: PackedInflightRecord.byteCount(entryCount: Int(message.entryCount))
    }
  }

  /// The record of one split queue, if there is one.
  func inflightRecord(_ index: Int, _ format: DeviceQueue.Format, entryCount: Int) -> InflightRecord? {
    guard format == .split, let memory = inflightMemory(index, format, entryCount: entryCount) else { return nil }
    return InflightRecord(memory, entryCount: entryCount)
  }

  /// The record of one packed queue, if there is one.
  func packedInflightRecord(_ index: Int, _ format: DeviceQueue.Format, entryCount: Int) -> PackedInflightRecord? {
    guard format == .packed, let memory = inflightMemory(index, format, entryCount: entryCount) else { return nil }
    return PackedInflightRecord(memory, entryCount: entryCount)
  }

  private func inflightMemory(_ index: Int, _ format: DeviceQueue.Format, entryCount: Int) -> SharedBytes? {
    guard let inflight, index < Int(inflight.message.queueCount), entryCount <= Int(inflight.message.entryCount) else { return nil }
    let stride = inflightStride(format, inflight.message)
    guard inflight.memory.byteCount / stride > index else { return nil }
    return inflight.memory.slice(at: index * stride, byteCount: stride)
  }
}
