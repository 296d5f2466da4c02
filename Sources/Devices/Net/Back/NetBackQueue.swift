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
  let backlog: FixedCell<ReceiveBacklog>
  /// The frame that is taken out of ``backlog``.
  let backlogFrame: Frame
  /// Grants that the front-end asked to be kept mapped.
  let kept = KeptGrants()
  /// The slots of the frame that is being received.
  let receiveSlots = FixedTable(repeating: NetifReceiveRequest(), count: 32)
  private let state = FixedCell(State())

  /// What changes with each frame. Apart from the object, so that no access is checked for overlapping others.
  private struct State {
    var counters = NetQueueCounters()
    var hasTransmitResponses = false
    var hasReceiveResponses = false
    var sawRequests = false
    var wantedReceiveSlots = 0
    var refusedFrame = false
    var emptySince: UInt64 = 0
    var isStalled = false
    var fault: NetBackFault?
  }

  var counters: NetQueueCounters {
    @inline(__always) _read { yield state.value.counters }
    @inline(__always) _modify { yield &state.value.counters }
  }
  /// Responses were put on the transmit ring and not published.
  var hasTransmitResponses: Bool {
    @inline(__always) _read { yield state.value.hasTransmitResponses }
    @inline(__always) _modify { yield &state.value.hasTransmitResponses }
  }
  /// Responses were put on the receive ring and not published.
  var hasReceiveResponses: Bool {
    @inline(__always) _read { yield state.value.hasReceiveResponses }
    @inline(__always) _modify { yield &state.value.hasReceiveResponses }
  }
  /// Requests were taken since the channels were last re-armed: their event was no spurious one.
  var sawRequests: Bool {
    @inline(__always) _read { yield state.value.sawRequests }
    @inline(__always) _modify { yield &state.value.sawRequests }
  }
  /// Slots that the next frame for the guest needs; 0 while none waits.
  var wantedReceiveSlots: Int {
    @inline(__always) _read { yield state.value.wantedReceiveSlots }
    @inline(__always) _modify { yield &state.value.wantedReceiveSlots }
  }
  /// The port waits for buffers.
  var refusedFrame: Bool {
    @inline(__always) _read { yield state.value.refusedFrame }
    @inline(__always) _modify { yield &state.value.refusedFrame }
  }
  /// Since when frames wait for buffers.
  var emptySince: UInt64 {
    @inline(__always) _read { yield state.value.emptySince }
    @inline(__always) _modify { yield &state.value.emptySince }
  }
  var isStalled: Bool {
    @inline(__always) _read { yield state.value.isStalled }
    @inline(__always) _modify { yield &state.value.isStalled }
  }
  /// The front-end broke a ring; neither is touched any more.
  var fault: NetBackFault? {
    @inline(__always) _read { yield state.value.fault }
    @inline(__always) _modify { yield &state.value.fault }
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

  func listen(on channels: [LoopEventChannel]) { self.channels = channels }

  /// Tells the front-end that there are transmit responses.
  func signalTransmit() { channels.first?.signal() }
  /// Tells the front-end that there are received frames.
  func signalReceive() { channels.last?.signal() }

  func unmap(_ grants: ForeignGrants) {
    kept.removeAll(grants)
    transmitRing.unmap()
    receiveRing.unmap()
  }
}
