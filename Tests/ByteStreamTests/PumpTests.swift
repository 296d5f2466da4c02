import ConsoleInterface
import EventLoop
import Foundation
import LinuxSystem
import PVDriver
import SharedMemory
import SharedRing
import SimulatedPlatform
import SystemPackage
import TestSupport
import Testing
import XenInterface

/// A stream with a pump at each end, and a socket at each pump.
private struct PumpedLine {
  let system: StreamSystem
  let near: Line
  let far: Line
  let front: ByteStreamPump
  let back: ByteStreamPump
  let frontEndings = Endings()
  let backEndings = Endings()
  let faults = Faults()

  final class Faults {
    private(set) var all: [ByteStreamFault] = []
    func add(_ error: any Error) { if let fault = error as? ByteStreamFault { all.append(fault) } else { Issue.record("\(error)") } }
  }

  init(overflow: ByteStreamPump.Overflow = .hold, logPath: String? = nil) throws {
    system = try StreamSystem()
    near = try Line()
    far = try Line()
    let (frontEndings, backEndings, faults) = (frontEndings, backEndings, faults)
    let loop = system.loop
    let log = try logPath.map { try ByteLog(path: $0, loop: loop) { Issue.record("the log failed: \($0)") } }
    front = try ByteStreamPump(loop: system.loop, input: near.pumpEnd, output: near.pumpEnd) { frontEndings.all.append($0) }
    back = try ByteStreamPump(loop: system.loop, input: far.pumpEnd, output: far.pumpEnd, overflow: overflow, log: log) { backEndings.all.append($0) }
    front.connect(system.front()) { faults.add($0) }
    back.connect(try system.back()) { faults.add($0) }
  }

  func finish() throws {
    for pump in [back, front] {
      #expect(try system.disconnect(pump) == 0)
      try system.close(pump)
    }
    #expect(system.hypervisor.ledger[.control].mappedPages == 0)
  }
}

@Suite struct PumpTests {
  @Test func bytesPassInBothDirectionsAtOnce() throws {
    let line = try PumpedLine()
    let seed = UInt64.random(in: .min ... .max)
    var random = SeededGenerator(seed: seed)
    let up = (0..<300_000).map { _ in UInt8.random(in: .min ... .max, using: &random) }
    let down = (0..<200_000).map { _ in UInt8.random(in: .min ... .max, using: &random) }
    var (sentUp, sentDown) = (0, 0)
    var (receivedUp, receivedDown): ([UInt8], [UInt8]) = ([], [])
    try line.system.turn("all bytes have passed") {
      sentUp += line.near.send(up, from: sentUp)
      sentDown += line.far.send(down, from: sentDown)
      receivedUp += line.far.receive()
      receivedDown += line.near.receive()
      return receivedUp.count >= up.count && receivedDown.count >= down.count
    }
    #expect(receivedUp == up, "seed \(seed)")
    #expect(receivedDown == down, "seed \(seed)")
    #expect(line.back.total.takenByteCount == UInt64(up.count))
    #expect(line.back.total.putByteCount == UInt64(down.count))
    try line.finish()
  }

  @Test func anOutputThatTakesNothingHoldsTheInputBackAndLosesNothing() throws {
    let line = try PumpedLine()
    let bytes = (0..<2_000_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
    var sent = 0
    for _ in 0..<2000 {
      sent += line.near.send(bytes, from: sent)
      line.system.loop.turn(maySleep: false)
    }
    #expect(sent < bytes.count, "two socket buffers and a ring do not hold two megabytes")
    let stuck = sent
    for _ in 0..<200 {
      sent += line.near.send(bytes, from: sent)
      line.system.loop.turn(maySleep: false)
    }
    #expect(sent == stuck)
    var received: [UInt8] = []
    try line.system.turn("the rest has passed") {
      sent += line.near.send(bytes, from: sent)
      received += line.far.receive()
      return received.count == bytes.count
    }
    #expect(received == bytes)
    try line.finish()
  }

  @Test func anInputThatEndsIsReportedAndThenThatThePeerHasEverything() throws {
    let line = try PumpedLine()
    #expect(line.near.send([1, 2, 3]) == 3)
    line.near.hangUp()
    try line.system.turn("the end arrives") { line.frontEndings.all.contains(.drained) }
    // The socket takes nothing either, but nothing was sent that way.
    #expect(line.frontEndings.all == [.inputEnded, .drained])
    var received: [UInt8] = []
    try line.system.turn("what was sent before arrives") {
      received += line.far.receive()
      return received == [1, 2, 3]
    }
    try line.finish()
  }

  @Test func anOutputThatIsGoneIsReportedOnce() throws {
    let line = try PumpedLine()
    line.near.hangUp()
    #expect(line.far.send([1]) == 1)
    try line.system.turn("the write fails") { line.frontEndings.all.contains(.outputEnded(.brokenPipe)) }
    _ = line.far.send([2])
    line.system.settle()
    #expect(line.frontEndings.all.filter { $0 == .outputEnded(.brokenPipe) }.count == 1)
    try line.finish()
  }

  @Test func aSpoolKeepsTheNewestBytesAndTheLogKeepsAll() throws {
    let path = "/tmp/pvio-spool-\(UUID().uuidString.prefix(8)).log"
    defer { try? FileManager.default.removeItem(atPath: path) }
    let line = try PumpedLine(overflow: .discardOldest(byteCount: 4096), logPath: path)
    let bytes = (0..<2_000_000).map { UInt8(truncatingIfNeeded: $0 / 11) }
    var sent = 0
    try line.system.turn("the guest is not held up") {
      sent += line.near.send(bytes, from: sent)
      return line.back.total.takenByteCount == UInt64(bytes.count)
    }
    let discarded = Int(line.back.total.discardedByteCount)
    #expect(discarded > 1_000_000, "the socket holds a few hundred kilobytes")
    var received: [UInt8] = []
    try line.system.turn("what was kept arrives") {
      received += line.far.receive()
      return received.count == bytes.count - discarded
    }
    #expect(Array(received.suffix(4096)) == Array(bytes.suffix(4096)))
    try line.finish()
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data(bytes))
  }

