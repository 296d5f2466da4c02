public import SystemPackage

/// What an engine has done since it was made.
public struct BlockStatistics: Sendable, Equatable {
  public var reads: UInt64 = 0
  public var writes: UInt64 = 0
  public var flushes: UInt64 = 0
  public var barriers: UInt64 = 0
  public var discards: UInt64 = 0
  public var readByteCount: UInt64 = 0
  public var writtenByteCount: UInt64 = 0
  public var discardedByteCount: UInt64 = 0
  /// Requests that failed in what backs the disk.
  public var failures: UInt64 = 0
  /// The last such failure.
  public var lastFailure: BlockFailure?
  /// Requests refused, by reason (`BlockRefusal.rawValue`).
  public internal(set) var refusals = InlineCounters()
  /// Transfers that came back short and were continued.
  public var continuations: UInt64 = 0
  /// Transfers that went through a registered buffer.
  public var fixedTransfers: UInt64 = 0

  public init() {}

  /// Requests refused for `reason`.
  public func refusals(_ reason: BlockRefusal) -> UInt64 { refusals[reason] }

  /// One counter a reason, in place.
  public struct InlineCounters: Sendable, Equatable {
    private var readOnly: UInt64 = 0, outOfRange: UInt64 = 0, unaligned: UInt64 = 0, empty: UInt64 = 0, notSupported: UInt64 = 0

    public var total: UInt64 { readOnly + outOfRange + unaligned + empty + notSupported }

    public internal(set) subscript(reason: BlockRefusal) -> UInt64 {
      get {
        switch reason {
        case .readOnly: readOnly
        case .outOfRange: outOfRange
        case .unaligned: unaligned
        case .empty: empty
        case .notSupported: notSupported
        }
      }
      set {
        switch reason {
        case .readOnly: readOnly = newValue
        case .outOfRange: outOfRange = newValue
        case .unaligned: unaligned = newValue
        case .empty: empty = newValue
        case .notSupported: notSupported = newValue
        }
      }
    }
  }
}

/// A request that what backs the disk could not do.
public struct BlockFailure: Sendable, Equatable, CustomStringConvertible {
  public var operation: BlockOperation
  /// First byte of the request on the disk.
  public var byteOffset: UInt64
  public var errno: Errno

  public var description: String { "\(operation) at byte \(byteOffset): \(errno)" }
}
