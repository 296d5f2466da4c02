import CLinuxShims
import Glibc
public import SystemPackage

/// Files that must survive a power failure, and the directory they are in. All calls may wait for the disk.
public enum StorageFile {
  /// Opens `path` for reading and writing; with `creating` it must not exist yet, and only this user can open it.
  public static func open(_ path: String, creating: Bool) throws(Errno) -> OwnedDescriptor {
    try OwnedDescriptor.open(path, flags: creating ? O_RDWR | O_CREAT | O_EXCL : O_RDWR, mode: 0o600)
  }

  /// Writes all of `bytes` at `offset`.
  public static func write(_ bytes: [UInt8], at offset: Int, on file: borrowing OwnedDescriptor) throws(Errno) {
    let descriptor = file.rawValue
    var written = 0
    while written < bytes.count {
      // SAFETY: `written` is less than the array's size, so the rest of it is not empty and lies within the array.
      let count = unsafe bytes.withUnsafeBytes { bytes in
        unsafe pwrite(descriptor, bytes.baseAddress! + written, bytes.count - written, off_t(offset + written))
      }
      do throws(Errno) { written += Int(try check(count)) } catch { if error != .interrupted { throw error } }
    }
  }

  /// Reads all of the file at `path`.
  public static func read(_ path: String) throws(Errno) -> [UInt8] {
    let file = try OwnedDescriptor.open(path, flags: O_RDONLY)
    let descriptor = file.rawValue
    var status = stat()
    // SAFETY: the kernel fills a structure of this very type.
    try check(unsafe fstat(descriptor, &status))
    let byteCount = Int(status.st_size)
    var failure: Errno?
    // SAFETY: each call writes only behind what is filled, at most to the buffer's end; `filled` bytes are initialised.
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, filled in
      filled = 0
      while filled < byteCount {
        let count = unsafe Glibc.read(descriptor, buffer.baseAddress! + filled, byteCount - filled)
        if count < 0, Errno.last == .interrupted { continue }
        if count < 0 { failure = Errno.last }
        if count <= 0 { break }
        filled += count
      }
    }
    if let failure { throw failure }
    return bytes
  }

  /// Waits until what was written cannot be lost (`fdatasync`).
  public static func syncData(_ file: borrowing OwnedDescriptor) throws(Errno) { try check(fdatasync(file.rawValue)) }

  /// Waits until names that were made, changed or removed in the directory cannot be lost (`fsync`).
  public static func syncDirectory(_ path: String) throws(Errno) {
    let directory = try OwnedDescriptor.open(path, flags: O_RDONLY | O_DIRECTORY)
    try check(fsync(directory.rawValue))
  }

  /// Gives a file another name in one step; a file that has it already is replaced.
  public static func rename(_ path: String, to newPath: String) throws(Errno) {
    // SAFETY: the paths are terminated strings for the length of the call.
    try check(unsafe Glibc.rename(path, newPath))
  }

  /// Removes a file; one that is missing is removed already.
  public static func remove(_ path: String) throws(Errno) {
    // SAFETY: the path is a terminated string for the length of the call.
    if unsafe unlink(path) != 0, Errno.last != .noSuchFileOrDirectory { throw Errno.last }
  }

  /// The names in a directory, in order, without `.` and `..`.
  public static func names(in path: String) throws(Errno) -> [String] {
    // SAFETY: the stream is closed when this returns. An entry is valid until the next one is read, and its name is copied before; the
    // name is terminated within the entry.
    guard let stream = unsafe opendir(path) else { throw Errno.last }
    defer { unsafe closedir(stream) }
    var names: [String] = []
    while let entry = unsafe readdir(stream) {
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }
}
