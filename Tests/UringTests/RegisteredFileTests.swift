import EventLoop
import LinuxSystem
import Testing
import Uring

/// Waits for what files are named, one operation each.
private final class Reader: LoopSource {
  var results: [UInt64: Int32] = [:]

  override func completed(tag: UInt64, result: Int32) { results[tag] = result }

  func poll(_ file: UringFile, tag: UInt64) {
    guard let userData = loop.begin(self, tag: tag) else { return }
    let isPrepared = loop.uring.preparePoll(file, events: 1, userData: userData)
    #expect(isPrepared)
  }
}

@Suite struct RegisteredFileTests {
  @Test func eachFileIsFoundByItsIndexAndThoseThatDoNotFitByTheirDescriptor() throws {
    let loop = try EventLoop(name: "files")
    let reader = Reader()
    loop.attach(reader)
    // More than a table holds.
    var counters: [SharedDescriptor] = []
    for _ in 0..<100 { counters.append(SharedDescriptor(try EventDescriptor.create())) }
    let files = counters.map { loop.registerFile($0.rawValue) }
    #expect(files.contains(.descriptor(counters[99].rawValue)))
    #expect(Set(files.map { "\($0)" }).count == files.count)
    for (tag, file) in files.enumerated() { reader.poll(file, tag: UInt64(tag)) }
    for signalled in [0, 63, 99] {
      EventDescriptor.signal(counters[signalled].descriptor)
      for _ in 0..<100 where reader.results[UInt64(signalled)] == nil { loop.turn(maySleep: false) }
      #expect(reader.results[UInt64(signalled)] == 1)
    }
    #expect(reader.results.count == 3)
    loop.shutDown()
  }

  @Test func anIndexThatWasGivenBackIsUsedForTheNextFile() throws {
    let loop = try EventLoop(name: "files")
    let reader = Reader()
    loop.attach(reader)
    let (first, second) = (SharedDescriptor(try EventDescriptor.create()), SharedDescriptor(try EventDescriptor.create()))
    let file = loop.registerFile(first.rawValue)
    loop.unregisterFile(file)
    #expect(loop.registerFile(second.rawValue) == file)
    EventDescriptor.signal(first.descriptor)
    reader.poll(file, tag: 1)
    for _ in 0..<10 { loop.turn(maySleep: false) }
    #expect(reader.results.isEmpty)
    EventDescriptor.signal(second.descriptor)
    for _ in 0..<100 where reader.results.isEmpty { loop.turn(maySleep: false) }
    #expect(reader.results == [1: 1])
    loop.shutDown()
  }
}
