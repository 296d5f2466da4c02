/// Sizes that both ends of xs_wire agree on (`xen/include/public/io/xs_wire.h`).
public enum XenStoreProtocol {
  /// Bytes of a packet's header (`struct xsd_sockmsg`).
  public static let headerByteCount = 16

  /// Most bytes a packet carries behind its header, in either direction (`XENSTORE_PAYLOAD_MAX`). A longer one ends the connection.
  public static let maximumPayloadByteCount = 4096

  /// Most bytes of a path, not counting a leading `/local/domain/N/` (`XENSTORE_REL_PATH_MAX`).
  public static let maximumPathByteCount = 2048

  /// Most bytes of an absolute path that a daemon can report: ``maximumPathByteCount`` behind the longest domain prefix.
  public static let maximumAbsolutePathByteCount = maximumPathByteCount + "/local/domain/65535/".utf8.count

  /// Most bytes of a watch token: with it, an event fits ``maximumPayloadByteCount`` whatever path it reports (XSA-324).
  public static let maximumTokenByteCount = maximumPayloadByteCount - maximumAbsolutePathByteCount - 2
}
