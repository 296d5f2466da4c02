import EventLoop
import Glibc
import LinuxSystem
import SharedMemory
import Testing
import XenInterface

@testable import BlockBack
@testable import BlockEngine
@testable import PVDriver

/// What a traced disk tells of its requests, and what it does while nobody traces it: nothing.
@Suite struct BackTraceTests {
  /// A trace file of the test's own.
  final class Trace {
    let path: String
    let file: TraceFile

    init() throws {
      path = "/tmp/pvio-trace-\(getpid())-\(UInt64.random(in: 0 ... .max))"
      file = try TraceFile.create(at: path, operations: BlockOperation.allCases.map { "\($0)" })
    }

    deinit { unsafe unlink(path) }

    func reader() throws -> TraceReader { try TraceReader(path: path) }
  }

  @Test func aRequestIsToldOfWithItsStepsInTheirOrder() throws {
    let trace = try Trace()
    let reader = try trace.reader()
    let system = try BackSystem(trace: trace.file)
    reader.keepOn(nanoseconds: 60_000_000_000)
    system.loop.turn(maySleep: false)
    let page = system.newPage()
    #expect(try system.perform(system.request(.write, sector: 16, [system.segment(page, 0, 3)])) == .okay)
    #expect(try system.perform(system.request(.flush)) == .okay)
    #expect(try system.perform(system.discard(sector: 8, sectorCount: 8)) == .okay)
    let records = reader.read()
    #expect(records.map(\.number) == [1, 2, 3] && reader.lostCount == 0)
    #expect(records.map { reader.operationName($0.operation) } == ["write", "flush", "discard"])
    #expect(records.map(\.byteCount) == [2048, 0, 4096] && records.map(\.position) == [8192, 0, 4096] && records.allSatisfy { $0.status == 0 })
    let write = try #require(records.first)
    let steps = [TraceStep.ring, .map, .submit, .complete, .unmap, .response]
    let times = try steps.map { try #require(write[$0], "\($0)") }
    #expect(times == times.sorted() && write.nanoseconds == times[5] - times[0])
    #expect(write[.grant] == nil && write[.done] == nil, "the front-end's own")
    #expect(records[1][.map] == nil && records[1][.unmap] == nil && records[1][.submit] != nil)
    system.finish()
  }

  @Test func nothingIsToldWhileNobodyTraces() throws {
    let trace = try Trace()
    let reader = try trace.reader()
    let system = try BackSystem(trace: trace.file)
    #expect(try system.perform(system.request(.flush)) == .okay)
    #expect(system.plane?.tracer.isOn == false && reader.read().isEmpty)
    // One that was killed asks for no more: the back-end stops by itself.
    reader.keepOn(nanoseconds: 1)
    #expect(try system.perform(system.request(.flush)) == .okay)
    #expect(system.plane?.tracer.isOn == false && trace.file.bytes.load64(at: TraceFile.Header.until) == 0)
    reader.keepOn(nanoseconds: 60_000_000_000)
    #expect(try system.perform(system.request(.flush)) == .okay)
    reader.turnOff()
    #expect(try system.perform(system.request(.flush)) == .okay)
    #expect(reader.read().count == 1)
    system.finish()
  }

  @Test func aRequestThatBeganBeforeItsTraceIsNotHalfTold() throws {
    let trace = try Trace()
    let reader = try trace.reader()
    let tracer = RequestTracer(trace.file, rowCount: 4, queueCount: 1)
    reader.keepOn(nanoseconds: 60_000_000_000)
    tracer.refresh()
    tracer.begin(0, queue: 0, operation: 0, byteCount: 1, position: 0)
    reader.turnOff()
    tracer.refresh()
    #expect(!tracer.isOn)
    reader.keepOn(nanoseconds: 60_000_000_000)
    tracer.refresh()
    // The same row, by another request that began while nobody traced.
    tracer.mark(.complete, 0)
    tracer.end(0, status: 0)
    tracer.published(queue: 0, isSignalled: true)
    #expect(tracer.isOn && reader.read().isEmpty)
  }

  @Test func whatIsNotReadInTimeIsCountedAsLost() throws {
    let trace = try Trace()
    let reader = try trace.reader()
    let tracer = RequestTracer(trace.file, rowCount: 1, queueCount: 1)
    reader.keepOn(nanoseconds: 60_000_000_000)
    tracer.refresh()
    for number in 0..<3000 {
      tracer.begin(0, queue: 0, operation: 1, byteCount: UInt64(number), position: 0)
      tracer.end(0, status: 0)
      tracer.published(queue: 0, isSignalled: number % 2 == 0)
    }
    let records = reader.read()
    #expect(records.count == TraceFile.recordCount && reader.lostCount == 3000 - TraceFile.recordCount)
    #expect(records.map(\.byteCount) == (3000 - UInt64(TraceFile.recordCount)..<3000).map { $0 })
    #expect(records.last?[.signal] == nil && records.dropLast().last?[.signal] != nil)
    // A back-end that is started anew counts from one.
    let next = RequestTracer(try TraceFile.create(at: trace.path, operations: ["read"]), rowCount: 1, queueCount: 1)
    reader.keepOn(nanoseconds: 60_000_000_000)
    next.refresh()
    next.begin(0, queue: 0, operation: 0, byteCount: 7, position: 0)
    next.end(0, status: 1)
    next.published(queue: 0, isSignalled: true)
    #expect(reader.read().map(\.byteCount) == [7])
  }

  @Test func aFileThatIsNoTraceIsRefused() throws {
    #expect(throws: (any Error).self) { try TraceReader(path: "/etc/hostname") }
    let trace = try Trace()
    trace.file.bytes.store64(0, at: 0)
    #expect(throws: (any Error).self) { try trace.reader() }
    trace.file.bytes.copyIn([0x1b, 0x5b, 0x41], at: TraceFile.Header.names)
    trace.file.bytes.store64(TraceFile.magic, at: 0)
    #expect(try trace.reader().operationName(0) == "0", "no control characters on a terminal")
  }

  @Test func aHistogramCountsByPowersOfTwo() {
    var histogram = TraceHistogram()
    for nanoseconds in [0, 1, 1000, 1023, 1024, 5000] as [UInt64] { histogram.add(nanoseconds) }
    let buckets = histogram.buckets.filter { $0.count > 0 }
    #expect(buckets == [(0, 1), (1, 1), (512, 2), (1024, 1), (4096, 1)].map { TraceHistogram.Bucket(lowest: $0.0, count: $0.1) })
    #expect(histogram.count == 6 && histogram.sum == 8048)
  }
}
