public import NetEngine
public import VirtioRing

/// What is told of an interface that a VMM uses. "Transmitted" is what the guest sends.
public struct NetVirtioStatus: Sendable, Equatable {
  public struct Counters: Sendable, Equatable {
    public var transmittedFrames: UInt64 = 0
    public var transmittedBytes: UInt64 = 0
    /// Frames of the guest whose form or headers break a rule.
    public var transmitErrors: UInt64 = 0
    /// Frames of the guest that were not taken behind the port.
    public var transmitDrops: UInt64 = 0
    public var receivedFrames: UInt64 = 0
    public var receivedBytes: UInt64 = 0
    /// Frames that the guest's driver does not take: too large, or with work left that it does not do.
    public var unacceptable: UInt64 = 0
    /// Frames for which the guest had posted too few buffers.
    public var noRoom: UInt64 = 0

    public init() {}
  }

  public struct Queue: Sendable, Equatable {
    /// 2n takes frames for the guest, 2n+1 those that it sends.
    public var index: Int
    public var inFlight: Int
    public var events: UInt64
    public var spuriousEvents: UInt64
    public var signals: UInt64
    /// Why the queue is not served any more.
    public var fault: VirtqueueFault?
  }

  public var hasCarrier: Bool
  public var counters: Counters
  public var queues: [Queue]
  public var port: NetPortTraffic?
}
