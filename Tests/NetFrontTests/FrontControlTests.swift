import EventLoop
@testable import NetFront
import NetInterface
import NetPackets
import PVDriver
import SharedMemory
import SharedRing
import Testing
import XenInterface

/// The control ring: which grants a back-end is asked to keep, and that nothing else depends on it.
@Suite struct FrontControlTests {
  /// Answers until nothing is asked for any more.
  private func serve(
    _ system: FrontSystem, keeping capacity: UInt32, change: (_ number: Int, inout NetifControlResponse) -> Void = { _, _ in }
  ) throws {
    let back = try #require(system.control)
    while try back.serve(keeping: capacity, change: change) { system.turn(1) }
  }

  /// A frame each way.
  private func exchange(_ system: FrontSystem) throws {
    system.client.received = []
    #expect(system.send(pattern(64)) == .sent)
    let slot = try #require(try system.back.takeSlots().first)
    system.back.answer(slot.identifier)
    try system.back.deliver(pattern(1500))
    system.turn()
    #expect(system.client.received == [pattern(1500)])
    #expect(system.faults.isEmpty && system.client.links.last == true)
  }

  @Test(arguments: [(1, 0), (1, 1), (1, 600), (2, 512), (2, 1024), (2, 1186), (2, 100_000), (3, .max)] as [(Int, UInt32)])
  func allGrantsAreNamedOnceAsFarAsTheyAreKept(queueCount: Int, capacity: UInt32) throws {
    let system = try FrontSystem(queueCount: queueCount, control: true) { $0.transmitBufferCount = 2 }
    try serve(system, keeping: capacity)
    var all: Set<GrantReference> = []
    for (index, queue) in try #require(system.plane.connection).queues.enumerated() {
      let received = queue.receivePages.references
      let sent = queue.transmitPages.references + queue.transmitBuffers.references
      #expect(received.count == 512 && sent.count == 640 + 2 * TransmitBuffers.pagesPerRun)
      let portions = try #require(system.control).portions[index] ?? []
      let named = portions.flatMap { $0 }
      #expect(named.map(\.grantReference) == Array((received + sent).prefix(Int(capacity))))
      #expect(portions.dropLast().allSatisfy { $0.count == NetifLimits.grantMappingsPerPage })
      for (place, entry) in named.enumerated() {
        let flags: NetifGrantMappingFlags = place < received.count ? [] : .readOnly
        #expect(entry.flags == flags.rawValue && entry.status == 0)
      }
      all.formUnion(received + sent)
    }
    #expect(all.count == queueCount * (512 + 640 + 2 * TransmitBuffers.pagesPerRun), "no page has two grants")
    #expect(system.controlEnds == [.complete] && system.keptCount == queueCount * min(512 + 640 + 34, Int(capacity)))
    try exchange(system)
    system.finish()
  }

  /// It is made anew, with pages of its own.
  @Test func theNextConnectionAsksAgain() throws {
    let system = try FrontSystem(control: true)
    for round in 1...3 {
      try serve(system, keeping: 700)
      #expect(system.controlEnds.count == round && system.keptCount == 700)
      try exchange(system)
      system.letGo()
      system.disconnect()
      #expect(system.stillMapped == 0)
      try system.connect(control: true)
    }
    system.finish()
  }

  @Test func theLoopIsWokenByEachAnswerAndThenNoMore() throws {
    let system = try FrontSystem(control: true)
    let back = try #require(system.control)
    for number in 0..<4 {
      system.turn(1)
      #expect(!system.plane.hasWork() && !system.plane.prepareToSleep(), "before answer \(number)")
      #expect(try back.serve(keeping: 2000))
      #expect(back.eventIsDue, "answer \(number)")
      #expect(system.plane.hasWork() && system.plane.prepareToSleep())
    }
    system.turn(1)
    #expect(system.controlEnds == [.complete] && !system.plane.state.value.isSettingUp)
    #expect(!system.plane.hasWork() && !system.plane.prepareToSleep())
    system.finish()
  }

  /// What a back-end may do in place of keeping grants.
  enum Answer: CaseIterable {
    case unsupported, refused, unknownStatus, otherIdentifier, otherType, tooManyResponses
  }

  /// The requests of two queues: how many, 512 grants, 88 grants; the same again.
  @Test(arguments: Answer.allCases, [0, 1, 2, 3])
  func anyOtherAnswerEndsItAndNothingElse(answer: Answer, number: Int) throws {
    let system = try FrontSystem(queueCount: 2, control: true)
    let back = try #require(system.control)
    let ending: NetFrontControl.Ending? =
      switch answer {
      case .unsupported: .refused(status: NetifControlStatus.notSupported.rawValue)
      case .refused: .refused(status: NetifControlStatus.invalidParameter.rawValue)
      case .unknownStatus: .refused(status: 77)
      case .otherIdentifier, .otherType: .wrongAnswer
      case .tooManyResponses: nil
      }
    while back.requestCount < number {
      #expect(try back.serve(keeping: 600))
      system.turn(1)
    }
    if answer == .tooManyResponses {
      back.lieAboutResponses()
    } else {
      let isSpoilt = try back.serve(keeping: 600) { _, response in
        switch answer {
        case .unsupported: response.status = NetifControlStatus.notSupported.rawValue
        case .refused: response.status = NetifControlStatus.invalidParameter.rawValue
        case .unknownStatus: response.status = 77
        case .otherIdentifier: response.identifier &+= 1
        case .otherType: response.type &+= 1
        case .tooManyResponses: break
        }
      }
      #expect(isSpoilt)
    }
    system.turn(5)
    #expect(system.controlEnds.count == 1 && !system.plane.state.value.isSettingUp)
    if let ending {
      #expect(system.controlEnds == [ending])
      let isServed = try back.serve(keeping: 600)
      #expect(!isServed, "nothing is asked for any more")
    } else if case .broken? = system.controlEnds.first {
      #expect(system.controlEnds[0].isFault)
    } else {
      Issue.record("\(system.controlEnds)")
    }
    #expect(system.keptCount == [0, 0, 512, 600][number])
    try exchange(system)
    system.finish()
  }

  /// Also while the loop is about to sleep.
  @Test func aLieIsNoticedBeforeSleeping() throws {
    let system = try FrontSystem(control: true)
    system.turn()
    try #require(system.control).lieAboutResponses()
    #expect(!system.plane.prepareToSleep() && system.controlEnds.count == 1)
    try exchange(system)
    system.finish()
  }

  @Test func nothingIsAskedForOnceTheEndHasBegun() throws {
    let system = try FrontSystem(control: true)
    let back = try #require(system.control)
    #expect(try back.serve(keeping: 2000))
    var isQuiet = false
    system.plane.quiesce { isQuiet = true }
    system.turn()
    let isServed = try back.serve(keeping: 2000)
    #expect(isQuiet && !isServed && system.controlEnds.isEmpty)
    system.finish()
  }

  @Test func withoutAControlRingNothingIsAskedFor() throws {
    let system = try FrontSystem()
    #expect(system.control == nil && !system.plane.state.value.isSettingUp)
    system.finish()
  }
}
