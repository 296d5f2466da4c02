import Foundation
import Synchronization
import SystemPackage
import XenInterface
import XenStoreCore
import XenStoreLog
import XenStoreWire

/// A directory that goes away with the test.
final class TemporaryDirectory {
  let path: String

  init() throws {
    path = FileManager.default.temporaryDirectory.appending(path: "pvio-log-\(UUID().uuidString.prefix(8))").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { do { try FileManager.default.removeItem(atPath: path) } catch {} }

  /// A copy of the directory as it is now: what a crash at this moment leaves.
  func copy() throws -> TemporaryDirectory {
    let copy = try TemporaryDirectory()
    for name in try files() where name != "lock" {
      try FileManager.default.copyItem(atPath: "\(path)/\(name)", toPath: "\(copy.path)/\(name)")
    }
    return copy
  }

  func files() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: path).sorted() }

  func bytes(_ name: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: "\(path)/\(name)"))) }

  func write(_ bytes: [UInt8], to name: String) throws { try Data(bytes).write(to: URL(filePath: "\(path)/\(name)")) }
}

/// A store on disk whose thread is the test's.
final class DiskStore {
  let core = XenStoreCore()
  let log: StoreLog
  let client: XenStoreConnectionID
  private let posted: Posted

  private final class Posted: Sendable {
    let work = Mutex<[@Sendable () -> Void]>([])
  }

  init(_ directory: TemporaryDirectory, options: StoreLogOptions = .small) throws {
    let posted = Posted()
    self.posted = posted
    log = try StoreLog(directory: directory.path, core: core, options: options) { work in posted.work.withLock { $0.append(work) } }
    client = core.connect(domain: .control, privileged: true)
  }

  deinit { log.close() }

  func send(_ type: XenStoreMessageType, _ strings: [String], in transaction: UInt32 = 0) {
    core.handle(XenStorePacket(type, requestID: 1, transactionID: transaction, strings: strings), from: client)
  }

  func write(_ path: String, _ value: String, in transaction: UInt32 = 0) {
    core.handle(
      XenStorePacket(.write, requestID: 1, transactionID: transaction, payload: Array(path.utf8) + [0] + Array(value.utf8)), from: client)
  }

  /// Makes everything durable, and forgets the replies.
  func sync() {
    log.waitUntilDurable()
    while core.nextOutput(for: client) != nil {}
  }

  /// Does what other threads have brought.
  func runPosted() {
    let work = posted.work.withLock { work in
      defer { work = [] }
      return work
    }
    for item in work { item() }
  }

  /// Waits for what other threads bring until `condition` holds.
  func wait(until condition: () -> Bool) {
    while !condition() {
      runPosted()
      Thread.sleep(forTimeInterval: 0.001)
    }
  }

  /// The packets that may leave now.
  func output() -> [XenStorePacket] {
    var packets: [XenStorePacket] = []
    var parser = XenStorePacketParser()
    while let bytes = core.nextOutput(for: client) {
      parser.feed(bytes[...])
      while case .packet(let packet) = parser.next() { packets.append(packet) }
    }
    return packets
  }
}

extension StoreLogOptions {
  /// Small enough that a test can look at every byte, and that compaction comes soon.
  static var small: StoreLogOptions {
    var options = StoreLogOptions()
    options.compactionByteCount = 4096
    options.reserveByteCount = 2048
    return options
  }

  static func small(onStep: @escaping @Sendable (Step) throws(Errno) -> Void) -> StoreLogOptions {
    var options = small
    options.onStep = onStep
    return options
  }
}

/// The whole store as changes, which say everything of it that outlives a process.
func contents(_ core: XenStoreCore) -> [XenStoreChange] {
  var changes: [XenStoreChange] = []
  core.image().forEachChange { changes.append($0) }
  return changes
}
