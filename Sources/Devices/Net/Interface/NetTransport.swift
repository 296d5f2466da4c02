public import XenInterface
public import Xenbus

/// What a front-end set up for a back-end's ``NetFeatures``: rings and ports. Written with state Initialised or Connected.
public struct NetTransport: Sendable, Equatable {
  /// A transmit and a receive ring, of one page each.
  public struct Queue: Sendable, Equatable {
    /// The page of the transmit ring (`tx-ring-ref`).
    public var transmitRingReference: GrantReference
    /// The page of the receive ring (`rx-ring-ref`).
    public var receiveRingReference: GrantReference
    public var ports: Ports

    public init(transmitRingReference: GrantReference, receiveRingReference: GrantReference, ports: Ports) {
      self.transmitRingReference = transmitRingReference
      self.receiveRingReference = receiveRingReference
      self.ports = ports
    }
  }

  /// The front-end's unbound ports of a queue.
  public enum Ports: Sendable, Hashable {
    /// One for both rings (`event-channel`).
    case shared(EventChannelPort)
    /// One for each (`event-channel-tx`, `event-channel-rx`).
    case split(transmit: EventChannelPort, receive: EventChannelPort)
  }

  /// The ring for control requests, of one page.
  public struct Control: Sendable, Equatable {
    /// The page (`ctrl-ring-ref`).
    public var ringReference: GrantReference
    /// The front-end's unbound port (`event-channel-ctrl`).
    public var port: EventChannelPort

    public init(ringReference: GrantReference, port: EventChannelPort) {
      self.ringReference = ringReference
      self.port = port
    }
  }

  /// At least one.
  public var queues: [Queue]
  /// Nil: the front-end has no control ring.
  public var control: Control?

  public init(queues: [Queue], control: Control? = nil) {
    self.queues = queues
    self.control = control
  }
}

// MARK: - In the store

extension NetTransport {
  /// The keys for the front-end's directory. One queue has flat keys, more have `queue-N/` only.
  public var keys: [String: String] {
    typealias Keys = NetifKeys.Frontend
    precondition(!queues.isEmpty, "a device without queues")
    // Always with the number: an earlier connection may have left another one.
    var keys = [Keys.queueCount.name: Keys.queueCount.format(UInt32(queues.count))]
    for (index, queue) in queues.enumerated() {
      let names = QueueKeys(index: index, queueCount: queues.count)
      keys[names.transmitRing.name] = names.transmitRing.format(queue.transmitRingReference)
      keys[names.receiveRing.name] = names.receiveRing.format(queue.receiveRingReference)
      switch queue.ports {
      case .shared(let port):
        keys[names.port.name] = names.port.format(port)
      case .split(let transmit, let receive):
        keys[names.transmitPort.name] = names.transmitPort.format(transmit)
        keys[names.receivePort.name] = names.receivePort.format(receive)
      }
    }
    if let control {
      keys[Keys.controlRingReference.name] = Keys.controlRingReference.format(control.ringReference)
      keys[Keys.controlEventChannel.name] = Keys.controlEventChannel.format(control.port)
    }
    return keys
  }

  /// Keys that would be taken for this transport's if an earlier connection had left them.
  public var obsoleteKeys: [String] {
    typealias Keys = NetifKeys.Frontend
    var names = control == nil ? [Keys.controlRingReference.name, Keys.controlEventChannel.name] : []
    for (index, queue) in queues.enumerated() {
      let queueNames = QueueKeys(index: index, queueCount: queues.count)
      switch queue.ports {
      case .shared: names += [queueNames.transmitPort.name, queueNames.receivePort.name]
      case .split: names.append(queueNames.port.name)
      }
    }
    return names
  }

  /// What `frontend` set up, held against what it was offered. Throws an error that names the key when it set up something else,
  /// left something out, used a page or a port twice, or wrote something malformed.
  ///
  /// Ports for each ring are taken only where they were offered; a control ring that was not offered is not looked at.
  public init(reading frontend: XenbusDirectory, offered: NetFeatures) throws(XenbusKeyError) {
    typealias Keys = NetifKeys.Frontend
    let queueCount = Int(try frontend.value(Keys.queueCount))
    guard queueCount <= offered.maximumQueueCount else {
      throw frontend.error(Keys.queueCount.name, expected: "1 to \(offered.maximumQueueCount), as the back-end offers")
    }
    var reader = Reader(frontend: frontend, offered: offered)
    queues = []
    for index in 0..<queueCount {
      queues.append(try reader.queue(QueueKeys(index: index, queueCount: queueCount)))
    }
    control = try reader.control()
  }

  /// Reads the keys of one device and notices what is used twice.
  private struct Reader {
    let frontend: XenbusDirectory
    let offered: NetFeatures
    var references: Set<GrantReference> = []
    var ports: Set<EventChannelPort> = []

    init(frontend: XenbusDirectory, offered: NetFeatures) {
      self.frontend = frontend
      self.offered = offered
    }

    mutating func queue(_ names: QueueKeys) throws(XenbusKeyError) -> Queue {
      let transmit = try reference(names.transmitRing)
      let receive = try reference(names.receiveRing)
      let isSplit = offered.splitEventChannels && (frontend.contains(names.transmitPort) || frontend.contains(names.receivePort))
      guard isSplit else {
        return Queue(transmitRingReference: transmit, receiveRingReference: receive, ports: .shared(try port(names.port)))
      }
      let transmitPort = try port(names.transmitPort)
      let ports = Ports.split(transmit: transmitPort, receive: try port(names.receivePort))
      return Queue(transmitRingReference: transmit, receiveRingReference: receive, ports: ports)
    }

    mutating func control() throws(XenbusKeyError) -> Control? {
      let ringKey = NetifKeys.Frontend.controlRingReference
      let portKey = NetifKeys.Frontend.controlEventChannel
      guard offered.controlRing, frontend.contains(ringKey) || frontend.contains(portKey) else { return nil }
      let ring = try reference(ringKey)
      return Control(ringReference: ring, port: try port(portKey))
    }

    private mutating func reference(_ key: StoreKey<GrantReference>) throws(XenbusKeyError) -> GrantReference {
      let reference = try frontend.value(key)
      guard references.insert(reference).inserted else { throw frontend.error(key.name, expected: "a page that no other ring has") }
      return reference
    }

    private mutating func port(_ key: StoreKey<EventChannelPort>) throws(XenbusKeyError) -> EventChannelPort {
      let port = try frontend.value(key)
      guard port.rawValue != 0 else { throw frontend.error(key.name, expected: "a port; 0 is none") }
      guard ports.insert(port).inserted else { throw frontend.error(key.name, expected: "a port that no other ring has") }
      return port
    }
  }

  /// Names of one queue's keys.
  private struct QueueKeys {
    let index: Int
    let queueCount: Int

    var transmitRing: StoreKey<GrantReference> { place(NetifKeys.Frontend.transmitRingReference) }
    var receiveRing: StoreKey<GrantReference> { place(NetifKeys.Frontend.receiveRingReference) }
    var port: StoreKey<EventChannelPort> { place(NetifKeys.Frontend.eventChannel) }
    var transmitPort: StoreKey<EventChannelPort> { place(NetifKeys.Frontend.transmitEventChannel) }
    var receivePort: StoreKey<EventChannelPort> { place(NetifKeys.Frontend.receiveEventChannel) }

    private func place<Value>(_ key: StoreKey<Value>) -> StoreKey<Value> { queueCount > 1 ? key.inQueue(index) : key }
  }
}
