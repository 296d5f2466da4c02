public import SystemPackage

/// Why what should back a disk cannot: one line that names the object and the remedy.
public enum BlockOpenError: Error, Sendable, Equatable {
  case missing(path: String)
  case permissionDenied(path: String, forWriting: Bool)
  /// The file system is mounted read-only, or the device is write-protected.
  case writeProtected(path: String)
  case directory(path: String)
  /// A socket, pipe or character device.
  case notADisk(path: String)
  case tooSmall(path: String, byteCount: UInt64, sectorByteCount: Int)
  /// Another process has it open as a disk.
  case locked(path: String, forWriting: Bool)
  /// A block device that is mounted or otherwise claimed.
  case inUse(path: String)
  case unsupportedSectorSize(Int)
  /// The device cannot do transfers that small.
  case sectorSizeTooSmall(path: String, asked: Int, needed: Int)
  case noMemory(byteCount: UInt64, Errno)
  /// A script that cannot serve a disk.
  case script(path: String, problem: String)
  case system(operation: String, path: String, Errno)
}

extension BlockOpenError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .missing(let path): "\(path) does not exist; create it first, for example with: truncate -s 10G \(path)"
    case .permissionDenied(let path, true): "\(path) may not be written by this user; change its permissions, or use readonly=on"
    case .permissionDenied(let path, false): "\(path) may not be read by this user; change its permissions"
    case .writeProtected(let path): "\(path) is write-protected; use readonly=on"
    case .directory(let path): "\(path) is a directory; name an image file or a block device"
    case .notADisk(let path): "\(path) is neither a file nor a block device"
    case .tooSmall(let path, let size, let sector): "\(path) has \(size) bytes, which is less than one sector of \(sector); make it larger"
    case .locked(let path, true): "\(path) is in use by another back-end; detach it there, or use readonly=on for both"
    case .locked(let path, false): "\(path) is in use for writing by another back-end; detach it there first"
    case .inUse(let path): "\(path) is mounted or in use by the host; unmount it first"
    case .unsupportedSectorSize(let size): "sector-size=\(size) is not supported; use 512 or 4096"
    case .sectorSizeTooSmall(let path, let asked, let needed): "\(path) has sectors of \(needed) bytes; sector-size=\(asked) is too small, use sector-size=\(needed)"
    case .noMemory(let size, let errno): "\(size) bytes of memory for a disk cannot be had: \(errno); use a smaller size"
    case .script(let path, let problem): "\(path) \(problem)"
    case .system(let operation, let path, let errno): "\(operation) \(path): \(errno)"
    }
  }
}
