import LinuxSystem
import SystemPackage

/// The names of a store's files.
///
/// `snapshot.N` is the store as it was when `log.N` began; the logs from there on, in order, have everything since.
struct StateDirectory: Sendable {
  static let unfinishedSuffix = ".unfinished"
  static let damagedSuffix = ".damaged"

  let path: String

  var lock: String { "\(path)/lock" }
  func log(_ number: UInt64) -> String { "\(path)/log.\(number)" }
  func snapshot(_ number: UInt64) -> String { "\(path)/snapshot.\(number)" }

  struct Contents: Equatable {
    var snapshots: [UInt64] = []
    var logs: [UInt64] = []
    var unfinished: [String] = []
  }

  /// What is there, in order; files that no store makes are left out.
  func contents() throws(StoreLogError) -> Contents {
    let names = try StoreLogError.calling("read", path) { () throws(Errno) in try StorageFile.names(in: path) }
    var contents = Contents()
    for name in names {
      let parts = name.split(separator: ".", omittingEmptySubsequences: false)
      guard parts.count >= 2, ["log", "snapshot"].contains(parts[0]), let number = UInt64(parts[1]) else { continue }
      if parts.count == 2 {
        if parts[0] == "log" { contents.logs.append(number) } else { contents.snapshots.append(number) }
      } else if name.hasSuffix(StateDirectory.unfinishedSuffix) {
        contents.unfinished.append("\(path)/\(name)")
      }
    }
    contents.logs.sort()
    contents.snapshots.sort()
    return contents
  }

  /// Removes what a snapshot has replaced. What cannot be removed is tried again later.
  func removeEverything(before number: UInt64) {
    guard let contents = try? contents() else { return }
    // Snapshots first: a log without its snapshot means nothing, a snapshot without its log would be taken for damage.
    for old in contents.snapshots where old < number { try? StorageFile.remove(snapshot(old)) }
    for old in contents.logs where old < number { try? StorageFile.remove(log(old)) }
  }
}
