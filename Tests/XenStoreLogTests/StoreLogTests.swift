import LinuxSystem
import Synchronization
import SystemPackage
import Testing
import XenInterface
import XenStoreCore
import XenStoreLog
import XenStoreWire

@Suite struct StoreLogTests {
  @Test func aRestartedStoreIsAsItWas() throws {
    let directory = try TemporaryDirectory()
    let before: [XenStoreChange]
    do {
      let store = try DiskStore(directory)
      #expect(store.log.recovery.isNew)
      store.core.introduce(DomainID(rawValue: 3))
      store.core.introduce(DomainID(rawValue: 4))
      store.send(.setTarget, ["4", "3"])
      store.send(.setPermissions, ["@releaseDomain", "n0", "r3"])
      store.send(.setQuota, ["watches", "77"])
      store.send(.setQuota, ["3", "nodes", "42"])
      store.send(.setFeature, ["9", "1"])
      store.write("/a/b/c", "value")
      store.write("/gone", "")
      store.send(.remove, ["/gone"])
      store.sync()
      before = contents(store.core)
      store.log.close()
    }
    let again = try DiskStore(directory)
    #expect(contents(again.core) == before)
    #expect(again.log.recovery.wasStopped)
    #expect(!again.log.recovery.isNew)
    #expect(again.core.domains.map(\.rawValue) == [0, 3, 4])
    #expect(again.core.quota(.nodes, of: DomainID(rawValue: 3)) == 42)
    #expect(again.core.quota(.watches, of: DomainID(rawValue: 3)) == 77)
    #expect(again.core.features(of: DomainID(rawValue: 9)).rawValue == 1)
    again.write("/a/b/c", "other")
    again.sync()
    let crashed = try directory.copy()
    let third = try DiskStore(crashed)
    #expect(contents(third.core) == contents(again.core))
    #expect(!third.log.recovery.wasStopped)
    #expect(third.log.recovery.replayedCommitCount == 1)
  }

  @Test func aSecondDaemonIsRefused() throws {
    let directory = try TemporaryDirectory()
    let store = try DiskStore(directory)
    let error = try #require(throws: StoreLogError.self) { try DiskStore(directory) }
    guard case .inUse = error else { throw error }
    #expect(error.description.contains("--state-dir"))
    store.log.close()
    _ = try DiskStore(directory)
  }

  @Test func noReplyLeavesBeforeTheSyncIsDone() throws {
    let directory = try TemporaryDirectory()
    let disk = SlowDisk()
    let store = try DiskStore(directory, options: .small(onStep: disk.step))
    disk.isSlow.store(true, ordering: .sequentiallyConsistent)
    store.write("/a", "1")
    store.send(.read, ["/a"])
    #expect(store.output().isEmpty)
    store.log.submit()
    // The thread is in the sync now, and stays there.
    EventDescriptor.drain(disk.started)
    store.runPosted()
    #expect(store.output().isEmpty)
    disk.isSlow.store(false, ordering: .sequentiallyConsistent)
    EventDescriptor.signal(disk.mayGoOn)
    store.log.waitUntilDurable()
    #expect(store.output().map(\.type) == [.write, .read])
  }

  @Test func whatComesDuringASyncSharesTheNext() throws {
    let directory = try TemporaryDirectory()
    let disk = SlowDisk()
    let store = try DiskStore(directory, options: .small(onStep: disk.step))
    disk.isSlow.store(true, ordering: .sequentiallyConsistent)
    store.write("/a", "1")
    store.log.submit()
    EventDescriptor.drain(disk.started)
    for number in 0..<10 {
      store.write("/b\(number)", "1")
      store.log.submit()
    }
    let before = disk.syncCount.load(ordering: .sequentiallyConsistent)
    disk.isSlow.store(false, ordering: .sequentiallyConsistent)
    EventDescriptor.signal(disk.mayGoOn)
    store.log.waitUntilDurable()
    #expect(disk.syncCount.load(ordering: .sequentiallyConsistent) == before + 1)
    #expect(store.output().count == 11)
  }

