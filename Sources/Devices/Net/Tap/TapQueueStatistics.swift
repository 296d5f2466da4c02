public import SystemPackage

/// What a queue of a TAP interface has done since it was opened.
///
/// Received is what comes from the interface's users, which the kernel counts as sent (`tx_packets`), and the other way round.
public struct TapQueueStatistics: Sendable, Equatable {
  public var receivedFrames: UInt64 = 0
  public var receivedByteCount: UInt64 = 0
  public var sentFrames: UInt64 = 0
  public var sentByteCount: UInt64 = 0
  /// Frames that were read and not passed on, and frames that were to be sent and were not (`TapDrop.rawValue`).
  public internal(set) var drops = InlineCounters()
  /// The last system call that failed.
  public var lastFailure: Errno?

  public init() {}

  /// Frames lost for `reason`.
  public func drops(_ reason: TapDrop) -> UInt64 { drops[reason] }

  /// One counter a reason, in place.
  public struct InlineCounters: Sendable, Equatable {
    private var refused: UInt64 = 0, stopped: UInt64 = 0, malformed: UInt64 = 0, unreadable: UInt64 = 0
    private var interfaceDown: UInt64 = 0, tooMany: UInt64 = 0, unsendable: UInt64 = 0, notRunning: UInt64 = 0, failed: UInt64 = 0

    public var total: UInt64 { TapDrop.allCases.reduce(0) { $0 + self[$1] } }

    public internal(set) subscript(reason: TapDrop) -> UInt64 {
      get {
        switch reason {
        case .refused: refused
        case .stopped: stopped
        case .malformed: malformed
        case .unreadable: unreadable
        case .interfaceDown: interfaceDown
        case .tooMany: tooMany
        case .unsendable: unsendable
        case .notRunning: notRunning
        case .failed: failed
        }
      }
      set {
        switch reason {
        case .refused: refused = newValue
        case .stopped: stopped = newValue
        case .malformed: malformed = newValue
        case .unreadable: unreadable = newValue
        case .interfaceDown: interfaceDown = newValue
        case .tooMany: tooMany = newValue
        case .unsendable: unsendable = newValue
        case .notRunning: notRunning = newValue
        case .failed: failed = newValue
        }
      }
    }
  }
}

/// Why a frame was lost at a TAP interface.
public enum TapDrop: UInt8, Sendable, CaseIterable {
  /// Read, and the client did not want it.
  case refused
  /// Read, and kept for a client that was full until the queue stopped.
  case stopped
  /// Read with a header that this side did not ask for, or shorter than an Ethernet header.
  case malformed
  /// Not read: the kernel could not write to the memory.
  case unreadable
  /// Not sent: the interface is switched off (`EIO`).
  case interfaceDown
  /// Not sent: more in flight than the queue has room for.
  case tooMany
  /// Not sent: shorter than an Ethernet header, or a checksum to be done at an unknown place.
  case unsendable
  /// Not sent: the queue is not serving.
  case notRunning
  /// Not sent for another reason; see ``TapQueueStatistics/lastFailure``.
  case failed
}
