public import XenInterface

/// Why an operation on a block device failed.
public enum BlockFrontError: Error, Sendable, Equatable {
  /// Offset or length is no multiple of the sector size. Bytes.
  case unaligned(offset: UInt64, byteCount: UInt64, sectorByteCount: Int)
  /// The range ends behind the device's end. Bytes.
  case outOfRange(offset: UInt64, byteCount: UInt64, deviceByteCount: UInt64)
  case readOnly(BlkifOperation)
  /// The back-end does not do this operation.
  case unsupported(BlkifOperation)
  /// The back-end answered with an error (`BLKIF_RSP_ERROR`).
  case failed(BlkifOperation, offset: UInt64)
  /// The back-end went away before it answered: whether a write was done is not known.
  case backendLost(String)
  /// The back-end broke a rule, and the connection was given up.
  case broken(BlockFrontFault)
  /// No back-end was connected for as long as an operation may wait.
  case notConnected(waitedNanoseconds: UInt64)
  /// The front-end was closed.
  case closed
}

extension BlockFrontError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .unaligned(let offset, let byteCount, let sector):
      offset % UInt64(sector) != 0
        ? "offset \(offset) is no multiple of the sector size \(sector)" : "length \(byteCount) is no multiple of the sector size \(sector)"
    case .outOfRange(let offset, let byteCount, let device):
      "\(byteCount) bytes at \(offset) end behind the device's end at \(device)"
    case .readOnly(let operation): "\(operation): the device is read-only"
    case .unsupported(let operation): "\(operation): the back-end does not support it"
    case .failed(let operation, let offset): "\(operation) at \(offset) failed in the back-end"
    case .backendLost(let reason): "the back-end went away before it answered: \(reason)"
    case .broken(let fault): "the connection was given up: \(fault)"
    case .notConnected(let waited): "no back-end was connected for \(waited / 1_000_000_000) s"
    case .closed: "the front-end was closed"
    }
  }
}
