public import XenInterface

/// What a request does to a disk.
public enum BlockOperation: UInt8, Sendable, CaseIterable {
  case read
  case write
  /// Makes completed writes durable, then writes its data if it has any.
  case flush
  /// All earlier requests end; everything is made durable; it writes its data, durably; only then do later requests begin.
  case barrier
  /// The contents of a range are not needed any more.
  case discard
  /// A range becomes zeros.
  case writeZeroes

  /// Whether data, if there is any, goes to the disk.
  var writes: Bool {
    switch self {
    case .read: false
    case .write, .flush, .barrier, .discard, .writeZeroes: true
    }
  }
}

/// How a request ended.
public enum BlockStatus: UInt8, Sendable {
  case okay
  case error
  /// What backs the disk cannot do this operation.
  case notSupported

  /// As a blkif response says it.
  @inlinable public var blkif: BlkifStatus {
    switch self {
    case .okay: .okay
    case .error: .error
    case .notSupported: .notSupported
    }
  }
}

/// Why a request is refused before anything is done.
public enum BlockRefusal: UInt8, Sendable, CaseIterable {
  case readOnly
  /// It ends behind the disk's end, or its end cannot be computed.
  case outOfRange
  /// Offset or length is no multiple of the sector size.
  case unaligned
  /// It moves nothing, and is none of the operations that may.
  case empty
  /// The disk cannot discard.
  case notSupported

  public var status: BlockStatus { self == .notSupported ? .notSupported : .error }
}
