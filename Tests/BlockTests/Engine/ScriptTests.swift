import BlockInterface
import EventLoop
import Glibc
import LinuxSystem
import SharedMemory
import SystemPackage
import Testing

@testable import BlockEngine

/// Disks that a script serves: what it is asked, what it answers, and what comes of scripts that do neither well.
@Suite struct ScriptTests {
  /// A directory with a script in it, removed with this object.
  private final class Script {
    let directory: String
    var path: String { "\(directory)/my.sh" }

    init(_ text: String, mode: UInt32 = 0o755) throws {
      var template = Array("/tmp/pvio-script-XXXXXX".utf8CString)
      // SAFETY: a terminated string that the call changes in place.
      directory = try #require(unsafe template.withUnsafeMutableBufferPointer { unsafe mkdtemp($0.baseAddress!).map { unsafe String(cString: $0) } })
      let file = try OwnedDescriptor.open(path, flags: O_WRONLY | O_CREAT, mode: Int32(mode))
      let bytes = Array(text.utf8)
      #expect(unsafe write(file.rawValue, bytes, bytes.count) == bytes.count)
    }

    deinit {
      for name in ["my.sh", "disk", "calls", "go"] { unsafe unlink("\(directory)/\(name)") }
      unsafe rmdir(directory)
    }

    var calls: [String] { ((try? TextFile.read("\(directory)/calls", maximumByteCount: 1 << 20)) ?? "").split(separator: "\n").map(String.init) }
    func touch(_ name: String) throws { _ = try OwnedDescriptor.open("\(directory)/\(name)", flags: O_WRONLY | O_CREAT) }
  }

  /// A disk of 4 MiB in a file, which writes down what it is asked.
  private static let whole = """
    #!/bin/sh
    cd "$(dirname "$0")"
    echo "$*" >> calls
    case $1 in
      open) [ -e disk ] || truncate -s 4M disk; echo handle-7 ;;
      size) stat -c %s disk ;;
      read) dd if=disk skip="$4" count="$3" iflag=skip_bytes,count_bytes,fullblock status=none ;;
      write) dd of=disk seek="$4" oflag=seek_bytes conv=notrunc status=none ;;
      flush) : ;;
      discard) : ;;
      *) exit 2 ;;
    esac
    """

  /// The script with one sub-command replaced.
  private static func with(_ name: String, _ body: String) -> String {
    whole.split(separator: "\n", omittingEmptySubsequences: false).map { line in
      line.hasPrefix("  \(name))") ? "  \(name)) \(body) ;;" : String(line)
    }.joined(separator: "\n")
  }

  /// An engine on a loop turned by hand, with memory for one request.
  private final class Disk {
    let loop: EventLoop
    let engine: BlockEngine
    let memory: SharedBytes
    private let heard = Heard()
    private(set) var lines: [String] = []
    private var lastTag: UInt64 = 0

    private final class Heard: BlockEngineClient {
      var statuses: [UInt64: BlockStatus] = [:]
      override func completed(tag: UInt64, status: BlockStatus) { statuses[tag] = status }
    }

    init(_ store: sending BlockStore, loop: EventLoop? = nil) throws {
      let loop = try loop ?? EventLoop(name: "test")
      self.loop = loop
      engine = BlockEngine(store: store, loop: loop)
      memory = try SharedRegion(anonymousByteCount: 4 << 20).bytes
      engine.client = heard
      engine.store.onFailure = { [unowned self] in lines.append($0) }
    }

    convenience init(_ script: Script, isReadOnly: Bool = false) throws {
      try self.init(try BlockStore.open(BlockStoreSpec(.script(path: script.path), isReadOnly: isReadOnly)))
    }

    func begin(_ operation: BlockOperation, sector: UInt64, byteCount: Int = 0, at offset: Int = 0) throws -> UInt64 {
      lastTag += 1
      let request = try #require(engine.begin(vectorCount: 2))
      // Two pieces that are no neighbours.
      if byteCount > 512 {
        engine.append(memory.vector(at: offset, byteCount: 512), region: 0, to: request)
        engine.append(memory.vector(at: offset + 1024, byteCount: byteCount - 512), region: 0, to: request)
      } else if byteCount > 0 {
        engine.append(memory.vector(at: offset, byteCount: byteCount), region: 0, to: request)
      }
      engine.submit(request, operation, sector: sector, tag: lastTag)
      return lastTag
    }

