import EventLoop
import NetInterface
import NetPackets
import PVDriver
import SharedMemory
import SystemPackage
import XenInterface
import XenPlatform

/// Memory of one connection, by what the back-end may do with it: nothing else is in these pages.
struct NetFrontArenas {
  /// The rings, which both sides write.
  var rings: GrantArena
  /// Frames that are sent, which the back-end can only read.
  var transmit: GrantArena
  /// Frames that are received.
  var receive: GrantArena

  /// Asks the platform for as many pages as `queueCount` queues, and a control ring with its table, need.
  init(
    _ platform: any XenPlatform, for peer: DomainID, queueCount: Int, hasControl: Bool = false, _ configuration: NetFrontConfiguration
  ) throws(PlatformError) {
    rings = try platform.makeGrantArena(for: peer, access: .readWrite, pageCount: 2 * queueCount + (hasControl ? 2 : 0))
    let transmitPageCount = configuration.transmitPageCount + max(1, configuration.transmitBufferCount * TransmitBuffers.pagesPerRun)
    transmit = try platform.makeGrantArena(for: peer, access: .readOnly, pageCount: queueCount * transmitPageCount)
    receive = try platform.makeGrantArena(for: peer, access: .readWrite, pageCount: queueCount * configuration.receivePageCount)
  }

  /// Takes every grant back. Returns how many pages the back-end still has mapped.
  func revoke() -> Int {
    var mapped = 0
    for arena in [rings, transmit, receive] {
      for page in 0..<arena.pageCount where !arena.endAccess(page: page) { mapped += 1 }
    }
    return mapped
  }
}

/// What one connection to a back-end consists of: pages, rings, event channels. Made on the loop.
final class NetFrontConnection {
  let arenas: NetFrontArenas
  let queues: [NetFrontQueue]
  /// Nil when the back-end does not offer a control ring, or none is wanted.
  let control: NetFrontControl?
  /// What the back-end takes of us (``NetFeatures/capabilities``).
  let capabilities: FrameCapabilities

  /// `channels` has one or two a queue; with `control` there is a control ring, and `arenas` has pages for it.
  init(
    arenas: NetFrontArenas, channels: [[EventChannel]], control: EventChannel? = nil, capabilities: FrameCapabilities,
    configuration: NetFrontConfiguration, loop: EventLoop
  ) throws(Errno) {
    self.arenas = arenas
    self.capabilities = capabilities
    var queues: [NetFrontQueue] = []
    for index in channels.indices { queues.append(try NetFrontQueue(index: index, arenas: arenas, configuration: configuration)) }
    self.queues = queues
    for (queue, made) in zip(queues, channels) {
      // The event only wakes the loop; the queue is served in its turn, and the channel re-armed there.
      queue.channels = made.map { LoopEventChannel($0, loop: loop) {} }
    }
    self.control = control.map { NetFrontControl($0, rings: arenas.rings, queues: queues, loop: loop) }
  }

  /// Frames that somebody still holds, and buffers that are read into: their pages must stay.
  var heldCount: Int { queues.reduce(0) { $0 + $1.receivePages.heldCount + $1.transmitBuffers.lentCount } }

  /// Stops waiting and signalling on every channel, then calls `done`.
  func closeChannels(_ done: @escaping () -> Void) {
    let channels = queues.flatMap(\.channels) + (control.map { [$0.channel] } ?? [])
    channels.close(done)
  }
}
