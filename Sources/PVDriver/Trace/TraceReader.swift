import Glibc
import LinuxSystem
import SharedMemory
public import SystemPackage

/// The other side of a ``TraceFile``: switches tracing on, and reads what comes.
public final class TraceReader {
  private let bytes: SharedBytes
  private var next: UInt32
  /// Records that were overwritten before they were read.
  public private(set) var lostCount = 0

  /// Opens the file of a running back-end. Throws `EINVAL` for one that is none.
  public init(path: String) throws(Errno) {
    let file = try OwnedDescriptor.open(path, flags: O_RDWR)
    guard try MemoryFile.byteCount(of: file) == TraceFile.byteCount else { throw .invalidArgument }
    bytes = try SharedRegion(mappingGuestMemory: file, fileOffset: 0, byteCount: TraceFile.byteCount).bytes
    guard bytes.load64(at: TraceFile.Header.magic) == TraceFile.magic else { throw .invalidArgument }
    next = bytes.loadAcquire32(at: TraceFile.Header.written) &+ 1
  }

  /// Asks for records for the next `nanoseconds`. Call it again before they are over.
  public func keepOn(nanoseconds: UInt64) { bytes.store64(MonotonicClock.nowNanoseconds + nanoseconds, at: TraceFile.Header.until) }

  /// Asks for no more.
  public func turnOff() { bytes.store64(0, at: TraceFile.Header.until) }

  /// What has been written since the last call.
  public func read() -> [TraceRecord] {
    // Pairs with the release in RequestTracer.write.
    let written = bytes.loadAcquire32(at: TraceFile.Header.written)
    var ahead = Int(Int32(truncatingIfNeeded: written &+ 1 &- next))
    // A back-end that was started anew counts from the beginning.
    if ahead < 0 {
      next = 1
      ahead = Int(min(written, UInt32(TraceFile.recordCount)))
    }
    if ahead > TraceFile.recordCount {
      lostCount += ahead - TraceFile.recordCount
      next = written &+ 1 &- UInt32(TraceFile.recordCount)
    }
    var records: [TraceRecord] = []
    while next != written &+ 1 {
      if let record = copy(next) { records.append(record) } else { lostCount += 1 }
      next &+= 1
    }
    return records
  }

  private func copy(_ number: UInt32) -> TraceRecord? {
    let slot = bytes.slice(at: TraceFile.recordOffset(number), byteCount: TraceFile.recordByteCount)
    guard slot.loadAcquire32(at: TraceFile.Record.number) == number else { return nil }
    var record = TraceRecord()
    record.number = number
    record.queue = Int(slot.load16(at: TraceFile.Record.queue))
    record.operation = Int(slot.load8(at: TraceFile.Record.operation))
    record.status = Int(slot.load8(at: TraceFile.Record.status))
    record.byteCount = slot.load64(at: TraceFile.Record.byteCount)
    record.position = slot.load64(at: TraceFile.Record.position)
    for step in TraceStep.allCases { record.times[step.rawValue] = slot.load64(at: TraceFile.Record.times + step.rawValue * 8) }
    for index in 0..<TraceRecord.fieldCapacity { record.fields[index] = slot.load64(at: TraceFile.Record.fields + index * 8) }
    // Overwritten meanwhile?
    sharedMemoryLoadFence()
    return slot.load32(at: TraceFile.Record.number) == number ? record : nil
  }

  /// What the driver calls an operation.
  public func operationName(_ operation: Int) -> String {
    guard operation < TraceFile.nameCount else { return "\(operation)" }
    return name(at: TraceFile.Header.names + operation * TraceFile.nameByteCount, byteCount: TraceFile.nameByteCount) ?? "\(operation)"
  }

  /// What the driver's requests are told with beside what all have, as the file says at this moment.
  public var fields: [TraceField] {
    let count = min(Int(bytes.load32(at: TraceFile.Header.fieldCount)), TraceRecord.fieldCapacity)
    return (0..<count).map { index in
      let place = TraceFile.Header.fields + index * TraceFile.Header.fieldByteCount
      return TraceField(
        name(at: place + 1, byteCount: TraceFile.Header.fieldByteCount - 1) ?? "field\(index)", isSigned: bytes.load8(at: place) != 0)
    }
  }

  /// A name of letters that cannot upset a terminal; nil when there is none.
  private func name(at offset: Int, byteCount: Int) -> String? {
    let text = String(decoding: bytes.copyOut(at: offset, byteCount: byteCount).prefix { $0 != 0 }, as: UTF8.self)
    return text.isEmpty || !text.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "-_".contains($0)) }) ? nil : text
  }
}