    func status(of tag: UInt64) -> BlockStatus? { heard.statuses[tag] }

    func wait(for tag: UInt64) -> BlockStatus? {
      for _ in 0..<100_000 {
        if let status = heard.statuses.removeValue(forKey: tag) { return status }
        loop.turn(maySleep: false)
        usleep(200)
      }
      return nil
    }

    func perform(_ operation: BlockOperation, sector: UInt64 = 0, byteCount: Int = 0, at offset: Int = 0) throws -> BlockStatus? {
      wait(for: try begin(operation, sector: sector, byteCount: byteCount, at: offset))
    }

    func close() {
      engine.close()
      loop.shutDown()
    }
  }

  @Test func whatAScriptWritesItReadsBackInCallsOfAMebibyteAtMost() throws {
    let script = try Script(Self.whole)
    let disk = try Disk(script)
    let data = (0..<(5 << 19)).map { UInt8(truncatingIfNeeded: $0 / 512 &* 31 &+ $0) }
    disk.memory.copyIn(Array(data.prefix(512)), at: 0)
    disk.memory.copyIn(Array(data.dropFirst(512)), at: 1024)
    #expect(try disk.perform(.write, sector: 8, byteCount: data.count) == .okay)
    disk.memory.zero(at: 0, byteCount: 3 << 20)
    #expect(try disk.perform(.read, sector: 8, byteCount: data.count) == .okay)
    #expect(disk.memory.copyOut(at: 0, byteCount: 512) + disk.memory.copyOut(at: 1024, byteCount: data.count - 512) == data)
    #expect(try disk.perform(.flush) == .okay)
    #expect(
      script.calls == [
        "open rw", "size handle-7", "write handle-7 0 0", "discard handle-7 0 0", "write handle-7 1048576 4096", "write handle-7 1048576 1052672",
        "write handle-7 524288 2101248", "read handle-7 1048576 4096", "read handle-7 1048576 1052672", "read handle-7 524288 2101248", "flush handle-7",
      ])
    #expect(disk.engine.geometry.byteCount == 4 << 20 && disk.lines.isEmpty)
    disk.close()
  }

  @Test func zerosAndDiscardsReachTheScript() throws {
    let script = try Script(Self.whole)
    let disk = try Disk(script)
    disk.memory.copyIn([UInt8](repeating: 7, count: 4096), at: 0)
    #expect(try disk.perform(.write, byteCount: 512) == .okay)
    let request = try #require(disk.engine.begin(vectorCount: 0))
    disk.engine.submitWriteZeroes(request, sector: 0, sectorCount: 4096, mayUnmap: true, tag: 100)
    #expect(disk.wait(for: 100) == .okay)
    let discard = try #require(disk.engine.begin(vectorCount: 0))
    disk.engine.submitDiscard(discard, sector: 8, sectorCount: 8, tag: 101)
    #expect(disk.wait(for: 101) == .okay)
    #expect(try disk.perform(.read, byteCount: 512) == .okay)
    #expect(disk.memory.copyOut(at: 0, byteCount: 512) == [UInt8](repeating: 0, count: 512))
    #expect(script.calls.suffix(4) == ["write handle-7 1048576 0", "write handle-7 1048576 1048576", "discard handle-7 4096 4096", "read handle-7 512 0"])
    disk.close()
  }

  @Test func whatAScriptHasNotIsNotOffered() throws {
    let reading = try Script(Self.with("write", "exit 2"))
    let readOnly = try Disk(reading)
    #expect(readOnly.engine.geometry.isReadOnly && readOnly.engine.store.notices.first?.hasSuffix("has no 'write' (exit code 2): the disk is read-only") == true)
    readOnly.close()
    let script = try Script(Self.with("discard", "exit 2"))
    let without = try Disk(script)
    #expect(!without.engine.store.supportsDiscard && !without.engine.geometry.isReadOnly)
    without.close()
    let unsynced = try Script(Self.with("flush", "exit 2"))
    let careless = try Disk(unsynced)
    #expect(try careless.perform(.flush) == .okay)
    careless.close()
  }

  @Test func aReadOnlyDiskIsOpenedAsOne() throws {
    let script = try Script(Self.whole)
    let disk = try Disk(script, isReadOnly: true)
    #expect(script.calls == ["open ro", "size handle-7"] && disk.engine.geometry.isReadOnly)
    disk.close()
  }

  // MARK: Scripts that fail

  @Test(arguments: [
    ("#!/bin/sh\nexit 2\n", "has no 'size' (exit code 2), which says how large the disk is"),
    (with("size", "echo many"), "printed 'many' for 'size', expected a number of bytes"),
    (with("size", "echo 100"), "has 100 bytes, which is less than one sector of 512; make it larger"),
    (with("open", "echo 'no such bucket' >&2; exit 1"), "failed at 'open' (exit code 1): no such bucket"),
    (with("size", "kill -9 $$"), "failed at 'size' (signal 9)"), ("no program at all", "is no program; its first line should be an interpreter such as #!/bin/sh"),
    ("#!/nowhere/sh\n", "does not exist, or names an interpreter in its first line that does not"),
  ])
  func aScriptThatCannotBeServedIsOneLine(text: String, line: String) throws {
    let script = try Script(text)
    let error = #expect(throws: BlockOpenError.self) { _ = try BlockStore.open(BlockStoreSpec(.script(path: script.path))) }
    #expect(error?.description == "\(script.path) \(line)")
  }

  @Test func aScriptThatMayNotBeRunIsOneLine() throws {
    let script = try Script(Self.whole, mode: 0o644)
    let error = #expect(throws: BlockOpenError.self) { _ = try BlockStore.open(BlockStoreSpec(.script(path: script.path))) }
    #expect(error?.description.hasSuffix("may not be run; make it executable, for example with chmod +x") == true)
  }

  @Test(arguments: [
    ("read", "echo 'the line is down' >&2; exit 1", "failed at 'read' (exit code 1): the line is down"), ("read", "echo short", "printed 6 bytes for 'read', expected 512"),
    ("read", "yes", "printed more than 512 bytes for 'read'"), ("read", "exit 2", "has no 'read' (exit code 2)"),
  ])
  func aReadThatFailsIsAnErrorAndOneLineAndTheDiskGoesOn(name: String, body: String, line: String) throws {
    let script = try Script(Self.with(name, "[ \"$4\" = 0 ] || exec dd if=disk skip=\"$4\" count=\"$3\" iflag=skip_bytes,count_bytes status=none; \(body)"))
    let disk = try Disk(script)
    #expect(try disk.perform(.read, byteCount: 512) == .error)
    #expect(disk.lines == ["\(script.path) \(line)"])
    #expect(try disk.perform(.read, sector: 1, byteCount: 512) == .okay)
    #expect(disk.engine.statistics.failures == 1)
    disk.close()
  }

  @Test func aScriptThatHangsIsEndedWithAllItStarted() throws {
    let script = try Script(Self.with("read", "sleep 1000 & sleep 1000"))
    let disk = try Disk(try BlockStore.openScript(script.path, BlockStoreSpec(.script(path: script.path)), patienceNanoseconds: 300_000_000))
    #expect(try disk.perform(.read, byteCount: 512) == .error)
    #expect(disk.lines == ["\(script.path) did not answer 'read' within 0 s, and was ended"])
    #expect(try disk.perform(.write, byteCount: 512) == .okay)
    disk.close()
  }

  @Test func whatAScriptLeavesBehindDoesNotHoldTheRequest() throws {
    let script = try Script(Self.with("write", "cat > /dev/null; [ \"$3\" = 0 ] || sleep 3 &"))
    let disk = try Disk(script)
    #expect(try disk.perform(.write, byteCount: 512) == .okay)
    disk.close()
  }

  // MARK: Others

  @Test func aSlowScriptHoldsUpNobodyElse() throws {
    let script = try Script(Self.with("read", "until [ -e go ]; do sleep 0.01; done; head -c \"$3\" disk"))
    let slow = try Disk(script)
    let quick = try Disk(try BlockStore.open(BlockStoreSpec(.memory(byteCount: 1 << 20))), loop: slow.loop)
    let waiting = try (0..<3).map { try slow.begin(.read, sector: 0, byteCount: 512, at: $0 * 4096) }
    for round in 0..<100 { #expect(try quick.perform(.write, sector: UInt64(round), byteCount: 512) == .okay) }
    #expect(waiting.allSatisfy { slow.status(of: $0) == nil })
    try script.touch("go")
    for tag in waiting { #expect(slow.wait(for: tag) == .okay) }
    quick.engine.close()
    slow.close()
  }
}
