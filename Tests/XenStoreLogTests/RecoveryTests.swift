import Foundation
import Testing
import XenInterface
import XenStoreCore
@testable import XenStoreLog
import XenStoreWire

@Suite struct RecoveryTests {
  /// A store of a few syncs that was not stopped: what was on disk, and the store after each sync.
  private struct Crashed {
    let directory: TemporaryDirectory
    /// Contents after each sync; the first is those before any.
    var states: [[XenStoreChange]] = []
    /// Where the frame of each sync ends.
    var frameEnds: [Int] = []
    var logName = ""

    init() throws {
      let live = try TemporaryDirectory()
      let store = try DiskStore(live)
      logName = try #require(live.files().first { $0.hasPrefix("log.") })
      states.append(contents(store.core))
      let steps: [() -> Void] = [
        { store.write("/a", "1") },
        { store.write("/a/b", "22"); store.write("/a/b", "3") },
        { store.send(.setPermissions, ["/a", "n5", "r0"]) },
        { store.send(.transactionStart, [""]) },
        { store.core.introduce(DomainID(rawValue: 5)) },
        { store.core.asOneCommit { store.write("/t/1", "x"); store.write("/t/2", "x"); store.send(.remove, ["/a/b"]) } },
        { store.core.release(DomainID(rawValue: 5)) },
      ]
      for step in steps {
        let before = store.log.logByteCount
        step()
        store.sync()
        guard store.log.logByteCount > before else { continue }
        states.append(contents(store.core))
        frameEnds.append(store.log.logByteCount)
      }
      directory = try live.copy()
    }

    /// What a start finds when the log has these bytes: the state it has, as a number, or nil when it refuses.
    func recovered(_ bytes: [UInt8]) throws -> Int? {
      try directory.write(bytes, to: logName)
      let core = XenStoreCore()
      do {
        _ = try StoreRecovery.run(in: StateDirectory(path: directory.path), into: core, acceptsLoss: false)
      } catch {
        #expect(!error.description.contains("\n"))
        return nil
      }
      let found = contents(core)
      let index = states.lastIndex(of: found)
      #expect(index != nil, "the store is none that there ever was")
      return index ?? -1
    }

    /// How many syncs are wholly before `offset`.
    func syncs(before offset: Int) -> Int { frameEnds.count { $0 <= offset } }
  }

  @Test func whateverTheLastWriteLeftTheStoreIsAsAfterAnEarlierSync() throws {
    let crashed = try Crashed()
    let bytes = try crashed.directory.bytes(crashed.logName)
    let last = try #require(crashed.frameEnds.last)
    #expect(crashed.frameEnds.count >= 5)
    #expect(try crashed.recovered(bytes) == crashed.frameEnds.count)
    for offset in FileHeader.byteCount...last {
      // The write got as far as this byte, and what it was to replace were zeros.
      var cut = bytes
      for index in offset..<last { cut[index] = 0 }
      let expected = crashed.syncs(before: offset)
      let found = try crashed.recovered(cut)
      // A frame may end in zeros of its own, which need not be written to be there.
      let nextEnd = crashed.frameEnds.first { $0 > offset } ?? last
      let isWholeAnyway = bytes[offset..<nextEnd].allSatisfy { $0 == 0 }
      #expect(found == (isWholeAnyway ? crashed.syncs(before: nextEnd) : expected), "cut at \(offset)")
    }
  }

  @Test func whateverOfTheLastWriteIsMissingOnlyTheLastSyncIsGone() throws {
    let crashed = try Crashed()
    let bytes = try crashed.directory.bytes(crashed.logName)
    let start = crashed.frameEnds[crashed.frameEnds.count - 2]
    let end = crashed.frameEnds[crashed.frameEnds.count - 1]
    for offset in start..<end where bytes[offset] != 0 {
      // One byte did not get there, and all around it did.
      var holed = bytes
      holed[offset] = 0
      #expect(try crashed.recovered(holed) == crashed.frameEnds.count - 1, "hole at \(offset)")
    }
  }

  @Test func damageBeforeTheLastSyncIsRefused() throws {
    let crashed = try Crashed()
    let bytes = try crashed.directory.bytes(crashed.logName)
    let lastStart = crashed.frameEnds[crashed.frameEnds.count - 2]
    for offset in FileHeader.byteCount..<lastStart {
      // Padding behind a payload is not read by anybody.
      var damaged = bytes
      damaged[offset] ^= 0x40
      let found = try crashed.recovered(damaged)
      #expect(found == nil || (found == crashed.frameEnds.count && bytes[offset] == 0), "damage at \(offset)")
    }
  }

