import EventLoop
import LinuxSystem
import NetInterface
import NetPackets
import PVDriver
import SharedMemory
import SharedRing
import SystemPackage
import XenInterface
import XenPlatform

/// A transmit and a receive ring with their event channels, and what is known of them.
final class NetBackQueue {
  let index: Int
  let transmitRing: MappedBackRing<NetifTransmitRequest, NetifTransmitResponse>
  let receiveRing: MappedBackRing<NetifReceiveRequest, NetifReceiveResponse>
  /// One channel for both rings, or one each.
  private(set) var channels: [LoopEventChannel] = []
  let assembler = FixedCell(TransmitAssembler())
  let packets: PacketTable
  /// Requests of the frames that are sent together.
  let batch = TransmitBatch()
  let backlog: FixedCell<ReceiveBacklog>
  /// The frame that is taken out of ``backlog``.
  let backlogFrame: Frame
  /// Grants that the front-end asked to be kept mapped.
  let kept = KeptGrants()
  /// Pages for the next frames to the guest.
  let posted = PostedPages()
  /// The slots of the frame that is being received, or of several that take one each.
  let receiveSlots = FixedTable(repeating: NetifReceiveRequest(), count: 32)
  /// Where the pages in those slots are, if they are kept mapped; otherwise 0.
  let keptAddresses = FixedTable(repeating: UInt(0), count: FrameBatch.capacity)
  /// The answers to frames that are received together.
  let receiveAnswers = FixedTable(repeating: NetifReceiveResponse(), count: FrameBatch.capacity)
  let state = FixedCell(State())

  /// What changes with each frame. Apart from the object, so that no access is checked for overlapping others.
  struct State {
    var counters = NetQueueCounters()
    /// Responses were put on the transmit ring and not published.
    var hasTransmitResponses = false
    /// Responses were put on the receive ring and not published.
    var hasReceiveResponses = false
    /// Requests were taken since the channels were last re-armed: their event was no spurious one.
    var sawRequests = false
    /// Slots that the next frame for the guest needs; 0 while none waits.
    var wantedReceiveSlots = 0
    /// The port waits for buffers.
    var refusedFrame = false
    /// Since when frames wait for buffers.
    var emptySince: UInt64 = 0
    var isStalled = false
    /// The front-end broke a ring; neither is touched any more.
    var fault: NetBackFault?
  }

  /// Maps the queue's rings.
  init(_ transport: NetTransport.Queue, index: Int, grants: ForeignGrants) throws(NetConnectError) {
    self.index = index
    transmitRing = try Self.attach(transport.transmitRingReference, .transmit, index, grants)
    receiveRing = try Self.attach(transport.receiveRingReference, .receive, index, grants)
    do throws(Errno) {
      let count = transmitRing.cell.value.entryCount
      packets = try PacketTable(count: count, firstIndex: index * count)
      backlog = FixedCell(try ReceiveBacklog())
      backlogFrame = Frame(index: -1, head: try SharedRegion(anonymousByteCount: 4096).bytes)
    } catch {
      throw .memory("\(error)")
    }
  }

  private static func attach<Request, Response>(
    _ reference: GrantReference, _ name: NetRingName, _ index: Int, _ grants: ForeignGrants
  ) throws(NetConnectError) -> MappedBackRing<Request, Response> {
    let mapping: GrantMapping
    do throws(GrantError) { mapping = try grants.mapContiguously([reference]) } catch { throw .ringNotMapped(name, queue: index, error) }
    do throws(RingFault) { return try MappedBackRing(mapping) } catch { throw .ringBroken(name, queue: index, error) }
  }

  /// What it has done, for those who only look.
  var counters: NetQueueCounters { state.value.counters }

  func listen(on channels: [LoopEventChannel]) { self.channels = channels }

  /// Tells the front-end that there are transmit responses.
  func signalTransmit() { channels.first?.signal() }
  /// Tells the front-end that there are received frames.
  func signalReceive() { channels.last?.signal() }

  func unmap(_ grants: ForeignGrants) {
    posted.endOfBatch(grants)
    kept.removeAll(grants)
    transmitRing.unmap()
    receiveRing.unmap()
  }
}