  @Test func aFailedSyncIsNeverAcknowledged() throws {
    let directory = try TemporaryDirectory()
    let disk = FailingDisk()
    let store = try DiskStore(directory, options: .small(onStep: disk.step))
    let failures = Mutex<[StoreLogError]>([])
    store.log.onFailure = { error in failures.withLock { $0.append(error) } }
    store.write("/a", "1")
    store.sync()
    disk.fail(.sync, .ioError)
    store.write("/b", "1")
    #expect(!store.log.waitUntilDurable())
    #expect(store.output().isEmpty)
    #expect(failures.withLock { $0.count } == 1)
    disk.fail(nil, .ioError)
    // Even when the disk works again: nobody knows what is on it.
    store.write("/c", "1")
    #expect(!store.log.waitUntilDurable())
    #expect(store.output().isEmpty)
    let again = try DiskStore(try directory.copy())
    let path = try XenStorePath("/a")
    #expect(again.core.value(at: path) != nil)
  }

  @Test func aFullDiskRefusesChangesAndNothingElse() throws {
    let directory = try TemporaryDirectory()
    let disk = FailingDisk()
    let store = try DiskStore(directory, options: .small(onStep: disk.step))
    disk.fail(.grow, .noSpace, alsoPreparing: true)
    // Until the room that is kept ready is all there is.
    var count = 0
    while store.log.shortage == nil, count < 1000 {
      store.write("/a\(count)", "value")
      store.sync()
      count += 1
    }
    #expect(store.log.failure == nil)
    guard let shortage = store.log.shortage else { throw TestFailure("there is no shortage") }
    #expect(shortage.description.contains("the disk is full"))
    store.write("/more", "value")
    store.send(.read, ["/a0"])
    store.send(.transactionStart, [""])
    store.sync()
    #expect(store.core.changeRefusal == .noSpace)

    disk.fail(nil, .noSpace)
    store.log.retryShortage()
    store.wait { store.log.shortage == nil }
    store.write("/more", "value")
    store.log.waitUntilDurable()
    #expect(store.output().map(\.type) == [.write])
    let again = try DiskStore(try directory.copy())
    #expect(contents(again.core) == contents(store.core))
  }

  @Test func aRefusedChangeIsAnsweredWithENOSPC() throws {
    let store = try DiskStore(try TemporaryDirectory())
    store.write("/a", "1")
    store.send(.transactionStart, [""])
    store.log.waitUntilDurable()
    let transaction = try #require(
      store.output().last.flatMap { XenStorePayload.onlyString($0.payload) }.flatMap { XenStorePayload.number($0, as: UInt32.self) })
    store.core.changeRefusal = .noSpace
    store.write("/b", "1")
    store.send(.read, ["/a"])
    store.write("/c", "1", in: transaction)
    store.send(.transactionEnd, ["T"], in: transaction)
    store.log.waitUntilDurable()
    #expect(store.output().map(\.type) == [.error, .read, .write, .error])
    #expect(store.log.recovery.lastSequence == 0 && store.core.lastCommitSequence == 1)
  }

  @Test func theLogIsReplacedBySnapshotsWhileItIsInUse() throws {
    let directory = try TemporaryDirectory()
    let store = try DiskStore(directory)
    var count = 0
    while store.log.snapshotCount < 3 {
      store.write("/a/\(count % 20)", "value \(count)")
      if count % 3 == 0 { store.sync() }
      store.runPosted()
      count += 1
      if count % 50 == 0 {
        store.sync()
        let crashed = try DiskStore(try directory.copyWhileInUse())
        #expect(contents(crashed.core) == contents(store.core))
      }
    }
    store.sync()
    let files = try directory.files()
    #expect(files.filter { $0.hasPrefix("snapshot.") }.count <= 2 && files.filter { $0.hasPrefix("log.") }.count <= 3, "\(files)")
    let again = try DiskStore(try directory.copyWhileInUse())
    #expect(contents(again.core) == contents(store.core))
  }

  @Test(arguments: [.prepareLog, .writeSnapshot] as [StoreLogOptions.Step])
  func aSnapshotThatCannotBeWrittenIsTriedAgain(step: StoreLogOptions.Step) throws {
    let directory = try TemporaryDirectory()
    let disk = FailingDisk()
    let store = try DiskStore(directory, options: .small(onStep: disk.step))
    let failures = Mutex(0)
    store.log.onCompactionFailure = { _ in failures.withLock { $0 += 1 } }
    disk.fail(step, .noSpace)
    var count = 0
    func storm(until condition: () -> Bool) {
      while !condition() {
        store.write("/a/\(count % 20)", "value \(count)")
        store.sync()
        store.runPosted()
        count += 1
      }
    }
    storm { failures.withLock { $0 } == 2 }
    #expect(store.log.snapshotCount == 0)
    #expect(contents(try DiskStore(try directory.copyWhileInUse()).core) == contents(store.core))
    disk.fail(nil, .noSpace)
    storm { store.log.snapshotCount == 1 }
    store.sync()
    #expect(contents(try DiskStore(try directory.copyWhileInUse()).core) == contents(store.core))
  }

  @Test func aCrashBetweenASnapshotAndTheRemovalOfWhatItReplacesIsHarmless() throws {
    let directory = try TemporaryDirectory()
    let store = try DiskStore(directory)
    store.write("/a", "1")
    store.sync()
    let before = try directory.copyWhileInUse()
    var count = 0
    while store.log.snapshotCount < 1 {
      store.write("/a/\(count % 20)", "value \(count)")
      store.sync()
      store.runPosted()
      count += 1
    }
    let after = try directory.copyWhileInUse()
    // What was replaced is still there, and so is what was not finished.
    for name in try before.files() where try !after.files().contains(name) { try after.write(try before.bytes(name), to: name) }
    try after.write([1, 2, 3], to: "log.99.unfinished")
    try after.write([1, 2, 3], to: "snapshot.99.unfinished")
    let again = try DiskStore(after)
    #expect(contents(again.core) == contents(store.core))
    #expect(try after.files().allSatisfy { !$0.hasSuffix(".unfinished") })
    #expect(try after.files().filter { $0.hasPrefix("snapshot.") }.count == 1)
  }
}

