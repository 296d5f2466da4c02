import CLinuxShims
import Glibc
public import SystemPackage

// SAFETY of the calls below: paths are terminated strings for the length of each call; buffers are local or the caller's arrays, and as long
// as the call is told.

/// A file below a directory that is shared with somebody who is not to be trusted: reached from the directory's root without ever leaving it.
///
/// Open as a path only (`O_PATH`), which neither reads nor starts anything. Symbolic links are never followed, by the kernel's word
/// (`RESOLVE_BENEATH`, `RESOLVE_NO_SYMLINKS`); what is opened for reading or writing is a regular file or a directory. Names are single
/// components: the caller checks that they have no slash and are not `.` or `..`.
public final class ShareFile: Sendable {
  /// The path-only descriptor.
  private let place: OwnedDescriptor
  public let status: Status

  /// What `stat` says.
  public struct Status: Sendable, Equatable {
    public var mode: UInt32 = 0
    public var userID: UInt32 = 0
    public var groupID: UInt32 = 0
    public var linkCount: UInt64 = 0
    public var deviceNumber: UInt64 = 0
    public var byteCount: UInt64 = 0
    public var blockByteCount: UInt64 = 0
    public var blockCount: UInt64 = 0
    public var inode: UInt64 = 0
    /// Seconds and nanoseconds.
    public var accessTime: (UInt64, UInt64) = (0, 0)
    public var modificationTime: (UInt64, UInt64) = (0, 0)
    public var changeTime: (UInt64, UInt64) = (0, 0)

    public var isDirectory: Bool { mode & S_IFMT == S_IFDIR }
    public var isRegular: Bool { mode & S_IFMT == S_IFREG }
    public var isSymbolicLink: Bool { mode & S_IFMT == S_IFLNK }

    public static func == (left: Status, right: Status) -> Bool { left.inode == right.inode && left.mode == right.mode && left.byteCount == right.byteCount }
  }

  private static let resolution: UInt64 = 0x08 | 0x04 | 0x02  // RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, RESOLVE_NO_MAGICLINKS
  private static let pathOnly = UInt64(O_CLOEXEC | O_NOFOLLOW | 0x200000 /* O_PATH */)

  /// The root of a share: a directory of the host, whose path may have symbolic links.
  public init(root path: String) throws(Errno) {
    place = try OwnedDescriptor.open(path, flags: O_DIRECTORY | 0x200000)
    status = try Self.status(of: place.rawValue)
  }

  /// The file at `components` below `root`; the root itself when there are none. A symbolic link at the end is itself.
  public init(_ components: [String], below root: ShareFile) throws(Errno) {
    let path = components.isEmpty ? "." : components.joined(separator: "/")
    place = OwnedDescriptor(owning: try check(unsafe pvio_openat2(root.place.rawValue, path, Self.pathOnly, 0, Self.resolution)))
    status = try Self.status(of: place.rawValue)
  }

  /// What `stat` says now.
  public func currentStatus() throws(Errno) -> Status { try Self.status(of: place.rawValue) }

  // MARK: Opening

  /// Opens a regular file or a directory; other kinds throw `EOPNOTSUPP`, since opening them may do something.
  public func open(flags: Int32) throws(Errno) -> OwnedDescriptor {
    guard status.isRegular || status.isDirectory else { throw .notSupported }
    // A link of the kernel's to this very file: nothing is resolved.
    return try OwnedDescriptor.open(ownPath, flags: flags & (O_ACCMODE | O_TRUNC | O_APPEND | O_DIRECTORY) | O_NONBLOCK | O_NOCTTY)
  }

