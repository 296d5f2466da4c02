import BlockEngine
import BlockInterface
import Logging
import PVDriver
import SharedMemory
import VhostUser
import VirtioInterface
import VirtioRing

// From a chain to a request that the engine runs. Everything is checked on copies; what is wrong is answered, never trusted.
extension BlockVirtioPlane {
  /// Handles one chain, whose buffers are in its queue's `elements`. False when the engine has no room: try it again after a completion.
  func handle(_ chain: DeviceQueue.Chain, of served: BlockVirtioQueue) -> Bool {
    // Without a byte to answer in, all that can be done is to give the chain back.
    guard chain.writableByteCount > 0 else {
      reject(served, "it has no status byte")
      served.queue.ring.value.put(chain.id, writtenByteCount: 0)
      served.unpublishedCount += 1
      return true
    }
    var row = Row(queue: Int32(served.queue.index), chain: chain.id)
    row.status = elements(served, chain.elementCount - 1)
    row.writtenByteCount = 1
    guard chain.readableByteCount >= VirtioBlockHeader.byteCount else { return refuse(served, row, "its header has \(chain.readableByteCount) bytes") }
    let words = copyWords(served, chain, at: 0)
    let request = VirtioBlockHeader(first: words.0, second: words.1)
    switch VirtioBlockRequestType(rawValue: request.type) {
    case .read: return transfer(.read, request, chain, row, served)
    case .write: return transfer(.write, request, chain, row, served)
    case .flush: return flush(row, served)
    case .getIdentifier: return identify(chain, row, served)
    case .discard: return eraseRange(discards: true, chain, row, served)
    case .writeZeroes: return eraseRange(discards: false, chain, row, served)
    case .secureErase, nil:
      served.state.value.rejections &+= 1
      answer(served, row, VirtioBlockStatus.unsupported)
      return true
    }
  }

  @inline(__always) private func elements(_ served: BlockVirtioQueue, _ position: Int) -> GuestBuffer {
    served.queue.ring.value.elements[position]
  }

  // MARK: Reads and writes

  private func transfer(
    _ operation: BlockOperation, _ request: VirtioBlockHeader, _ chain: DeviceQueue.Chain, _ row: Row, _ served: BlockVirtioQueue
  ) -> Bool {
    // A read's data lies in front of the status byte, a write's behind the header.
    let byteCount = operation == .read ? chain.writableByteCount - 1 : chain.readableByteCount - VirtioBlockHeader.byteCount
    guard byteCount & 511 == 0 else { return refuse(served, row, "its data has \(byteCount) bytes") }
    if let refusal = engine.refusal(of: operation, sector: request.sectorNumber, sectorCount: UInt64(byteCount / 512)) {
      return refuse(served, row, refusal.status.virtio)
    }
    let range = operation == .read ? chain.readableCount..<chain.elementCount : 0..<chain.readableCount
    guard range.count <= DiskDescription.segmentLimit + 2 else { return refuse(served, row, "it has \(range.count) data buffers") }
    guard let index = engine.begin(vectorCount: range.count) else { return false }
    var skip = operation == .read ? 0 : VirtioBlockHeader.byteCount
    var left = byteCount
    var misaligned: UInt = 0
    for position in range {
      var buffer = elements(served, position)
      let skipped = min(skip, buffer.byteCount)
      skip -= skipped
      buffer.address += UInt(skipped)
      buffer.byteCount = min(buffer.byteCount - skipped, left)
      if buffer.byteCount == 0 { continue }
      left -= buffer.byteCount
      misaligned |= buffer.address | UInt(buffer.byteCount)
      engine.append(buffer.vector, region: buffer.region, to: index)
    }
    var row = row
    if operation == .read { row.writtenByteCount = UInt32(byteCount + 1) }
    if misaligned & UInt(engine.geometry.sectorByteCount - 1) != 0, engine.store.isDirect {
      return transferByBounce(index, operation, request, range: range, byteCount: byteCount, row, served)
    }
    began(index, row, operation, byteCount: UInt64(byteCount), sector: request.sectorNumber, served)
    engine.submit(index, operation, sector: request.sectorNumber, tag: UInt64(index))
    return true
  }

  /// A request goes to the engine.
  @inline(__always)
  private func began(
    _ index: Int, _ row: Row, _ operation: BlockOperation, byteCount: UInt64, sector: UInt64, _ served: BlockVirtioQueue
  ) {
    rows[index] = row
    served.inFlightCount += 1
    guard tracer.isOn else { return }
    tracer.begin(index, queue: served.queue.index, operation: Int(operation.rawValue), byteCount: byteCount, position: sector &* 512)
    tracer.mark(.submit, index)
  }

  /// The kernel takes no unaligned memory around the page cache: data goes through memory of ours then. Firmware does that, systems hardly.
  private func transferByBounce(
    _ old: Int, _ operation: BlockOperation, _ request: VirtioBlockHeader, range: Range<Int>, byteCount: Int, _ row: Row, _ served: BlockVirtioQueue
  ) -> Bool {
    engine.abandon(old)
    guard let index = engine.begin(vectorCount: 1) else { return false }
    let buffers = range.map { elements(served, $0) }
    guard
      let bounce = BounceBuffer(
        buffers, skipping: operation == .read ? 0 : VirtioBlockHeader.byteCount, byteCount: byteCount, isRead: operation == .read)
    else {
      engine.abandon(index)
      return refuse(served, row, VirtioBlockStatus.error)
    }
    if operation == .write { bounce.fill(from: served.memory) }
    bounces[index] = bounce
    engine.append(bounce.vector, region: -1, to: index)
    began(index, row, operation, byteCount: UInt64(byteCount), sector: request.sectorNumber, served)
    engine.submit(index, operation, sector: request.sectorNumber, tag: UInt64(index))
    return true
  }