  @Test func aPumpServesOneConnectionAfterTheOther() throws {
    let line = try PumpedLine()
    for round in UInt8(1)...5 {
      #expect(line.near.send([round]) == 1)
      var received: [UInt8] = []
      try line.system.turn("round \(round)") {
        received += line.far.receive()
        return received == [round]
      }
      #expect(try line.system.disconnect(line.back) == 0)
      #expect(!line.back.isConnected)
      line.back.connect(try line.system.back()) { line.faults.add($0) }
    }
    #expect(line.back.total.connectionCount == 6)
    #expect(line.faults.all.isEmpty)
    try line.finish()
  }

  // MARK: A peer that lies

  @Test(arguments: [2049, 1 << 16, 1 << 31, UInt32.max] as [UInt32])
  func aGuestThatClaimsMoreThanTheRingHoldsIsReportedOnceAndLeftAlone(lie: UInt32) throws {
    let line = try PumpedLine()
    line.system.page.store32(lie, at: ConsoleInterfaceLayout.outputProducerOffset)
    try line.system.turn("the lie is found") { !line.faults.all.isEmpty }
    line.system.page.store32(lie &+ 1, at: ConsoleInterfaceLayout.outputProducerOffset)
    _ = line.far.send([1, 2, 3])
    line.system.settle()
    #expect(line.faults.all.filter { $0.producer == lie }.count == 1)
    #expect(line.back.connection == nil)
    #expect(line.back.isConnected, "until it is disconnected")
    #expect(line.far.receive().isEmpty)
    #expect(line.system.page.load32(at: ConsoleInterfaceLayout.inputProducerOffset) == 0, "nothing is written any more")
    try line.finish()
  }

  @Test func aGuestThatMovesItsIndicesAtRandomCannotDoMoreThanBreakItsOwnStream() throws {
    let seed = UInt64.random(in: .min ... .max)
    var random = SeededGenerator(seed: seed)
    for _ in 0..<20 {
      let line = try PumpedLine()
      for _ in 0..<300 {
        let offset = [ConsoleInterfaceLayout.outputProducerOffset, ConsoleInterfaceLayout.inputConsumerOffset].randomElement(using: &random)!
        let value = Bool.random(using: &random) ? UInt32.random(in: 0...3000, using: &random) : .random(in: .min ... .max, using: &random)
        line.system.page.store32(value, at: offset)
        _ = line.far.send([UInt8](repeating: 1, count: 100))
        line.system.loop.turn(maySleep: false)
        _ = line.far.receive()
      }
      #expect(line.faults.all.count <= 2, "seed \(seed)")
      try line.finish()
    }
  }

  @Test func aStormOfEventsWithoutWorkIsSlowedDown() throws {
    let line = try PumpedLine()
    line.system.settle()
    let before = line.back.total
    for _ in 0..<500 {
      line.front.signalPeer()
      line.system.loop.turn(maySleep: false)
    }
    let events = line.back.total.eventCount - before.eventCount
    #expect(events < 100, "\(events) of 500 were looked at")
    #expect(line.back.total.spuriousEventCount > 0)
    try line.finish()
  }
}
