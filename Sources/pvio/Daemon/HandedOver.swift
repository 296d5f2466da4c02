import Broker
import DriverCommands
import LinuxSystem
import XenStoreMigration
import XenStoreServer

/// What one daemon hands to the next in the same process: a migration stream with the store, the broker and the daemon's own locks.
final class HandedOver: @unchecked Sendable {
  // SAFETY of @unchecked: made by one thread and given to the loop's, which alone uses `store` from then on.

  /// A file that the daemon holds as long as it runs.
  enum LockRole: String, CaseIterable {
    case runDirectory = "run-directory"
    case pidfile
    case stateDirectory = "state-directory"
  }

  /// Most bytes of a stream that are read.
  static let byteLimit = 1 << 30

  let runDirectory: String
  let locks: [LockRole: (descriptor: Int32, path: String)]
  /// Where to find signals that came too late for the earlier daemon.
  let signalRecord: Int32?
  let store: XenStoreServerImport.Result
  let broker: BrokerImport

  /// Reads a whole stream and checks that its records fit each other; takes no descriptor over.
  init(_ bytes: [UInt8]) throws(MigrationFault) {
    var stream = try MigrationStreamReader(bytes)
    var store = XenStoreServerImport()
    var broker = BrokerImport()
    var runDirectory: String?
    var locks: [LockRole: (descriptor: Int32, path: String)] = [:]
    var signalRecord: Int32?
    while var record = try stream.next() {
      switch record.type {
      case .daemonState:
        runDirectory = try record.text("run directory")
        try record.finish()
      case .daemonLock:
        guard let role = LockRole(rawValue: try record.text("role")), locks[role] == nil else { throw record.fault("role") }
        locks[role] = (try record.integer("descriptor"), try record.text("path"))
        try record.finish()
      case .daemonSignals:
        signalRecord = try record.integer("descriptor")
        try record.finish()
      default:
        if try store.take(record) { continue }
        guard try broker.take(record) else { throw record.unknown }
      }
    }
    guard let runDirectory, locks[.runDirectory] != nil else { throw .inconsistent("it is not a daemon's") }
    try broker.check()
    self.runDirectory = runDirectory
    self.locks = locks
    self.signalRecord = signalRecord
    self.store = try store.finish()
    self.broker = broker
  }

  /// Throws when a daemon with these options is another one than that which wrote the stream.
  func check(runDirectory: String, pidfile: String?, stateDirectory: String?) throws(CommandFailure) {
    guard runDirectory == self.runDirectory else {
      throw CommandFailure("the daemon serves \(self.runDirectory), and the new one would serve \(runDirectory)")
    }
    guard pidfile == locks[.pidfile]?.path else {
      throw CommandFailure("the daemon's pidfile is \(locks[.pidfile]?.path ?? "none"), and the new one's would be \(pidfile ?? "none")")
    }
    guard (stateDirectory == nil) == (locks[.stateDirectory] == nil) else {
      throw CommandFailure("the daemon keeps its store \(stateDirectory == nil ? "on disk" : "in memory"), and the new one would not")
    }
  }
}
