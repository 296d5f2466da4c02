import XenInterface

/// Received bytes, so that a header can be copied out of them where it lies.
struct ReceivedBytes: WireSource {
  let bytes: [UInt8]

  func loadWord32(at offset: Int) -> UInt32 {
    UInt32(bytes[offset]) | UInt32(bytes[offset + 1]) << 8 | UInt32(bytes[offset + 2]) << 16 | UInt32(bytes[offset + 3]) << 24
  }

  func loadWord64(at offset: Int) -> UInt64 {
    UInt64(loadWord32(at: offset)) | UInt64(loadWord32(at: offset + 4)) << 32
  }
}

extension XenStoreHeader {
  /// Appends the header's 16 bytes to `output`.
  func encode(into output: inout [UInt8]) {
    output.append(addingCapacity: XenStoreProtocol.headerByteCount) { span in
      XenStoreHeader.append(type, to: &span)
      XenStoreHeader.append(requestIdentifier, to: &span)
      XenStoreHeader.append(transactionIdentifier, to: &span)
      XenStoreHeader.append(payloadByteCount, to: &span)
    }
  }

  private static func append(_ word: UInt32, to output: inout OutputSpan<UInt8>) {
    output.append(UInt8(truncatingIfNeeded: word))
    output.append(UInt8(truncatingIfNeeded: word >> 8))
    output.append(UInt8(truncatingIfNeeded: word >> 16))
    output.append(UInt8(truncatingIfNeeded: word >> 24))
  }
}
