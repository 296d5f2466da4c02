import XenInterface

/// Sizes that follow from xs_wire's (``XenInterface/XenStoreLimits``) and from what the real daemons do.
public enum XenStoreProtocol {
  /// Bytes of a packet's header (`struct xsd_sockmsg`).
  public static let headerByteCount = XenStoreLimits.headerByteCount

  /// Most bytes a packet carries behind its header, in either direction (`XENSTORE_PAYLOAD_MAX`). A longer one ends the connection.
  public static let maximumPayloadByteCount = XenStoreLimits.payloadByteCount

  /// Most bytes of a path, not counting a leading `/local/domain/N/` (`XENSTORE_REL_PATH_MAX`).
  public static let maximumPathByteCount = XenStoreLimits.relativePathByteCount

  /// Most bytes of an absolute path that a daemon can report: ``maximumPathByteCount`` behind the longest domain prefix.
  public static let maximumAbsolutePathByteCount = maximumPathByteCount + "/local/domain/65535/".utf8.count

  /// Most bytes of a watch token: with it, an event fits ``maximumPayloadByteCount`` whatever path it reports (XSA-324).
  public static let maximumTokenByteCount = maximumPayloadByteCount - maximumAbsolutePathByteCount - 2
}
