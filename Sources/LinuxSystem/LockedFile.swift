import CLinuxShims
import Glibc
public import SystemPackage

/// A file that one process at a time holds (`flock`), with that process's number in it. Removed when the holder lets go.
public struct LockedFile: ~Copyable, Sendable {
  private let descriptor: OwnedDescriptor
  private let path: String

  /// Takes the lock, or throws `EWOULDBLOCK` when another process holds it.
  public init(path: String) throws(Errno) {
    var descriptor = try OwnedDescriptor.open(path, flags: O_RDWR | O_CREAT, mode: 0o644)
    try check(flock(descriptor.rawValue, LOCK_EX | LOCK_NB))
    // A holder that let go in between has removed the file that was opened: whoever comes later would lock another one.
    while try !LockedFile.isFile(descriptor, at: path) {
      descriptor = try OwnedDescriptor.open(path, flags: O_RDWR | O_CREAT, mode: 0o644)
      try check(flock(descriptor.rawValue, LOCK_EX | LOCK_NB))
    }
    try check(ftruncate(descriptor.rawValue, 0))
    let text = Array("\(getpid())\n".utf8)
    // SAFETY: the text is not empty, so it has a base address; as many bytes are read as it has.
    let written = unsafe text.withUnsafeBytes { unsafe write(descriptor.rawValue, $0.baseAddress!, $0.count) }
    try check(written)
    self.descriptor = descriptor
    self.path = path
  }

  private static func isFile(_ descriptor: borrowing OwnedDescriptor, at path: String) throws(Errno) -> Bool {
    var opened = stat()
    var named = stat()
    // SAFETY: the kernel fills structures of this very type; the path is a terminated string for the length of the call.
    try check(unsafe fstat(descriptor.rawValue, &opened))
    guard unsafe stat(path, &named) == 0 else { return false }
    return opened.st_ino == named.st_ino && opened.st_dev == named.st_dev
  }

  /// Goes on holding a lock that the program before this one in the same process held. Throws `EBADF` without such a descriptor.
  public init(inherited descriptor: Int32, path: String) throws(Errno) {
    self.descriptor = try OwnedDescriptor(inherited: descriptor)
    self.path = path
  }

  /// What to hand to the next program in this process, so that the lock is held all the time.
  public var inheritance: (descriptor: Int32, path: String) { (descriptor.rawValue, path) }

  // SAFETY: the path is a terminated string for the length of the call.
  deinit { unsafe unlink(path) }

  /// The process that holds the lock at `path`, or nil when nobody does.
  public static func holder(of path: String) -> Int32? {
    guard let file = try? OwnedDescriptor.open(path, flags: O_RDONLY) else { return nil }
    if flock(file.rawValue, LOCK_SH | LOCK_NB) == 0 { return nil }
    var buffer = [UInt8](repeating: 0, count: 32)
    // SAFETY: at most as many bytes are written as the buffer has.
    let count = unsafe read(file.rawValue, &buffer, buffer.count)
    guard count > 0 else { return nil }
    return Int32(String(decoding: buffer.prefix(count), as: UTF8.self).filter(\.isNumber))
  }
}
