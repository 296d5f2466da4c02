public import XenInterface
public import Xenbus

/// What a front-end chose of a back-end's ``BlockFeatures``: message layout, rings and ports. Written with state Initialised.
public struct BlockTransport: Sendable, Equatable {
  /// One ring and its event channel.
  public struct Queue: Sendable, Equatable {
    /// The ring's pages in order; a power of two of them.
    public var ringReferences: [GrantReference]
    /// The front-end's unbound port.
    public var port: EventChannelPort

    public init(ringReferences: [GrantReference], port: EventChannelPort) {
      self.ringReferences = ringReferences
      self.port = port
    }
  }

  /// Layout of the ring's messages.
  public var `protocol`: BlkifProtocol
  /// At least one. All rings have the same size.
  public var queues: [Queue]
  /// The front-end uses its grants again and lets the back-end keep them mapped (`feature-persistent`).
  public var persistentGrants: Bool

  public init(protocol: BlkifProtocol = .x8664, queues: [Queue], persistentGrants: Bool = false) {
    self.protocol = `protocol`
    self.queues = queues
    self.persistentGrants = persistentGrants
  }
}

// MARK: - In the store

extension BlockTransport {
  /// The keys for the front-end's directory. One queue has flat keys, more have `queue-N/` only; a ring of one page has
  /// `ring-ref`, a larger one `ring-ref0` and up.
  public var keys: [String: String] {
    typealias Keys = BlkifKeys.Frontend
    var keys = [
      Keys.protocol.name: Keys.protocol.format(`protocol`),
      Keys.featurePersistent.name: Keys.featurePersistent.format(persistentGrants),
    ]
    let pageCount = queues[0].ringReferences.count
    precondition(pageCount.nonzeroBitCount == 1 && queues.allSatisfy { $0.ringReferences.count == pageCount }, "rings of different sizes")
    if pageCount > 1 { keys[Keys.ringPageOrder.name] = Keys.ringPageOrder.format(UInt32(pageCount.trailingZeroBitCount)) }
    if queues.count > 1 { keys[Keys.queueCount.name] = Keys.queueCount.format(UInt32(queues.count)) }
    for (index, queue) in queues.enumerated() {
      let names = QueueKeys(index: index, queueCount: queues.count)
      for (page, reference) in queue.ringReferences.enumerated() {
        let key = pageCount > 1 ? names.ringReference(page) : names.ringReference
        keys[key.name] = key.format(reference)
      }
      keys[names.eventChannel.name] = names.eventChannel.format(queue.port)
    }
    return keys
  }

  /// Keys that would be taken for this transport's if an earlier connection had left them.
  public var obsoleteKeys: [String] {
    typealias Keys = BlkifKeys.Frontend
    return (queues[0].ringReferences.count > 1 ? [] : [Keys.ringPageOrder.name]) + (queues.count > 1 ? [] : [Keys.queueCount.name])
  }

  /// What `frontend` chose, held against what it was offered. Throws an error that names the key when it chose something
  /// else, left something out, or wrote something malformed.
  ///
  /// - Parameter defaultProtocol: the layout when the front-end does not say. The header's rule is the back-end's native
  ///   layout, which QEMU follows; Linux's and XAPI's back-ends take x86_32. Every front-end in use says.
  public init(
    reading frontend: XenbusDirectory, offered: BlockFeatures, defaultProtocol: BlkifProtocol = .x8664
  ) throws(XenbusKeyError) {
    typealias Keys = BlkifKeys.Frontend
    let queueCount = Int(try frontend.value(Keys.queueCount))
    guard queueCount <= offered.maximumQueueCount else {
      throw frontend.error(Keys.queueCount.name, expected: "1 to \(offered.maximumQueueCount), as the back-end offers")
    }
    let order = try frontend.valueIfPresent(Keys.ringPageOrder)
    if let order, order > offered.maximumRingPageOrder {
      throw frontend.error(Keys.ringPageOrder.name, expected: "at most \(offered.maximumRingPageOrder), as the back-end offers")
    }
    var queues: [Queue] = []
    for index in 0..<queueCount {
      queues.append(try Self.queue(index, of: queueCount, order: order, in: frontend))
    }
    self.init(
      protocol: try frontend.valueIfPresent(Keys.protocol) ?? defaultProtocol,
      queues: queues,
      persistentGrants: try frontend.value(Keys.featurePersistent))
  }

  private static func queue(_ index: Int, of queueCount: Int, order: UInt32?, in frontend: XenbusDirectory) throws(XenbusKeyError) -> Queue {
    let names = QueueKeys(index: index, queueCount: queueCount)
    var references: [GrantReference] = []
    // Order 0 may come either way: some front-ends write `ring-page-order` = 0 with `ring-ref0`, most leave both out.
    if let order, order > 0 || frontend.contains(names.ringReference(0)) {
      for page in 0..<(1 << Int(order)) { references.append(try frontend.value(names.ringReference(page))) }
    } else {
      references.append(try frontend.value(names.ringReference))
    }
    for (position, reference) in references.enumerated() where references[..<position].contains(reference) {
      throw frontend.error(names.ringReference(position).name, expected: "a page that the ring does not have already")
    }
    let port = try frontend.value(names.eventChannel)
    guard port.rawValue != 0 else { throw frontend.error(names.eventChannel.name, expected: "a port; 0 is none") }
    return Queue(ringReferences: references, port: port)
  }

  /// Names of one queue's keys.
  private struct QueueKeys {
    let index: Int
    let queueCount: Int

    var ringReference: StoreKey<GrantReference> { place(BlkifKeys.Frontend.ringReference) }
    var eventChannel: StoreKey<EventChannelPort> { place(BlkifKeys.Frontend.eventChannel) }
    func ringReference(_ page: Int) -> StoreKey<GrantReference> { place(BlkifKeys.Frontend.ringReferences[page]) }

    private func place<Value>(_ key: StoreKey<Value>) -> StoreKey<Value> { queueCount > 1 ? key.inQueue(index) : key }
  }
}
