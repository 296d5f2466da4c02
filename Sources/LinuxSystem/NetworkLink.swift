/// What the kernel says of a network interface (`RTM_NEWLINK`, linux/rtnetlink.h and linux/if_link.h).
public struct NetworkLink: Sendable, Equatable {
  /// Its number in its namespace.
  public var index: Int32
  public var name: String
  /// What kind of interface it is: `tun` for TUN and TAP, `veth`, `bridge`, …; nil for hardware (`IFLA_INFO_KIND`).
  public var kind: String?
  /// Largest packet behind the Ethernet header in bytes (`IFLA_MTU`).
  public var mtu = 0
  /// Its own address; 6 bytes for Ethernet (`IFLA_ADDRESS`).
  public var address: [UInt8] = []
  /// Switched on (`IFF_UP`).
  public var isUp = false
  /// Plugged in (`IFLA_CARRIER`).
  public var hasCarrier = false
  public var statistics = Statistics()
  /// Of a TUN or TAP interface.
  public var tun: Tun?

  /// Frames and bytes since the interface was made (`struct rtnl_link_stats64`); received is what a program has written to a TAP interface.
  public struct Statistics: Sendable, Equatable {
    public var receivedPackets: UInt64 = 0, sentPackets: UInt64 = 0
    public var receivedByteCount: UInt64 = 0, sentByteCount: UInt64 = 0
    public var receiveErrors: UInt64 = 0, sendErrors: UInt64 = 0
    public var receiveDropped: UInt64 = 0, sendDropped: UInt64 = 0
    public init() {}
  }

  /// `IFLA_TUN_…`.
  public struct Tun: Sendable, Equatable {
    /// TAP (frames) and not TUN (packets).
    public var isTap = false
    public var isPersistent = false
    public var isMultiQueue = false
    /// Queues that programs have open and in use; nil: the kernel only says it of multi-queue interfaces.
    public var queueCount: Int?
    /// Queues that are open and switched off; nil as above.
    public var disabledQueueCount: Int?
    public init() {}
  }
}

extension NetworkLink {
  /// Reads the message `RTM_NEWLINK` in `bytes`, whose length is given by `message`; nil when it is shorter than it has to be.
  init?(_ bytes: [UInt8], at range: Range<Int>) {
    guard range.count >= RouteMessage.headerByteCount + RouteMessage.linkByteCount else { return nil }
    let link = range.lowerBound + RouteMessage.headerByteCount
    index = Int32(bitPattern: RouteMessage.number32(bytes, at: link + 4))
    name = ""
    isUp = RouteMessage.number32(bytes, at: link + 8) & RouteMessage.flagUp != 0
    RouteMessage.forEachAttribute(of: bytes, in: link + RouteMessage.linkByteCount..<range.upperBound) { type, value in
      switch (type, value.count) {
      case (RouteMessage.linkAddress, _): address = Array(bytes[value])
      case (RouteMessage.linkName, _): name = RouteMessage.text(bytes[value])
      case (RouteMessage.linkMTU, 4): mtu = Int(RouteMessage.number32(bytes, at: value.lowerBound))
      case (RouteMessage.linkCarrier, 1): hasCarrier = bytes[value.lowerBound] != 0
      case (RouteMessage.linkStatistics, 64...): statistics = Statistics(bytes, at: value.lowerBound)
      case (RouteMessage.linkInformation, _): readInformation(bytes, value)
      default: break
      }
    }
  }

  private mutating func readInformation(_ bytes: [UInt8], _ range: Range<Int>) {
    var data: Range<Int>?
    RouteMessage.forEachAttribute(of: bytes, in: range) { type, value in
      if type == RouteMessage.informationKind { kind = RouteMessage.text(bytes[value]) }
      if type == RouteMessage.informationData { data = value }
    }
    guard kind == "tun", let data else { return }
    var tun = Tun()
    RouteMessage.forEachAttribute(of: bytes, in: data) { type, value in
      switch (type, value.count) {
      case (RouteMessage.tunType, 1): tun.isTap = bytes[value.lowerBound] == 2
      case (RouteMessage.tunPersistent, 1): tun.isPersistent = bytes[value.lowerBound] != 0
      case (RouteMessage.tunMultiQueue, 1): tun.isMultiQueue = bytes[value.lowerBound] != 0
      case (RouteMessage.tunQueueCount, 4): tun.queueCount = Int(RouteMessage.number32(bytes, at: value.lowerBound))
      case (RouteMessage.tunDisabledQueueCount, 4): tun.disabledQueueCount = Int(RouteMessage.number32(bytes, at: value.lowerBound))
      default: break
      }
    }
    self.tun = tun
  }
}

extension NetworkLink.Statistics {
  /// The first eight of the structure's numbers, in its order.
  fileprivate init(_ bytes: [UInt8], at offset: Int) {
    func number(_ index: Int) -> UInt64 {
      UInt64(RouteMessage.number32(bytes, at: offset + index * 8)) | UInt64(RouteMessage.number32(bytes, at: offset + index * 8 + 4)) << 32
    }
    receivedPackets = number(0)
    sentPackets = number(1)
    receivedByteCount = number(2)
    sentByteCount = number(3)
    receiveErrors = number(4)
    sendErrors = number(5)
    receiveDropped = number(6)
    sendDropped = number(7)
  }
}
