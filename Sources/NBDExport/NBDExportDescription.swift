import BlockFront
import BlockInterface

/// What clients are told of the device, and how many may come.
public struct NBDExportConfiguration: Sendable {
  /// The export's name; the empty name always works too, as the default export.
  public var name = ""
  /// A line for people who list the exports.
  public var description = "pvio block device"
  /// Connections at once; further ones are closed.
  public var maximumConnectionCount = 16
  /// Bytes of granted memory that one connection may hold; nil: an equal share of three quarters of the device's, so that
  /// clients that stall cannot keep others, or the asynchronous interface, from theirs.
  public var bytesInFlightPerConnection: Int?

  public init() {}

  func bytesInFlight(of configuration: BlockFrontConfiguration) -> Int {
    let share = configuration.bufferByteCount / 4 * 3 / max(1, maximumConnectionCount)
    return max(NBDLimits.pieceByteCount, bytesInFlightPerConnection ?? share)
  }
}

extension BlockFrontGeometry {
  var nbdFlags: NBDTransmissionFlags {
    // One engine serves all connections, and its flush is one of the whole device: a flush on any connection covers
    // completed writes of all, which is what CAN_MULTI_CONN promises.
    var flags: NBDTransmissionFlags = [.hasFlags, .sendFlush, .sendFUA, .canMultiConnection]
    if isReadOnly {
      flags.insert(.readOnly)
    } else {
      flags.insert(.sendWriteZeroes)
      if discard != nil { flags.insert(.sendTrim) }
    }
    return flags
  }

  /// Smallest, preferred and largest request in bytes (`NBD_INFO_BLOCK_SIZE`).
  var nbdBlockSizes: (minimum: UInt32, preferred: UInt32, maximum: UInt32) {
    let minimum = UInt32(sectorByteCount)
    let physical = UInt32(clamping: geometry.physicalSectorByteCount)
    let isUsable = physical.nonzeroBitCount == 1 && physical <= UInt32(NBDLimits.payloadByteCount)
    return (minimum, max(4096, isUsable ? physical : minimum), UInt32(NBDLimits.payloadByteCount))
  }
}

extension BlockFrontError {
  var nbdError: NBDError {
    switch self {
    case .unaligned, .outOfRange: .invalid
    case .readOnly: .notPermitted
    case .unsupported: .notSupported
    case .failed, .backendLost, .broken, .notConnected: .inputOutput
    case .closed: .shuttingDown
    }
  }
}
