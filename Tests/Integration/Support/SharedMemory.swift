import LinuxSystem

/// A mapping of memory that another process may have too.
struct SharedMapping {
  /// Which memory it is, whoever maps it.
  var inode: String
  var name: String
}

/// The mappings of memory files (`memfd`) that a process has, from /proc.
func sharedMemory(of process: Int32) throws -> [SharedMapping] {
  try TextFile.read("/proc/\(process)/maps", maximumByteCount: 1 << 20).split(separator: "\n").compactMap { line in
    let fields = line.split(separator: " ", maxSplits: 5, omittingEmptySubsequences: true)
    guard fields.count == 6, fields[5].contains("memfd:") else { return nil }
    return SharedMapping(inode: String(fields[4]), name: String(fields[5].drop { $0 == " " }))
  }
}
