import BlockEngine
import BlockVirtio
import EventLoop
import SharedMemory
import Testing
import VirtioInterface
import VirtioRing

@testable import VhostUser

/// A queue that is to stop while a request waits for room in the engine: what was taken from it is answered, what was not stays in the ring.
@Suite struct StopTests {
  /// A disk whose engine has no room: the test holds all its requests.
  private final class FullDisk {
    let disk: VirtioDisk
    private var held: [Int] = []

    init(_ format: DeviceQueue.Format) throws {
      disk = try VirtioDisk(BlockStoreSpec(.memory(byteCount: 1 << 20)), format: format)
      while let request = disk.device.engine.begin(vectorCount: 0) { held.append(request) }
    }

    func makeRoom() {
      for request in held { disk.device.engine.abandon(request) }
      held = []
    }

    func turn() { for _ in 0..<5 { disk.loop.turn(maySleep: false) } }
  }

  @Test(arguments: [DeviceQueue.Format.split, .packed])
  func aStoppedQueueAnswersWhatItTookAndLeavesTheRest(format: DeviceQueue.Format) throws {
    let full = try FullDisk(format)
    let disk = full.disk
    defer { disk.close() }
    let sent = try (0..<3).map { try disk.send([VirtioDisk.header(0, sector: UInt64($0))], writable: [512, 1]) }
    full.turn()
    #expect(disk.device.queueStatus[0].requests == 1 && disk.device.queueStatus[0].inFlight == 0)
    let queue = disk.queues[0].vhost
    var stops = 0
    disk.device.stop(queue) { stops += 1 }
    full.turn()
    #expect(stops == 0 && queue.ring.value.unansweredCount == 1)
    full.makeRoom()
    full.turn()
    #expect(stops == 1 && queue.ring.value.unansweredCount == 0)
    queue.publish()
    #expect(try disk.answer(to: sent[0])?.status == .okay)
    #expect(try disk.answer(to: sent[1]) == nil)
    // Whoever takes the queue up finds the others.
    disk.device.started(queue)
    for one in sent[1...] { #expect(try disk.wait(for: one).status == .okay) }
  }

  @Test func aQueueThatBreaksWithARequestPutOffStops() throws {
    let full = try FullDisk(.split)
    let disk = full.disk
    defer { disk.close() }
    _ = try disk.send([VirtioDisk.header(0)], writable: [512, 1])
    full.turn()
    disk.queues[0].vhost.giveUp(.chainTooLong(limit: 64))
    var stops = 0
    disk.device.stop(disk.queues[0].vhost) { stops += 1 }
    full.turn()
    #expect(stops == 1)
    full.makeRoom()
  }

  @Test func aDeviceWithARequestPutOffServesAnotherQueueWhenThereIsRoom() throws {
    let disk = try VirtioDisk(BlockStoreSpec(.memory(byteCount: 1 << 20)), queueCount: 2)
    defer { disk.close() }
    var held: [Int] = []
    while let request = disk.device.engine.begin(vectorCount: 0) { held.append(request) }
    let sent = try (0..<2).map { try disk.send([VirtioDisk.header(0)], writable: [512, 1], on: $0) }
    for _ in 0..<5 { disk.loop.turn(maySleep: false) }
    disk.device.engine.abandon(held.removeLast())
    for one in sent { #expect(try disk.wait(for: one).status == .okay) }
    for request in held { disk.device.engine.abandon(request) }
  }
}
