/// Something on a virtqueue that no honest driver can have put there. The queue is broken until the device is reset.
///
/// Carries what was seen, so that the line in the log is enough.
public enum VirtqueueFault: Error, Sendable, Equatable {
  /// `avail.idx` is further ahead than the queue has entries.
  case availableIndex(claimed: UInt16, consumer: UInt16, entryCount: Int)
  /// An entry of the available ring, or the `next` of a descriptor, names no descriptor.
  case descriptorIndex(UInt16, entryCount: Int)
  /// The driver has made a chain available a second time before it was used.
  case headInFlight(UInt16)
  /// A packed chain whose buffer id is no number below the queue size.
  case chainID(UInt16, entryCount: Int)
  /// More descriptors available than a packed queue has places without a chain under way.
  case overrun(entryCount: Int)
  /// More descriptors than a chain can have: a loop, mostly.
  case chainTooLong(limit: Int)
  case emptyDescriptor(index: UInt16)
  /// A descriptor that the device reads behind one that it writes.
  case readableAfterWritable(index: UInt16)
  case outsideMemory(guestAddress: UInt64, byteCount: UInt32)
  /// An indirect descriptor where indirect descriptors were not negotiated.
  case indirectNotNegotiated(index: UInt16)
  /// An indirect table inside an indirect table, or one with a `next`.
  case indirectNested(index: UInt16)
  /// An indirect table whose length is no positive multiple of 16, or has too many descriptors.
  case indirectLength(UInt32)
  /// The VMM's record of what was under way contradicts itself.
  case inflightRecord
  /// What the VMM says of the queue cannot be: its size.
  case entryCount(Int)
  /// A part of the ring that is misaligned or not in the guest's memory.
  case ringMemory(part: RingPart)

  public enum RingPart: String, Sendable { case descriptors = "descriptor area", driver = "driver area", device = "device area" }
}

extension VirtqueueFault: CustomStringConvertible {
  public var description: String {
    switch self {
    case .availableIndex(let claimed, let consumer, let count):
      "the driver's avail.idx is \(claimed), \(claimed &- consumer) ahead of our \(consumer); at most \(count) are possible"
    case .descriptorIndex(let index, let count): "the driver names descriptor \(index) of \(count)"
    case .headInFlight(let head): "the driver made chain \(head) available again before it was used"
    case .chainID(let id, let count): "the driver's chain has buffer id \(id), expected one below \(count)"
    case .overrun(let count): "the driver made more than the queue's \(count) descriptors available at once"
    case .chainTooLong(let limit): "the driver's chain has more than \(limit) descriptors, or is a loop"
    case .emptyDescriptor(let index): "the driver's descriptor \(index) has no bytes"
    case .readableAfterWritable(let index): "the driver's descriptor \(index) is for reading and comes after one for writing"
    case .outsideMemory(let address, let count): "the driver's buffer of \(count) bytes at 0x\(String(address, radix: 16)) is not in the guest's memory"
    case .indirectNotNegotiated(let index): "the driver's descriptor \(index) is indirect, which was not negotiated"
    case .indirectNested(let index): "the driver's indirect descriptor \(index) stands where none may be"
    case .indirectLength(let count): "the driver's indirect table has \(count) bytes, expected a multiple of 16 up to \(DeviceQueue.chainLimit * 16)"
    case .inflightRecord: "the record of what was under way contradicts itself"
    case .entryCount(let count): "a queue of \(count) entries is not possible"
    case .ringMemory(let part): "the queue's \(part.rawValue) is misaligned, or not in the guest's memory"
    }
  }
}
