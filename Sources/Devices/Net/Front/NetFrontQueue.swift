import EventLoop
import NetInterface
import NetPackets
import SharedMemory
import SharedRing
import SystemPackage
import XenInterface
import XenPlatform

/// A transmit and a receive ring with the pages of their frames: synchronous, for one thread.
///
/// Every page stays granted, at the same reference, as long as the connection lives; none is shared with anything else. What is
/// in flight is what the back-end was told of.
final class NetFrontQueue {
  let index: Int
  let transmitRing: FixedCell<FrontRing<NetifTransmitRequest, NetifTransmitResponse>>
  let receiveRing: FixedCell<FrontRing<NetifReceiveRequest, NetifReceiveResponse>>
  let transmitRingReference: GrantReference
  let receiveRingReference: GrantReference
  /// One for both rings, or one each.
  var channels: [LoopEventChannel] = []
  let transmitPages: TransmitPages
  let transmitBuffers: TransmitBuffers
  let receivePages: ReceivePages
  let assembler = FixedCell(ReceiveAssembler())
  let state = FixedCell(State())

  /// What changes with each frame. Apart from the object, so that no access is checked for overlapping others.
  struct State {
    /// Transmit requests were put and not published.
    var hasRequests = false
    /// Pages were posted and not published.
    var hasPostedPages = false
    /// A frame was refused for want of room.
    var isFull = false
    /// Responses were taken since the channels were last re-armed: their event was no spurious one.
    var sawResponses = false
    /// Extra infos on the transmit ring that are not answered.
    var nullsInFlight = 0
    /// The back-end broke a ring; neither is touched any more.
    var fault: NetFrontFault?
  }

  /// Makes the rings in two pages of `rings`, and takes this queue's share of the pages for frames.
  init(index: Int, arenas: NetFrontArenas, configuration: NetFrontConfiguration) throws(Errno) {
    self.index = index
    guard let first = arenas.rings.allocatePages(contiguous: 2) else { preconditionFailure("the arena of the rings was made too small") }
    arenas.rings.bytes.zero(at: first * pageByteCount, byteCount: 2 * pageByteCount)
    let bytes = [first, first + 1].map { arenas.rings.bytes.slice(at: $0 * pageByteCount, byteCount: pageByteCount) }
    transmitRing = FixedCell(FrontRing(initializing: bytes[0], entryByteCount: NetifLimits.transmitSlotByteCount))
    receiveRing = FixedCell(FrontRing(initializing: bytes[1], entryByteCount: NetifLimits.receiveSlotByteCount))
    transmitRingReference = arenas.rings.grant(page: first)
    receiveRingReference = arenas.rings.grant(page: first + 1)
    transmitPages = TransmitPages(arenas.transmit, count: configuration.transmitPageCount)
    transmitBuffers = TransmitBuffers(
      arenas.transmit, count: configuration.transmitBufferCount, firstIdentifier: configuration.transmitPageCount,
      firstNumber: index * configuration.transmitBufferCount)
    receivePages = try ReceivePages(
      arenas.receive, count: configuration.receivePageCount, slotCount: receiveRing.value.entryCount,
      firstFrame: index * configuration.receivePageCount)
  }

  /// Posts every free page that the receive ring has room for.
  func postPages() {
    while receiveRing.value.freeRequestCount > 0, let posted = receivePages.post() {
      receiveRing.value.putRequest(posted)
      state.value.hasPostedPages = true
    }
  }

  /// Pages that the back-end has of us.
  var transmitsInFlight: Int { transmitPages.inFlightCount + transmitBuffers.inFlightCount }

  /// How many answers are worth being woken for. Pages of small frames are not missed while there are others; whoever waits for room is to be
  /// told at once, and runs of pages that large frames were read into are best used again while they are in the cache.
  var wantedTransmitResponses: Int {
    state.value.isFull || transmitBuffers.inFlightCount > 0 ? 1 : transmitRing.value.entryCount / 2
  }

  func signalTransmit() { channels.first?.signal() }
  func signalReceive() { channels.last?.signal() }
}
