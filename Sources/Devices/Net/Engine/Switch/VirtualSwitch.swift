import EventLoop
import LinuxSystem
import NetPackets
import SharedMemory
public import SystemPackage

/// A switch between vifs, and between them and an uplink: one copy from a sender's pages to a receiver's, and no kernel.
///
/// Learns which address is at which port; what is for everybody, or for an address that it does not know, goes to all. A receiver
/// without room loses the frame, and the sender never waits. Belongs to one loop, as all its ports.
///
/// One that does not learn knows the addresses of its ports' configurations and no others: what is for nobody of them goes to the
/// uplinks alone, as between the virtual functions of a network card.
public final class VirtualSwitch {
  public let name: String
  /// Whether it learns addresses from what it passes on.
  public let learns: Bool
  let ports = SwitchPorts()
  private let table = FixedCell(ForwardingTable())
  /// Ports by ``fixedKey(_:vlan:)``, where nothing is learned.
  private var fixedPorts: [UInt64: Int] = [:]
  /// Frames with another tag than the one that they came with, for receivers that hold on to them.
  let retagged: RetaggedFrames
  /// For receivers that do not take what a sender has left to do.
  private let finisher: FrameFinisher
  /// Seconds, as of the last batch.
  private let clock = FixedCell(UInt32(0))
  private var now: UInt32 {
    @inline(__always) get { clock.value }
    @inline(__always) set { clock.value = newValue }
  }
  /// Counts what the switch gets to know, and the seconds in which it knows it: ``KnownFlows`` of an earlier one do not count.
  private let epoch = FixedCell(UInt64(1))
  var currentEpoch: UInt64 { @inline(__always) get { epoch.value } }

  public init(name: String, learns: Bool = true) throws(Errno) {
    self.name = name
    self.learns = learns
    retagged = try RetaggedFrames(count: 512)
    finisher = FrameFinisher(memory: try SharedRegion(anonymousByteCount: FrameFinisher.memoryByteCount).bytes)
    now = Self.seconds
  }

  private static var seconds: UInt32 { UInt32(truncatingIfNeeded: MonotonicClock.nowNanoseconds / 1_000_000_000) }

  // MARK: Ports

  /// A new port for a vif.
  public func makePort(_ configuration: SwitchPortConfiguration = SwitchPortConfiguration()) -> SwitchPort {
    let entry = SwitchPortState(configuration)
    return SwitchPort(entry, index: addPort(entry), of: self)
  }

  /// Connects the switch to what is behind `port`, such as a TAP interface. A trunk unless `configuration` says otherwise.
  public func connectUplink(_ port: NetPort, _ configuration: SwitchPortConfiguration = SwitchPortConfiguration()) throws(NetPortError) {
    let entry = SwitchPortState(configuration)
    let index = addPort(entry)
    let uplink = SwitchUplink(port, index: index, of: self)
    entry.uplink = uplink
    entry.state.value.accepting = port.capabilities.union(.all)
    try uplink.connect()
  }

  private func addPort(_ state: SwitchPortState) -> Int {
    defer { findFixedPorts() }
    return ports.add(state)
  }

  /// What its ports behind ``connectUplink(_:_:)`` have passed.
  public var uplinks: [(port: NetPort, traffic: NetPortTraffic)] {
    ports.all.compactMap { entry in entry.uplink.map { ($0.port, entry.state.value.counters.traffic) } }
  }

  /// What it takes from a vif: what other vifs do not take is done for them, but not for uplinks.
  var capabilities: FrameCapabilities {
    ports.all.reduce(FrameCapabilities.all.union(.datagrams)) { all, port in
      port.uplink == nil ? all : all.intersection(port.state.value.accepting)
    }
  }

  /// Takes a port away. Nobody is connected to it any more.
  func removePort(_ index: Int) {
    forget(index)
    ports.remove(index)
    findFixedPorts()
  }

  // MARK: Fixed addresses

  /// Stands for every VLAN of a trunk.
  private static let anyVLAN: UInt16 = 0xfff

  private static func fixedKey(_ address: MACAddress, vlan: UInt16) -> UInt64 { address.rawValue | UInt64(vlan) << 48 }

