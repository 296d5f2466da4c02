import EventLoop
import Foundation
import SharedMemory
import SharedRing
import SimulatedPlatform
import Testing
import XenInterface
import XenPlatform
import Xenbus

@testable import DriverTestSupport
@testable import PVDriver

/// The ring half of a back-end on the test's own thread: limits in virtual time, and what a trace says.
@Suite struct RequestPlaneTests {
  private final class System {
    let loop: EventLoop
    let limit: RequestLimit
    let front: RawFrontend<SumNew>
    private let plane: RequestRingBackPlane<NewSumEngine>

    init(rate: RequestRate = RequestRate(), trace: TraceFile? = nil) throws {
      let hypervisor = SimulatedHypervisor(seed: 1)
      loop = try EventLoop(name: "plane")
      var setup = BackendSetup(loop: loop, platform: hypervisor.platform(for: .control), notices: XenbusNotices())
      setup.polling = .never
      setup.trace = trace
      limit = RequestLimit(rate)
      front = try RawFrontend(hypervisor.platform(for: rawFrontendDomain), startingAt: 0)
      plane = try RequestRingBackPlane(
        engine: NewSumEngine(setup.engine), setup: setup, limit: limit, grants: setup.platform.foreignGrants(of: rawFrontendDomain),
        transport: front.transport, channel: setup.platform.bindInterdomainChannel(remote: rawFrontendDomain, port: front.channel.port)
      ) { _ in }
    }

    /// Fills the ring, lets the back-end have a turn, and takes the responses. Returns how many those were.
    func exchange() throws -> Int {
      while front.ring.value.freeRequestCount > 0 { front.ring.value.putRequest(front.request(1)) }
      front.publish()
      loop.turn(maySleep: false)
      var count = 0
      while try front.ring.value.takeResponse() != nil { count += 1 }
      return count
    }

    func finish() {
      var isOver = false
      plane.stop { leaked in
        #expect(leaked == 0)
        isOver = true
      }
      while !isOver { loop.turn(maySleep: false) }
      loop.shutDown()
    }
  }

  @Test func requestsBeginAtTheRateThatTheDeviceIsLimitedTo() throws {
    let system = try System(rate: RequestRate(requestsPerSecond: 1000))
    var now: UInt64 = 1_000_000_000
    system.limit.clock.set(nanoseconds: now)
    var done = 0
    while now < 6_000_000_000 {
      let count = try system.exchange()
      done += count
      if count > 0 { continue }
      now += 200_000
      system.limit.clock.set(nanoseconds: now)
    }
    // Five seconds' worth, and what may be done at once at first.
    #expect(abs(done - 5100) <= 51, "\(done)")
    system.finish()
  }

  @Test func aDeviceThatIsHeldBackSleepsUntilItsNextRequestMayBegin() throws {
    let system = try System(rate: RequestRate(requestsPerSecond: 50))
    system.limit.clock.set(nanoseconds: 1_000_000_000)
    while try system.exchange() > 0 {}
    #expect(system.limit.isWaiting)
    let before = system.loop.sleepCount
    for _ in 0..<3 { system.loop.turn() }
    #expect(system.loop.sleepCount > before)
    system.limit.clock.set(nanoseconds: 1_100_000_000)
    #expect(try system.exchange() > 0)
    system.finish()
  }

  @Test func aTraceTellsARequestsOwnFieldsByName() throws {
    let path = "/tmp/pvio-trace-\(UInt64.random(in: 0 ... .max))"
    let file = try TraceFile.create(at: path, operations: ["sum"], fields: SumNew.Request.traceFields)
    defer { try? FileManager.default.removeItem(atPath: path) }
    let system = try System(trace: file)
    let reader = try TraceReader(path: path)
    reader.keepOn(nanoseconds: 60_000_000_000)
    #expect(reader.fields == [TraceField("first"), TraceField("second", isSigned: true)])
    var request = system.front.request(7)
    request.first = 41
    request.second = UInt64(bitPattern: -3)
    system.front.ring.value.putRequest(request)
    system.front.publish()
    for _ in 0..<3 { system.loop.turn(maySleep: false) }
    let record = try #require(reader.read().first)
    #expect(record.value(at: 0) == 41)
    #expect(reader.fields[1].text(record.value(at: 1)) == "-3")
    system.finish()
  }
}