  /// Makes and opens a regular file in this directory.
  public func create(_ name: String, flags: Int32, mode: UInt32) throws(Errno) -> OwnedDescriptor {
    let allowed = UInt64(flags & (O_ACCMODE | O_TRUNC | O_APPEND | O_EXCL) | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
    return OwnedDescriptor(owning: try check(unsafe pvio_openat2(place.rawValue, name, allowed, UInt64(mode & 0o777), Self.resolution)))
  }

  // MARK: Names in this directory

  public func makeDirectory(_ name: String, mode: UInt32) throws(Errno) { try check(unsafe mkdirat(place.rawValue, name, mode & 0o1777)) }

  public func makeSymbolicLink(_ name: String, to target: String) throws(Errno) { try check(unsafe symlinkat(target, place.rawValue, name)) }

  /// Another name for `file`, which must not be a directory. By its place, not by a path that can be changed meanwhile.
  public func makeLink(_ name: String, to file: ShareFile) throws(Errno) {
    guard file.status.isRegular else { throw .notPermitted }
    try check(unsafe linkat(AT_FDCWD, file.ownPath, place.rawValue, name, 0x400 /* AT_SYMLINK_FOLLOW: the kernel's own link */))
  }

  public func remove(_ name: String, isDirectory: Bool) throws(Errno) {
    try check(unsafe unlinkat(place.rawValue, name, isDirectory ? AT_REMOVEDIR : 0))
  }

  public func rename(_ name: String, to newName: String, in directory: ShareFile) throws(Errno) {
    try check(unsafe renameat(place.rawValue, name, directory.place.rawValue, newName))
  }

  // MARK: This file

  /// Where a symbolic link points, as it stands.
  public func linkTarget() throws(Errno) -> String {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let descriptor = place.rawValue
    let count = try check(unsafe buffer.withUnsafeMutableBytes { unsafe readlinkat(descriptor, "", $0.baseAddress!, $0.count) })
    return String(decoding: buffer[..<count], as: UTF8.self)
  }

  /// Changes permissions; never those that give a program its owner's rights.
  public func setMode(_ mode: UInt32) throws(Errno) {
    guard status.isRegular || status.isDirectory else { throw .notSupported }
    try check(unsafe chmod(ownPath, mode & 0o1777))
  }

  public func setByteCount(_ byteCount: UInt64) throws(Errno) {
    guard status.isRegular else { throw .invalidArgument }
    try check(unsafe truncate(ownPath, off_t(clamping: byteCount)))
  }

  /// Sets times of access and modification; nil: as they are. Nanoseconds beyond a second are refused by the kernel.
  public func setTimes(access: FileTime?, modification: FileTime?) throws(Errno) {
    guard status.isRegular || status.isDirectory else { throw .notSupported }
    let times = [access, modification].map { time in
      switch time {
      case nil: timespec(tv_sec: 0, tv_nsec: 0x3FFF_FFFE)
      case .now: timespec(tv_sec: 0, tv_nsec: 0x3FFF_FFFF)
      case .at(let seconds, let nanoseconds): timespec(tv_sec: Int(clamping: seconds), tv_nsec: Int(clamping: min(nanoseconds, 999_999_999)))
      }
    }
    try check(unsafe utimensat(AT_FDCWD, ownPath, times, 0))
  }

  public enum FileTime: Sendable, Equatable {
    case now
    case at(seconds: UInt64, nanoseconds: UInt64)
  }

  /// The file system that the file is in.
  public func fileSystem() throws(Errno) -> FileSystem {
    var result = statvfs()
    try check(unsafe fstatvfs(place.rawValue, &result))
    return FileSystem(
      blockByteCount: UInt32(truncatingIfNeeded: result.f_bsize), blockCount: UInt64(result.f_blocks),
      freeBlockCount: UInt64(result.f_bfree), availableBlockCount: UInt64(result.f_bavail), fileCount: UInt64(result.f_files),
      freeFileCount: UInt64(result.f_ffree), nameByteCount: UInt32(truncatingIfNeeded: result.f_namemax))
  }

  public struct FileSystem: Sendable {
    public var blockByteCount: UInt32
    public var blockCount: UInt64
    public var freeBlockCount: UInt64
    public var availableBlockCount: UInt64
    public var fileCount: UInt64
    public var freeFileCount: UInt64
    public var nameByteCount: UInt32
  }

  private var ownPath: String { "/proc/self/fd/\(place.rawValue)" }

  private static func status(of descriptor: Int32) throws(Errno) -> Status {
    var raw = stat()
    try check(unsafe fstat(descriptor, &raw))
    return Status(
      mode: raw.st_mode, userID: raw.st_uid, groupID: raw.st_gid, linkCount: UInt64(raw.st_nlink), deviceNumber: UInt64(raw.st_rdev),
      byteCount: UInt64(raw.st_size), blockByteCount: UInt64(raw.st_blksize), blockCount: UInt64(raw.st_blocks), inode: UInt64(raw.st_ino),
      accessTime: (UInt64(bitPattern: Int64(raw.st_atim.tv_sec)), UInt64(raw.st_atim.tv_nsec)),
      modificationTime: (UInt64(bitPattern: Int64(raw.st_mtim.tv_sec)), UInt64(raw.st_mtim.tv_nsec)),
      changeTime: (UInt64(bitPattern: Int64(raw.st_ctim.tv_sec)), UInt64(raw.st_ctim.tv_nsec)))
  }
}

/// Reading and writing of open files at a place, into and out of arrays.
extension OwnedDescriptor {
  /// Reads at most `count` bytes at `offset` of the file, and appends them to `buffer`. Returns how many.
  public func read(_ count: Int, at offset: UInt64, appendingTo buffer: inout [UInt8]) throws(Errno) -> Int {
    let start = buffer.count
    buffer.append(contentsOf: repeatElement(0, count: count))
    let result = unsafe buffer.withUnsafeMutableBytes { unsafe pread(rawValue, $0.baseAddress! + start, count, off_t(clamping: offset)) }
    let error = Errno.last
    buffer.removeLast(count - max(0, result))
    if result < 0 { throw error }
    return result
  }