  private func findFixedPorts() {
    epoch.value += 1
    guard !learns else { return }
    fixedPorts = [:]
    for index in 0..<ports.count {
      guard let port = ports[index], let address = port.address else { continue }
      fixedPorts[Self.fixedKey(address, vlan: port.vlan ?? Self.anyVLAN)] = index
    }
  }

  private func port(of address: MACAddress, vlan: UInt16) -> Int? {
    if learns { return table.value.port(of: address, vlan: vlan, now: now) }
    if let index = fixedPorts[Self.fixedKey(address, vlan: vlan)] { return index }
    guard let index = fixedPorts[Self.fixedKey(address, vlan: Self.anyVLAN)], ports[index]?.carries(vlan) == true else { return nil }
    return index
  }

  /// Nobody is at the port any more, or somebody else.
  func forget(_ index: Int) {
    epoch.value += 1
    table.value.forget(port: index)
  }

  // MARK: Frames

  /// Where a frame that is being passed on comes from.
  private struct Origin {
    /// The tag that it came with.
    var tag: UInt16?
    /// The VLAN that it is in; 0: the untagged one.
    var vlan: UInt16
    /// The sender's queue, which is the receiver's too, so that a flow stays in order.
    var queue: Int
  }

  /// Passes a frame that came from port `source` on. Pending while the uplink still needs it.
  func forward(_ frame: Frame, from source: Int, queue: Int) -> NetPort.TransmitOutcome {
    ports.withPort(source) { sender in forward(frame, from: source, sender, queue: queue) } ?? .dropped
  }

  /// The same for a sender that knows its port.
  @inline(__always) func forward(_ frame: Frame, from source: Int, _ sender: SwitchPortState, queue: Int) -> NetPort.TransmitOutcome {
    sender.state.value.counters.received.add(frame.byteCount)
    guard frame.headByteCount >= 14 else {
      sender.state.value.counters.malformed &+= 1
      return .dropped
    }
    let header = frame.ethernetHeader
    if let target = sender.flows.target(of: header, epoch: epoch.value) {
      return pass(frame, Origin(tag: nil, vlan: sender.vlan ?? 0, queue: queue), to: target, from: sender)
    }
    return forwardUnknown(frame, header, from: source, sender, queue: queue)
  }

  /// The same for a frame whose like has not come by lately.
  @inline(never) private func forwardUnknown(
    _ frame: Frame, _ header: (UInt64, UInt64), from source: Int, _ sender: SwitchPortState, queue: Int
  ) -> NetPort.TransmitOutcome {
    let address = frame.source
    if let only = sender.address, only != address {
      sender.state.value.counters.spoofed &+= 1
      return .dropped
    }
    let tag = frame.vlanTag
    let vlan = sender.vlan ?? tag ?? 0
    guard sender.vlan == nil ? sender.carries(vlan) : tag == nil else {
      sender.state.value.counters.wrongVLAN &+= 1
      return .dropped
    }
    let origin = Origin(tag: tag, vlan: vlan, queue: queue)
    if learns, !address.isMulticast, table.value.learn(address, vlan: vlan, port: source, now: now) { epoch.value += 1 }
    let destination = frame.destination
    if destination.isMulticast { return flood(frame, origin, from: source) }
    guard let target = port(of: destination, vlan: vlan) else { return flood(frame, origin, from: source, toUplinksOnly: !learns) }
    // It is on the sender's own side.
    if target == source { return .done }
    // What a tag says is not in the header that is compared.
    if !frame.isTagged { sender.flows.remember(target, of: header, epoch: epoch.value) }
    return pass(frame, origin, to: target, from: sender)
  }

  /// Hands a frame to the one port that it is for.
  @inline(__always) private func pass(
    _ frame: Frame, _ origin: Origin, to target: Int, from sender: SwitchPortState
  ) -> NetPort.TransmitOutcome {
    let outcome = ports.withPort(target) { receiver in receiver.isOccupied ? send(frame, origin, to: receiver) : nil }
    if case .some(.some(let outcome)) = outcome { return outcome }
    sender.state.value.counters.unreachable &+= 1
    return .dropped
  }