struct TestFailure: Error {
  let message: String
  init(_ message: String) { self.message = message }
}

extension TemporaryDirectory {
  /// A copy while threads are at work: what was there at some moment. Files that go away meanwhile make it start over.
  func copyWhileInUse() throws -> TemporaryDirectory {
    while true { if let copy = try? copy(), try files().filter({ $0 != "lock" }) == copy.files() { return copy } }
  }
}

/// Syncs wait, while that is asked for, until they are let go.
private final class SlowDisk: Sendable {
  let isSlow = Atomic(false)
  let syncCount = Atomic(0)
  let started: OwnedDescriptor
  let mayGoOn: OwnedDescriptor

  init() {
    guard let started: OwnedDescriptor = try? EventDescriptor.create(nonBlocking: false), let mayGoOn = try? EventDescriptor.create(nonBlocking: false) else {
      fatalError("out of descriptors")
    }
    self.started = started
    self.mayGoOn = mayGoOn
  }

  var step: @Sendable (StoreLogOptions.Step) throws(Errno) -> Void {
    { [self] step in
      guard step == .sync else { return }
      if isSlow.load(ordering: .sequentiallyConsistent) {
        EventDescriptor.signal(started)
        EventDescriptor.drain(mayGoOn)
      } else {
        syncCount.add(1, ordering: .sequentiallyConsistent)
      }
    }
  }
}

/// A disk that fails at one kind of step, while that is asked for.
private final class FailingDisk: Sendable {
  private let failure = Mutex<(steps: [StoreLogOptions.Step], error: Errno)>(([], .ioError))

  func fail(_ step: StoreLogOptions.Step?, _ error: Errno, alsoPreparing: Bool = false) {
    failure.withLock { $0 = ((step.map { [$0] } ?? []) + (alsoPreparing ? [.prepareLog] : []), error) }
  }

  var step: @Sendable (StoreLogOptions.Step) throws(Errno) -> Void {
    { [self] (step) throws(Errno) in
      let error: Errno? = failure.withLock { $0.steps.contains(step) ? $0.error : nil }
      if let error { throw error }
    }
  }
}