  /// Writes `range` of `buffer` at `offset` of the file. Returns how many bytes were written.
  public func write(_ buffer: [UInt8], _ range: Range<Int>, at offset: UInt64) throws(Errno) -> Int {
    precondition(range.upperBound <= buffer.count, "more bytes than there are")
    return try check(unsafe buffer.withUnsafeBytes { unsafe pwrite(rawValue, $0.baseAddress! + range.lowerBound, range.count, off_t(clamping: offset)) })
  }

  /// Makes what was written durable.
  public func synchronize(dataOnly: Bool) throws(Errno) { try check(dataOnly ? fdatasync(rawValue) : fsync(rawValue)) }

  /// One entry of a directory.
  public struct DirectoryEntry: Sendable, Equatable {
    public var inode: UInt64
    /// Where to go on behind this entry.
    public var nextOffset: UInt64
    /// `DT_DIR`, …
    public var type: UInt8
    public var name: String
  }

  /// Entries of a directory from `offset` on, 0 or what an entry said: as many as the kernel gives at once. None at the end.
  public func directoryEntries(from offset: UInt64) throws(Errno) -> [DirectoryEntry] {
    try check(Int(lseek(rawValue, off_t(truncatingIfNeeded: offset), SEEK_SET)))
    var buffer = [UInt8](repeating: 0, count: 16 << 10)
    let count = try check(unsafe buffer.withUnsafeMutableBytes { unsafe pvio_directory_entries(rawValue, $0.baseAddress!, $0.count) })
    var entries: [DirectoryEntry] = []
    var position = 0
    func number(_ place: Int, _ byteCount: Int) -> UInt64 { (0..<byteCount).reversed().reduce(0) { $0 << 8 | UInt64(buffer[place + $1]) } }
    while position + 19 <= count {
      let length = Int(number(position + 16, 2))
      let name = buffer[position + 19..<position + length].prefix { $0 != 0 }
      entries.append(
        DirectoryEntry(
          inode: number(position, 8), nextOffset: number(position + 8, 8), type: buffer[position + 18], name: String(decoding: name, as: UTF8.self)))
      position += length
    }
    return entries
  }
}
