import EventLoop
import NetInterface
import SharedMemory
import SharedRing
import XenInterface
import XenPlatform

/// The control ring of a connection: by it the back-end is asked to keep the grants of all pages for frames mapped (control requests 8 to 10;
/// staging grants of netif.h), so that it looks at no grant entry for each frame, and on Xen makes no hypercall.
///
/// Of each queue it is asked how many it keeps, and is then given as many, a page of entries at a time. One request is under way at a time.
/// Any answer but a success ends that for good: what is kept by then stays, and frames go through as without it. Loop thread only.
final class NetFrontControl {
  /// What the back-end was asked for last.
  enum Step {
    case none
    /// How many grants of a queue it keeps.
    case count(queue: Int)
    /// To keep those in `range` of `wanted`.
    case adding(queue: Int, wanted: [NetifGrantMapping], range: Range<Int>)
    case ended(Ending)
  }

  /// How it ended.
  enum Ending: Sendable, Equatable {
    /// The back-end keeps what it has room for.
    case complete
    /// It does not do this, or not with these grants (a `NetifControlStatus`, or something that does not exist).
    case refused(status: UInt32)
    /// It answered something that it was not asked.
    case wrongAnswer
    case broken(RingFault)
  }

  let ringReference: GrantReference
  let channel: LoopEventChannel
  private let ring: FixedCell<FrontRing<NetifControlRequest, NetifControlResponse>>
  /// A page that the back-end reads entries from. It may write there as well: nothing is read back.
  private let table: SharedBytes
  private let tableReference: GrantReference
  private let queues: [NetFrontQueue]
  private var step = Step.none
  private var lastRequest = NetifControlRequest()
  /// Responses were taken since the channel was last re-armed: its event was no spurious one.
  private var sawResponses = false
  /// Grants of all queues that the back-end said it keeps.
  private(set) var keptCount = 0

  /// Takes two pages of `rings`: for the ring, and for the table of entries.
  init(_ channel: EventChannel, rings: GrantArena, queues: [NetFrontQueue], loop: EventLoop) {
    guard let first = rings.allocatePages(contiguous: 2) else { preconditionFailure("the arena of the rings was made too small") }
    rings.bytes.zero(at: first * pageByteCount, byteCount: 2 * pageByteCount)
    let memory = rings.bytes.slice(at: first * pageByteCount, byteCount: pageByteCount)
    ring = FixedCell(FrontRing(initializing: memory, entryByteCount: NetifLimits.controlSlotByteCount))
    table = rings.bytes.slice(at: (first + 1) * pageByteCount, byteCount: pageByteCount)
    ringReference = rings.grant(page: first)
    tableReference = rings.grant(page: first + 1)
    self.queues = queues
    // The event only wakes the loop; the ring is looked at in the interface's turn.
    self.channel = LoopEventChannel(channel, loop: loop) {}
  }

  /// Nil while something is asked for, and before.
  var ending: Ending? {
    if case .ended(let ending) = step { return ending }
    return nil
  }

  /// Puts the first request. Once.
  func begin() { askForCount(queue: 0) }

  /// Takes the answer, if there is one, and asks for what comes next. True when there was one.
  func advance() -> Bool {
    let taken: NetifControlResponse?
    do throws(RingFault) { taken = try ring.value.takeResponse() } catch {
      step = .ended(.broken(error))
      return true
    }
    guard let response = taken else { return false }
    sawResponses = true
    guard response.identifier == lastRequest.identifier, response.type == lastRequest.type else {
      step = .ended(.wrongAnswer)
      return true
    }
    guard response.outcome == .success else {
      step = .ended(.refused(status: response.status))
      return true
    }
    switch step {
    case .none, .ended: break
    case .count(let queue): add(Array(queues[queue].frameGrants.prefix(Int(response.data))), from: 0, queue: queue)
    case .adding(let queue, let wanted, let range):
      keptCount += range.count
      add(wanted, from: range.upperBound, queue: queue)
    }
    return true
  }

  /// Whether ``advance()`` would do something.
  var hasResponses: Bool { ring.value.hasResponses() }

  /// Asks for an event at the answer. True when it is there already.
  func prepareToSleep() -> Bool {
    if channel.isPending { channel.rearm(spurious: !sawResponses) }
    sawResponses = false
    do throws(RingFault) { return try ring.value.armResponseEvent() } catch {
      step = .ended(.broken(error))
      return false
    }
  }

  // MARK: Requests

  private func askForCount(queue: Int) {
    guard queue < queues.count else {
      step = .ended(.complete)
      return
    }
    step = .count(queue: queue)
    put(.grantMappingSize(queue: queue))
  }

  /// Asks for the next of `wanted`, as many as a page names; for another queue's when there are none.
  private func add(_ wanted: [NetifGrantMapping], from start: Int, queue: Int) {
    guard start < wanted.count else { return askForCount(queue: queue + 1) }
    let range = start..<min(start + NetifLimits.grantMappingsPerPage, wanted.count)
    for (place, index) in range.enumerated() { wanted[index].store(to: table, at: place * NetifGrantMapping.byteCount) }
    step = .adding(queue: queue, wanted: wanted, range: range)
    put(.addGrantMappings(queue: queue, tableReference, entryCount: range.count))
  }

  private func put(_ request: NetControlRequest) {
    lastRequest = request.message(identifier: lastRequest.identifier &+ 1)
    ring.value.putRequest(lastRequest)
    if ring.value.publishRequests() { channel.signal() }
  }
}

extension NetFrontControl.Ending: CustomStringConvertible {
  /// The back-end did what none may.
  var isFault: Bool {
    switch self {
    case .complete, .refused: false
    case .wrongAnswer, .broken: true
    }
  }

  var description: String {
    switch self {
    case .complete: "the back-end keeps what it has room for"
    case .refused(let status): "the back-end answered " + (NetifControlStatus(rawValue: status).map { "\($0)" } ?? "status \(status)")
    case .wrongAnswer: "the back-end answered what it was not asked"
    case .broken(let fault): "control ring: \(fault)"
    }
  }
}

extension GrantReference {
  /// This one and those behind it: pages that lie side by side.
  func run(of count: Int) -> [GrantReference] { (0..<UInt32(count)).map { GrantReference(rawValue: rawValue + $0) } }
}

extension NetFrontQueue {
  /// The grants of all pages for frames. Those that every frame goes through come first, pages for large frames that were read into them last.
  fileprivate var frameGrants: [NetifGrantMapping] {
    var grants = receivePages.references.map { NetifGrantMapping($0, []) }
    grants += transmitPages.references.map { NetifGrantMapping($0, .readOnly) }
    grants += transmitBuffers.references.map { NetifGrantMapping($0, .readOnly) }
    return grants
  }
}

extension NetifGrantMapping {
  fileprivate init(_ reference: GrantReference, _ flags: NetifGrantMappingFlags) {
    self.init()
    grantReference = reference
    self.flags = flags.rawValue
  }
}
