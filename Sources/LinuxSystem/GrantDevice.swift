import CLinuxShims
import Glibc
public import SystemPackage

/// Grants of other domains on a Xen host: an open `/dev/xen/gntdev` (`xen/gntdev.h` of Linux).
///
/// Announcing a grant does not look at it; a bad one shows when the offset is mapped (`EINVAL`). A range is mapped once and as a whole.
public struct GrantDevice: ~Copyable, Sendable {
  public static let path = "/dev/xen/gntdev"

  public let descriptor: OwnedDescriptor

  public init() throws(Errno) { descriptor = try OwnedDescriptor.open(Self.path, flags: O_RDWR) }

  /// The offset at which pages granted by `domain` can be mapped, side by side: `count` of them, at most ``maximumPages``, each told by `reference`.
  public func announce(count: Int, of domain: UInt16, _ reference: (Int) -> UInt32) throws(Errno) -> UInt64 {
    guard (1...Self.maximumPages).contains(count) else { throw .invalidArgument }
    var index: UInt64 = 0
    let failure = unsafe withUnsafeTemporaryAllocation(of: UInt32.self, capacity: count) { references in
      // SAFETY: `count` places, all filled before they are read; the C function reads them and writes one number.
      for position in 0..<count { unsafe references[position] = reference(position) }
      return unsafe pvio_gntdev_map(descriptor.rawValue, domain, references.baseAddress, UInt32(count), &index)
    }
    try check(failure)
    return index
  }

  /// More in one mapping are not asked for: a request, a ring and a table have less.
  public static let maximumPages = Int(PVIO_GNTDEV_MAP_LIMIT)

  /// The same for one page, without an array.
  public func announce(_ reference: UInt32, of domain: UInt16) throws(Errno) -> UInt64 {
    var (number, index) = (reference, UInt64(0))
    // SAFETY: the C function reads one number and writes one.
    try check(unsafe pvio_gntdev_map(descriptor.rawValue, domain, &number, 1, &index))
    return index
  }

  /// Forgets what was announced, after it was unmapped.
  public func withdraw(_ index: UInt64, pageCount: Int) { _ = pvio_gntdev_unmap(descriptor.rawValue, index, UInt32(pageCount)) }

  /// Has the kernel clear a byte of the first page and signal `port` when what was mapped is unmapped, also by the death of this process.
  /// The port must be open in this process (`UNMAP_NOTIFY_CLEAR_BYTE`, `UNMAP_NOTIFY_SEND_EVENT`).
  public func tellOfEnd(_ index: UInt64, byteOffset: Int, port: UInt32) throws(Errno) {
    try check(pvio_gntdev_notify_unmap(descriptor.rawValue, index + UInt64(byteOffset), port))
  }

  /// Copies `count` bytes at `address`, which is mapped here, to `offset` of one granted page. Returns as the way back does.
  public func copyIn(_ reference: UInt32, of domain: UInt16, at offset: Int, byteCount count: Int, from address: UInt) throws(Errno) -> Int32 {
    precondition(offset >= 0 && count > 0 && offset + count <= 4096)
    // SAFETY: the caller's memory, as for any system call that takes an address; the kernel checks it.
    return try check(
      unsafe pvio_gntdev_copy_in(
        descriptor.rawValue, domain, reference, UInt16(offset), UnsafeRawPointer(bitPattern: address), UInt16(count)))
  }

  /// Copies `count` bytes at `offset` of one granted page to `address`, which is mapped here, without mapping the page (`GNTTABOP_copy`).
  /// Returns 0, or the hypervisor's status turned round (3: bad reference).
  public func copyOut(_ reference: UInt32, of domain: UInt16, at offset: Int, byteCount count: Int, to address: UInt) throws(Errno) -> Int32 {
    precondition(offset >= 0 && count > 0 && offset + count <= 4096)
    // SAFETY: the caller's memory, as for any system call that takes an address; the kernel checks it.
    return try check(
      unsafe pvio_gntdev_copy_out(
        descriptor.rawValue, domain, reference, UInt16(offset), UnsafeMutableRawPointer(bitPattern: address), UInt16(count)))
  }
}

/// Pages of this domain that others may map: an open `/dev/xen/gntalloc`.
public struct GrantAllocationDevice: ~Copyable, Sendable {
  public static let path = "/dev/xen/gntalloc"

  public let descriptor: OwnedDescriptor

  public init() throws(Errno) { descriptor = try OwnedDescriptor.open(Self.path, flags: O_RDWR) }

  /// A new page that `domain` may map, and the offset at which it is mapped here.
  public func allocate(for domain: UInt16, writable: Bool) throws(Errno) -> (reference: UInt32, index: UInt64) {
    var (reference, index) = (UInt32(0), UInt64(0))
    // SAFETY: the C function writes two numbers.
    try check(unsafe pvio_gntalloc_allocate(descriptor.rawValue, domain, writable ? 1 : 0, &reference, &index))
    return (reference, index)
  }

  /// Has the kernel clear a byte of the page at `index` and signal `port` when it is unmapped here, also by the death of this process.
  public func tellOfEnd(_ index: UInt64, byteOffset: Int, port: UInt32) throws(Errno) {
    try check(pvio_gntalloc_notify_unmap(descriptor.rawValue, index + UInt64(byteOffset), port))
  }

  /// Takes the grant back. The page lives on as long as it is mapped on either side.
  public func free(_ index: UInt64) { _ = pvio_gntalloc_free(descriptor.rawValue, index) }
}
