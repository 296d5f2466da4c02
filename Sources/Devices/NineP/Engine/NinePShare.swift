import LinuxSystem
public import SystemPackage

/// A directory of the host that is shared, and how.
public struct NinePShare: Sendable {
  let root: ShareFile
  /// Nothing can be changed.
  public let isReadOnly: Bool
  /// Files that a guest can hold at once.
  public let fidLimit: Int

  /// Opens the directory at `path`. Throws what the system says, `ENOTDIR` for something else.
  public init(path: String, isReadOnly: Bool = false, fidLimit: Int = 1024) throws(Errno) {
    root = try ShareFile(root: path)
    self.isReadOnly = isReadOnly
    self.fidLimit = fidLimit
  }
}

/// What a number of the guest's stands for: a place in the share, and perhaps the open file there.
final class NinePFid {
  /// From the root.
  let path: [String]
  let file: ShareFile
  var open: SharedDescriptor?

  init(_ path: [String], _ file: ShareFile) {
    self.path = path
    self.file = file
  }
}
