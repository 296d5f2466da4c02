import BlockEngine
import BlockVirtio
import Glibc
import PVDriver
import SharedMemory
import Testing
import VirtioInterface
import VirtioRing

/// A VMM's disk is traced as any other; it maps nothing.
@Suite struct TraceTests {
  @Test(arguments: [DeviceQueue.Format.split, .packed])
  func aVMMsRequestsAreToldOf(format: DeviceQueue.Format) throws {
    let path = "/tmp/pvio-virtio-trace-\(getpid())-\(format)"
    let file = try TraceFile.create(at: path, operations: BlockOperation.allCases.map { "\($0)" })
    defer { unsafe unlink(path) }
    let reader = try TraceReader(path: path)
    let disk = try VirtioDisk(BlockStoreSpec(.memory(byteCount: 1 << 20)), format: format, queueCount: 2, trace: file)
    defer { disk.close() }
    try disk.write(pattern(1, byteCount: 512), sector: 0)
    reader.keepOn(nanoseconds: 60_000_000_000)
    try disk.write(pattern(1, byteCount: 4096), sector: 8)
    #expect(try disk.perform([VirtioDisk.header(0, sector: 8)], writable: [4096, 1], on: 1).status == .okay)
    #expect(try disk.perform([VirtioDisk.header(4)]).status == .okay)
    #expect(try disk.perform([VirtioDisk.header(13), VirtioDisk.segment(sector: 0, count: 16)]).status == .okay)
    // Refused before anything is done with it.
    #expect(try disk.perform([VirtioDisk.header(0, sector: .max)], writable: [512, 1]).status == .error)
    let records = reader.read()
    #expect(records.map { reader.operationName($0.operation) } == ["write", "read", "flush", "writeZeroes"])
    #expect(records.map(\.queue) == [0, 1, 0, 0] && records.map(\.byteCount) == [4096, 4096, 0, 8192])
    for record in records {
      let times = try [TraceStep.ring, .submit, .complete, .response].map { try #require(record[$0]) }
      #expect(times == times.sorted() && record[.map] == nil)
    }
  }
}
