public import SystemPackage

/// Why a store on disk cannot be opened or kept. Each description is one line that says what to do.
public enum StoreLogError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Another process has the state directory.
  case inUse(directory: String, processID: Int32?)
  /// A system call failed.
  case system(operation: String, path: String, Errno)
  /// A file of the store is not as it was written, and what is lost with it was acknowledged.
  case damaged(path: String, offset: Int, commit: UInt64, what: String)
  /// The snapshot, without which the logs mean nothing, is not as it was written.
  case damagedSnapshot(path: String, offset: Int, what: String)
  /// A file that must be there is not.
  case missing(path: String)
  /// The store was written by a later version of this program.
  case unknownVersion(path: String, version: UInt32)

  public var description: String {
    switch self {
    case .inUse(let directory, let processID):
      let holder = processID.map { "process \($0)" } ?? "another process"
      return "state directory \(directory) is in use by \(holder): stop that daemon, or choose another with --state-dir"
    case .system(let operation, let path, .noSpace):
      return "cannot \(operation) \(path): the disk is full: make room there and start again; nothing that was acknowledged is lost"
    case .system(let operation, let path, let error):
      return "cannot \(operation) \(path): \(error); nothing that was acknowledged is lost"
    case .damaged(let path, let offset, let commit, let what):
      return "\(path) is damaged at byte \(offset), commit \(commit): \(what): restore the directory from a backup, "
        + "or start once with --accept-loss to go on with what is before the damage"
    case .damagedSnapshot(let path, let offset, let what):
      return "\(path) is damaged at byte \(offset): \(what): restore the directory from a backup, or choose an empty one"
    case .missing(let path):
      return "\(path) is missing, and others of the same store are there: restore the directory from a backup, or choose an empty one"
    case .unknownVersion(let path, let version):
      return "\(path) has format \(version) and this program knows \(FileHeader.version): start the newer program that wrote it"
    }
  }

  static func calling<Result: ~Copyable>(
    _ operation: String, _ path: String, _ body: () throws(Errno) -> Result
  ) throws(StoreLogError) -> Result {
    do throws(Errno) { return try body() } catch { throw .system(operation: operation, path: path, error) }
  }
}