  @Test func aLogThatWasCutOffIsRefused() throws {
    let crashed = try Crashed()
    let bytes = try crashed.directory.bytes(crashed.logName)
    for count in 0..<bytes.count { #expect(try crashed.recovered(Array(bytes[..<count])) == nil, "cut to \(count) bytes") }
  }

  @Test func aDamagedHeaderIsRefused() throws {
    let crashed = try Crashed()
    let bytes = try crashed.directory.bytes(crashed.logName)
    for offset in 0..<40 {
      var damaged = bytes
      damaged[offset] ^= 1
      #expect(try crashed.recovered(damaged) == nil, "damage at \(offset)")
    }
  }

  @Test func theMessageNamesTheFileTheOffsetAndWhatToDo() throws {
    let crashed = try Crashed()
    var bytes = try crashed.directory.bytes(crashed.logName)
    bytes[FileHeader.byteCount + 40] ^= 1
    try crashed.directory.write(bytes, to: crashed.logName)
    let error = try #require(throws: StoreLogError.self) { try DiskStore(crashed.directory) }
    #expect(error.description.contains("\(crashed.directory.path)/\(crashed.logName) is damaged at byte 4096, commit 1"))
    #expect(error.description.contains("restore the directory from a backup"))
    #expect(error.description.contains("--accept-loss"))
  }

  @Test func lossCanBeAcceptedAndTheDamagedFileIsKept() throws {
    let crashed = try Crashed()
    var bytes = try crashed.directory.bytes(crashed.logName)
    bytes[crashed.frameEnds[1] + 40] ^= 1
    try crashed.directory.write(bytes, to: crashed.logName)
    var options = StoreLogOptions.small
    options.acceptsLoss = true
    do {
      let store = try DiskStore(crashed.directory, options: options)
      #expect(contents(store.core) == crashed.states[2])
      #expect(store.log.recovery.accepted != nil)
      #expect(try crashed.directory.bytes(crashed.logName + ".damaged") == bytes)
    }
    let again = try DiskStore(crashed.directory)
    #expect(contents(again.core) == crashed.states[2])
    #expect(again.log.recovery.accepted == nil)
  }

  @Test func aDamagedSnapshotIsRefusedEvenWhenLossIsAccepted() throws {
    let crashed = try Crashed()
    let name = try #require(crashed.directory.files().first { $0.hasPrefix("snapshot.") })
    let bytes = try crashed.directory.bytes(name)
    for offset in stride(from: FileHeader.byteCount, to: bytes.count, by: 1) {
      var damaged = bytes
      damaged[offset] ^= 1
      try crashed.directory.write(damaged, to: name)
      let core = XenStoreCore()
      do {
        _ = try StoreRecovery.run(in: StateDirectory(path: crashed.directory.path), into: core, acceptsLoss: true)
        // Only a byte that fills up a record may be anything.
        #expect(bytes[offset] == 0 && contents(core) == crashed.states.last, "damage at \(offset)")
      } catch {
        #expect(!error.description.contains("--accept-loss"))
      }
    }
    for count in 0..<bytes.count {
      try crashed.directory.write(Array(bytes[..<count]), to: name)
      let core = XenStoreCore()
      do {
        _ = try StoreRecovery.run(in: StateDirectory(path: crashed.directory.path), into: core, acceptsLoss: true)
        #expect(bytes[count...].allSatisfy { $0 == 0 } && contents(core) == crashed.states.last, "cut to \(count) bytes")
      } catch {}
    }
  }

  @Test(arguments: ["log.", "snapshot."])
  func aMissingFileIsRefused(prefix: String) throws {
    let crashed = try Crashed()
    let name = try #require(crashed.directory.files().first { $0.hasPrefix(prefix) })
    try FileManager.default.removeItem(atPath: "\(crashed.directory.path)/\(name)")
    #expect(throws: StoreLogError.missing(path: "\(crashed.directory.path)/\(name)")) { try DiskStore(crashed.directory) }
  }

  @Test func whatAClientWritesIsNeverTakenForARecord() throws {
    let directory = try TemporaryDirectory()
    let store = try DiskStore(directory)
    let name = try #require(directory.files().first { $0.hasPrefix("log.") })
    store.write("/a", "1")
    store.sync()
    // The bytes of the log itself, as a client that could not see them would never guess, but for another file.
    let other = try directory.bytes(name)
    let frame = Array(other[FileHeader.byteCount..<(FileHeader.byteCount + 72)])
    let restarted = try DiskStore(try directory.copy())
    restarted.core.handle(XenStorePacket(.write, payload: Array("/b".utf8) + [0] + frame + frame), from: restarted.client)
    restarted.sync()
    #expect(restarted.log.failure == nil)
  }
}
