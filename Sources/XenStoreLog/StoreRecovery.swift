import LinuxSystem
import SystemPackage
import XenStoreCore

/// What was found in a state directory.
public struct StoreRecovery: Sendable, Hashable {
  /// There was no store before.
  public var isNew = false
  /// The last commit that is part of the store.
  public var lastSequence: UInt64 = 0
  /// Commits that were in logs, behind the snapshot.
  public var replayedCommitCount = 0
  /// The daemon stopped in order; otherwise it was killed, or the machine went down.
  public var wasStopped = false
  /// Bytes of a last write that was under way when the daemon or the machine died. What it had was not acknowledged to anybody.
  public var unfinishedByteCount = 0
  /// What was given up because the caller accepts loss.
  public var accepted: StoreLogError?
}

extension StoreRecovery {
  /// Where a recovery ended: what the next files are numbered behind.
  struct End {
    var lastNumber: UInt64 = 0
    var generation: UInt64 = 0
    var unfinishedFiles: [String] = []
    /// Files that loss was accepted in, to be kept.
    var damagedFiles: [String] = []
  }

  /// Reads a store into an empty core: the newest snapshot and what the logs from it on have.
  static func run(in directory: StateDirectory, into core: XenStoreCore, acceptsLoss: Bool) throws(StoreLogError) -> (StoreRecovery, End) {
    var recovery = StoreRecovery()
    var end = End()
    let contents = try directory.contents()
    end.unfinishedFiles = contents.unfinished
    end.lastNumber = max(contents.snapshots.last ?? 0, contents.logs.last ?? 0)

    guard let first = contents.snapshots.last else {
      // The first log is made before the first snapshot, and used after it.
      guard contents.logs.isEmpty || contents.logs == [1] else { throw .missing(path: directory.snapshot(contents.logs[0])) }
      if contents.logs == [1] {
        let path = directory.log(1)
        let bytes = try StoreLogError.calling("read", path) { () throws(Errno) in try StorageFile.read(path) }
        let header = try SnapshotFile.readHeader(bytes, kind: .log, number: 1, path: path)
        let scan = LogScan(bytes, identity: header.identity, lastSequence: 0)
        if scan.commitCount > 0 || scan.later != nil { throw .missing(path: directory.snapshot(1)) }
      }
      recovery.isNew = true
      return (recovery, end)
    }

    let snapshot = try SnapshotFile.read(number: first, in: directory, into: core)
    recovery.lastSequence = snapshot.sequence
    end.generation = snapshot.generation
    do throws(StoreLogError) {
      try replay(contents.logs.filter { $0 >= first }, from: first, in: directory, into: core, &recovery, &end)
    } catch {
      guard acceptsLoss, case .damaged(let path, _, _, _) = error else { throw error }
      recovery.accepted = error
      end.damagedFiles = Array(contents.logs.map { directory.log($0) }.drop { $0 != path })
    }
    core.finishRestoring(sequence: recovery.lastSequence, generation: end.generation)
    return (recovery, end)
  }

  private static func replay(
    _ logs: [UInt64], from first: UInt64, in directory: StateDirectory, into core: XenStoreCore, _ recovery: inout StoreRecovery, _ end: inout End
  ) throws(StoreLogError) {
    // An incomplete write ends the log that is in use; nothing may follow it, in this file or in a later one.
    var incomplete: (path: String, offset: Int)?
    for number in first...max(first, logs.last ?? first) {
      let path = directory.log(number)
      guard logs.contains(number) else { throw .missing(path: path) }
      let bytes = try StoreLogError.calling("read", path) { () throws(Errno) in try StorageFile.read(path) }
      let header = try SnapshotFile.readHeader(bytes, kind: .log, number: number, path: path)
      let scan = LogScan(bytes, identity: header.identity, lastSequence: recovery.lastSequence)

      if let incomplete, scan.commitCount > 0 || scan.later != nil || scan.hasEnd {
        throw .damaged(
          path: incomplete.path, offset: incomplete.offset, commit: recovery.lastSequence + 1,
          what: "commits behind it are there, so this one was acknowledged")
      }
      for frame in scan.frames {
        var reader = RecordReader(bytes, in: frame.payload)
        for index in 0..<UInt64(frame.entryCount) {
          let sequence = frame.sequence + index
          guard let commit = ChangeCoding.commit(sequence: sequence, from: &reader), commit.changes.allSatisfy(core.restore) else {
            throw .damaged(path: path, offset: frame.payload.lowerBound, commit: sequence, what: "the record makes no sense")
          }
          recovery.lastSequence = sequence
          recovery.replayedCommitCount += 1
          end.generation = max(end.generation, commit.generation)
        }
      }
      recovery.wasStopped = recovery.wasStopped || scan.hasEnd
      if let later = scan.later {
        throw .damaged(
          path: path, offset: scan.end, commit: recovery.lastSequence + 1,
          what: "a later record is whole at byte \(later), so this one was acknowledged")
      }
      if scan.incompleteByteCount > 0 {
        incomplete = (path, scan.end)
        recovery.unfinishedByteCount = scan.incompleteByteCount
      }
    }
  }
}

/// What the bytes of a log amount to.
struct LogScan {
  /// The frames with commits that follow each other without a gap.
  private(set) var frames: [Frame] = []
  private(set) var commitCount = 0
  /// Whether the last frame says that the daemon stopped in order.
  private(set) var hasEnd = false
  /// Where the first byte is that belongs to no frame.
  private(set) var end = FileHeader.byteCount
  /// Where a whole frame is behind ``end``, which means that what is in between was once whole, too.
  private(set) var later: Int?
  /// Bytes behind ``end`` that are not zero, up to the last such.
  private(set) var incompleteByteCount = 0

  init(_ bytes: [UInt8], identity: UInt64, lastSequence: UInt64) {
    var sequence = lastSequence
    while let frame = Frame(in: bytes, at: end, identity: identity) {
      switch frame.kind {
      case .commits where frame.sequence == sequence + 1 && frame.entryCount > 0 && !hasEnd:
        frames.append(frame)
        commitCount += Int(frame.entryCount)
        sequence += UInt64(frame.entryCount)
        end = frame.end
        continue
      case .end where frame.sequence == sequence + 1 && !hasEnd:
        hasEnd = true
        end = frame.end
        continue
      case .commits, .end, .changes, .snapshotEnd: break
      }
      break
    }
    let mark = UInt8(truncatingIfNeeded: identity)
    let span = bytes.span
    var offset = end
    while offset < span.count {
      if span[offset] == mark, let frame = Frame(in: bytes, at: offset, identity: identity), frame.sequence > sequence {
        later = offset
        break
      }
      offset += Frame.alignment
    }
    var last = span.count
    while last > end, span[last - 1] == 0 { last -= 1 }
    incompleteByteCount = max(0, last - end)
  }
}