  @inline(never) private func flood(_ frame: Frame, _ origin: Origin, from source: Int, toUplinksOnly: Bool = false) -> NetPort.TransmitOutcome {
    var outcome = NetPort.TransmitOutcome.dropped
    for index in 0..<ports.count where index != source {
      guard let receiver = ports[index], !toUplinksOnly || receiver.uplink != nil else { continue }
      switch send(frame, origin, to: receiver) {
      case .pending: outcome = .pending
      case .done: if case .dropped = outcome { outcome = .done }
      case .dropped: break
      }
    }
    if case .dropped = outcome { ports[source]?.state.value.counters.unreachable &+= 1 }
    return outcome
  }

  /// Hands a frame to one port, with the tag that the port wants.
  @inline(__always) private func send(_ frame: Frame, _ origin: Origin, to port: SwitchPortState) -> NetPort.TransmitOutcome {
    let wanted: UInt16?
    if let own = port.vlan {
      guard own == origin.vlan else { return .dropped }
      wanted = nil
    } else {
      guard port.carries(origin.vlan) else { return .dropped }
      wanted = origin.vlan == 0 ? nil : origin.vlan
    }
    if wanted == origin.tag { return deliver(frame, origin, to: port) }
    return deliverRetagged(frame, wanted, origin, to: port)
  }

  @inline(never) private func deliverRetagged(
    _ frame: Frame, _ wanted: UInt16?, _ origin: Origin, to port: SwitchPortState
  ) -> NetPort.TransmitOutcome {
    guard let changed = retagged.make(of: frame, tag: wanted) else {
      port.state.value.counters.refused &+= 1
      return .dropped
    }
    let outcome = deliver(changed, origin, to: port)
    if case .pending = outcome { return .pending }
    retagged.giveBack(changed)
    return outcome
  }

  @inline(__always) private func deliver(_ frame: Frame, _ origin: Origin, to port: SwitchPortState) -> NetPort.TransmitOutcome {
    port.state.value.isTouched = true
    let takes = port.state.value.accepting.takes(frame)
    let outcome: NetPort.TransmitOutcome
    if port.state.value.hasClient {
      guard takes else { return finish(frame, origin, at: port) }
      outcome = port.withClient { client in if case .delivered = client.receive(frame, queue: origin.queue) { .done } else { .dropped } } ?? .dropped
    } else if let uplink = port.uplink {
      // Only datagrams are not for every uplink: a guest was there before it was connected.
      outcome = takes ? uplink.send(frame) : .dropped
    } else {
      return .dropped
    }
    if case .dropped = outcome { port.state.value.counters.refused &+= 1 } else { port.state.value.counters.sent.add(frame.byteCount) }
    return outcome
  }

  /// Does what a sender has left to do, for a vif that does not take it: the vif gets one frame, or several smaller ones.
  @inline(never) private func finish(_ frame: Frame, _ origin: Origin, at port: SwitchPortState) -> NetPort.TransmitOutcome {
    guard let client = port.client else { return .dropped }
    var outcome = NetPort.TransmitOutcome.dropped
    let isPossible = finisher.finish(frame, for: port.state.value.accepting) { made in
      if case .delivered = client.receive(made, queue: origin.queue) {
        port.state.value.counters.sent.add(made.byteCount)
        outcome = .done
      } else {
        port.state.value.counters.refused &+= 1
      }
    }
    if !isPossible { port.state.value.counters.refused &+= 1 }
    return outcome
  }

  /// A run of frames has been passed on: the receivers are told.
  func endOfBatch() {
    let seconds = Self.seconds
    if seconds != now {
      now = seconds
      epoch.value += 1
    }
    for index in 0..<ports.count {
      ports.withPort(index) { port in
        guard port.state.value.isTouched else { return }
        port.state.value.isTouched = false
        if let uplink = port.uplink { uplink.endOfBatch() } else { port.withClient { $0.endOfReceiveBatch() } }
      }
    }
  }

  /// The uplink is done with a frame that was pending: the vif that it came from, if it did not come with another tag, may use it again.
  func finished(_ frame: Frame, succeeded: Bool) {
    var original = frame
    if let source = retagged.original(of: frame) {
      retagged.giveBack(frame)
      original = source
    }
    ports[original.sender]?.port?.finished(original, succeeded: succeeded)
  }
}