  // MARK: Everything else

  private func flush(_ row: Row, _ served: BlockVirtioQueue) -> Bool {
    if engine.geometry.isReadOnly {
      answer(served, row, .okay)
      return true
    }
    guard let index = engine.begin(vectorCount: 0) else { return false }
    began(index, row, .flush, byteCount: 0, sector: 0, served)
    engine.submit(index, .flush, sector: 0, tag: UInt64(index))
    return true
  }

  /// Twenty bytes, as many as there is room for (`VIRTIO_BLK_ID_BYTES`).
  private func identify(_ chain: DeviceQueue.Chain, _ row: Row, _ served: BlockVirtioQueue) -> Bool {
    var left = min(VirtioBlockLimits.identifierByteCount, chain.writableByteCount - 1)
    var row = row
    row.writtenByteCount = UInt32(left + 1)
    var offset = 0
    for position in chain.readableCount..<chain.elementCount where left > 0 {
      let buffer = elements(served, position)
      for place in 0..<min(left, buffer.byteCount) {
        served.memory.store8(offset < identity.count ? identity[offset] : 0, to: buffer, at: place)
        offset += 1
      }
      left -= min(left, buffer.byteCount)
      if served.memory.dirtyLog.isActive { served.memory.markWritten(buffer) }
    }
    answer(served, row, .okay)
    return true
  }

  /// Discards or zeroes one range.
  private func eraseRange(discards: Bool, _ chain: DeviceQueue.Chain, _ row: Row, _ served: BlockVirtioQueue) -> Bool {
    if discards, !engine.store.supportsDiscard { return refuse(served, row, VirtioBlockStatus.unsupported) }
    guard chain.readableByteCount == VirtioBlockHeader.byteCount + VirtioBlockSegment.byteCount else {
      return refuse(served, row, "its ranges have \(chain.readableByteCount - VirtioBlockHeader.byteCount) bytes")
    }
    let words = copyWords(served, chain, at: VirtioBlockHeader.byteCount)
    let range = VirtioBlockSegment(first: words.0, second: words.1)
    // A discard has no flags (virtio 1.2, 5.2.6.2).
    let allowedFlags = discards ? 0 : VirtioBlockSegmentFlags.unmap.rawValue
    guard range.flags & ~allowedFlags == 0 else { return refuse(served, row, VirtioBlockStatus.unsupported) }
    guard range.sectorCount <= DiskDescription.rangeSectorLimit else { return refuse(served, row, "its range has \(range.sectorCount) sectors") }
    let mayUnmap = discards || range.flags != 0
    let operation: BlockOperation = discards ? .discard : .writeZeroes
    if let refusal = engine.refusal(of: operation, sector: range.sectorNumber, sectorCount: UInt64(range.sectorCount)) {
      return refuse(served, row, refusal.status.virtio)
    }
    guard let index = engine.begin(vectorCount: 0) else { return false }
    began(index, row, operation, byteCount: UInt64(range.sectorCount) * 512, sector: range.sectorNumber, served)
    if discards {
      engine.submitDiscard(index, sector: range.sectorNumber, sectorCount: UInt64(range.sectorCount), tag: UInt64(index))
    } else {
      engine.submitWriteZeroes(
        index, sector: range.sectorNumber, sectorCount: UInt64(range.sectorCount), mayUnmap: mayUnmap && engine.store.supportsDiscard, tag: UInt64(index))
    }
    return true
  }

  // MARK: Refusals

  private func refuse(_ served: BlockVirtioQueue, _ row: Row, _ status: VirtioBlockStatus) -> Bool {
    served.state.value.rejections &+= 1
    answer(served, row, status)
    return true
  }

  private func refuse(_ served: BlockVirtioQueue, _ row: Row, _ reason: @autoclosure () -> String) -> Bool {
    reject(served, reason())
    answer(served, row, VirtioBlockStatus.error)
    return true
  }

  private func reject(_ served: BlockVirtioQueue, _ reason: String) {
    served.state.value.rejections &+= 1
    guard let heldBack = limiter.admit() else { return }
    let others = heldBack > 0 ? " (\(heldBack) more like this were not logged)" : ""
    logger.warning("queue \(served.queue.index): a request is malformed: \(reason)\(others)")
  }

  // MARK: Copies

  /// Two words of the chain's readable bytes from `offset` on, copied once. A header may be cut anywhere.
  @inline(__always)
  private func copyWords(_ served: BlockVirtioQueue, _ chain: DeviceQueue.Chain, at offset: Int) -> (UInt64, UInt64) {
    let first = elements(served, 0)
    if first.byteCount >= offset + 16 { return served.memory.loadWords(first, at: offset) }
    return copyPieces(served, chain, at: offset)
  }

  private func copyPieces(_ served: BlockVirtioQueue, _ chain: DeviceQueue.Chain, at offset: Int) -> (UInt64, UInt64) {
    var words: (UInt64, UInt64) = (0, 0)
    var skip = offset
    var count = 0
    for position in 0..<chain.readableCount {
      let buffer = elements(served, position)
      while count < 16, skip < buffer.byteCount {
        let byte = UInt64(served.memory.load8(buffer, at: skip))
        if count < 8 { words.0 |= byte << (count * 8) } else { words.1 |= byte << ((count - 8) * 8) }
        count += 1
        skip += 1
      }
      skip -= buffer.byteCount
      if count == 16 { break }
    }
    return words
  }
}
