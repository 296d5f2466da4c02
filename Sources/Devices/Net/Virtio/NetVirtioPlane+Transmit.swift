import EventLoop
import LinuxSystem
import Logging
import NetEngine
import NetPackets
import PVDriver
import SharedMemory
import VhostUser
import VirtioInterface
import VirtioRing

// From the guest to the port. Headers are looked at in private memory only.
extension NetVirtioPlane {
  /// Largest frame: what a segmented packet can have, with its Ethernet header and tags.
  private static let frameByteLimit = 65535 + 18

  /// Takes what the queue has, within the budget.
  func transmit(from served: NetVirtioTransmitQueue) -> Service {
    guard served.queue.fault == nil, served.stopping == nil else { return .idle }
    var count = 0
    while count < Self.budget {
      guard served.hasFree, mayTransmit() else { break }
      let chain: DeviceQueue.Chain
      do throws(VirtqueueFault) {
        guard let taken = try served.queue.ring.value.take() else { break }
        chain = taken
      } catch {
        served.queue.giveUp(error)
        return .worked
      }
      count += 1
      send(chain, served)
    }
    if count == 0 { return .idle }
    served.sawChains = true
    return count == Self.budget ? .moreToDo : .worked
  }

  /// Whether the rate limit lets another frame through. If not, the loop is called back when it does.
  private func mayTransmit() -> Bool {
    guard state.value.rate != nil else { return true }
    let now = MonotonicClock.nowNanoseconds
    guard let wait = state.value.rate?.nanosecondsUntilAllowed(now: now), wait > 0 else { return true }
    state.value.heldUntil = now + wait
    loop.schedule(afterNanoseconds: wait) { [weak self] in self?.state.value.heldUntil = 0 }
    return false
  }

  /// Hands one frame to the port.
  private func send(_ chain: DeviceQueue.Chain, _ served: NetVirtioTransmitQueue) {
    let place = served.begin(chain.id)
    let isDone = served.frames.withObject(place) { frame in
      state.value.counters.transmittedFrames &+= 1
      guard fill(frame, chain, served) else {
        state.value.counters.transmitErrors &+= 1
        return true
      }
      state.value.counters.transmittedBytes &+= UInt64(frame.byteCount)
      if state.value.rate != nil { state.value.rate?.spend(byteCount: frame.byteCount, now: MonotonicClock.nowNanoseconds) }
      switch port.transmit(frame, queue: served.queue.index / 2) {
      case .done: return true
      case .pending: return false
      case .dropped:
        state.value.counters.transmitDrops &+= 1
        return true
      }
    }
    if isDone { finish(place, served) }
  }

  private func finish(_ place: Int, _ served: NetVirtioTransmitQueue) {
    let chain = served.chains[place]
    served.end(place)
    guard served.queue.fault == nil else { return }
    served.queue.ring.value.put(chain, writtenByteCount: 0)
    served.hasUnpublished = true
  }

  /// Takes a frame's head into private memory and names the rest. False when no frame can be made of it.
  private func fill(_ frame: Frame, _ chain: DeviceQueue.Chain, _ served: NetVirtioTransmitQueue) -> Bool {
    let byteCount = chain.readableByteCount - served.headerByteCount
    guard byteCount >= 14, byteCount <= Self.frameByteLimit else { return false }
    let first = served.queue.ring.value.elements[0]
    // A header may be cut anywhere, though drivers hardly do: what is not in one buffer is gathered byte by byte.
    var header = VirtioNetHeader()
    if first.byteCount >= 16 {
      let words = memory.loadWords(first, at: 0)
      header = VirtioNetHeader(first: words.0, second: words.1)
    } else {
      header = gatherHeader(chain, served)
    }
    frame.reset(headByteCount: min(byteCount, Frame.headCapacity))
    var skip = served.headerByteCount
    var filled = 0
    for position in 0..<chain.readableCount {
      var buffer = served.queue.ring.value.elements[position]
      if skip >= buffer.byteCount {
        skip -= buffer.byteCount
        continue
      }
      buffer.address += UInt(skip)
      buffer.byteCount -= skip
      skip = 0
      if filled < frame.headByteCount {
        let taken = min(buffer.byteCount, frame.headByteCount - filled)
        frame.fillHead(at: filled, from: SharedVector(address: buffer.address, byteCount: taken))
        filled += taken
        buffer.address += UInt(taken)
        buffer.byteCount -= taken
      }
      if buffer.byteCount > 0 {
        guard frame.pieceCount < Frame.maximumPieceCount else { return false }
        frame.append(buffer.vector)
      }
    }
    return applyOffload(header, to: frame, served)
  }

  private func gatherHeader(_ chain: DeviceQueue.Chain, _ served: NetVirtioTransmitQueue) -> VirtioNetHeader {
    var words: (UInt64, UInt64) = (0, 0)
    var count = 0
    for position in 0..<chain.readableCount {
      let buffer = served.queue.ring.value.elements[position]
      for offset in 0..<buffer.byteCount where count < served.headerByteCount {
        let byte = UInt64(memory.load8(buffer, at: offset))
        if count < 8 { words.0 |= byte << (count * 8) } else { words.1 |= byte << ((count - 8) * 8) }
        count += 1
      }
      if count == served.headerByteCount { break }
    }
    return VirtioNetHeader(first: words.0, second: words.1)
  }

  /// What the header says is left to do. Where the checksum belongs is found in the frame's own headers: the guest's word is a hint.
  private func applyOffload(_ header: VirtioNetHeader, to frame: Frame, _ served: NetVirtioTransmitQueue) -> Bool {
    let flags = VirtioNetHeaderFlags(rawValue: header.flags)
    frame.offload.needsChecksum = flags.contains(.needsChecksum)
    frame.offload.isValidated = flags.contains(.dataValid)
    let kind = VirtioNetSegmentation(rawValue: header.segmentation & ~VirtioNetSegmentationFlags.ecn.rawValue)
    switch kind {
    case .some(.none): return frame.locateChecksum()
    case .tcpIPv4: frame.offload.segmentation = .tcpv4
    case .tcpIPv6: frame.offload.segmentation = .tcpv6
    case .udpSegments:
      // Congestion is TCP's.
      guard served.sendsDatagrams, header.segmentation == VirtioNetSegmentation.udpSegments.rawValue else { return false }
      frame.offload.segmentation = .datagrams
    // Never offered.
    case .udp, nil: return false
    }
    frame.offload.segmentByteCount = header.segmentByteCount
    return header.segmentByteCount > 0 && frame.locateChecksum()
  }

  /// The port is done with a frame that was pending.
  func transmitted(_ frame: Frame, succeeded: Bool) {
    let pair = frame.index / NetVirtioTransmitQueue.frameCount / 2
    guard let served = transmitQueues[pair] else { preconditionFailure("a frame of a queue that has stopped") }
    if !succeeded { state.value.counters.transmitDrops &+= 1 }
    finish(frame.index % NetVirtioTransmitQueue.frameCount, served)
    if served.stopping != nil { finishStopping(served) }
  }
}

extension VirtioNetHeader {
  /// From the words at the start of a frame's first buffer.
  init(first: UInt64, second: UInt64) {
    self.init()
    flags = UInt8(truncatingIfNeeded: first)
    segmentation = UInt8(truncatingIfNeeded: first >> 8)
    headerByteCount = UInt16(truncatingIfNeeded: first >> 16)
    segmentByteCount = UInt16(truncatingIfNeeded: first >> 32)
    checksumStart = UInt16(truncatingIfNeeded: first >> 48)
    checksumOffset = UInt16(truncatingIfNeeded: second)
  }
}
