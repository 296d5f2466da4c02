import EventLoop
import Glibc
import LinuxSystem
import Synchronization
import Testing
import XenInterface
import XenPlatform

@Suite struct EventLoopTests {
  @Test func runsWorkFromOtherThreads() async throws {
    let thread = try EventLoopThread.start(name: "test")
    defer { thread.stopAndJoin() }
    let loop = thread.loop
    for number in 0..<1000 {
      let result = await loop.run { [loop] in loop.isCurrent ? number * 2 : -1 }
      #expect(result == number * 2)
    }
  }

  @Test func callsTimersInTheOrderOfTheirDeadlines() async throws {
    let thread = try EventLoopThread.start(name: "test")
    defer { thread.stopAndJoin() }
    let loop = thread.loop
    let order = await withCheckedContinuation { (continuation: CheckedContinuation<[Int], Never>) in
      loop.execute { [loop] in
        var order: [Int] = []
        loop.schedule(afterNanoseconds: 20_000_000) {
          order.append(2)
          continuation.resume(returning: order)
        }
        loop.schedule(afterNanoseconds: 1_000_000) { order.append(1) }
        let cancelled = loop.schedule(afterNanoseconds: 2_000_000) { order.append(99) }
        cancelled.cancel()
      }
    }
    #expect(order == [1, 2])
  }

  @Test func aTimerMayScheduleTheNextOne() async throws {
    let thread = try EventLoopThread.start(name: "test")
    defer { thread.stopAndJoin() }
    let loop = thread.loop
    let order = await withCheckedContinuation { (continuation: CheckedContinuation<[Int], Never>) in
      loop.execute { [loop] in
        var order: [Int] = []
        loop.schedule(afterNanoseconds: 1_000_000) {
          order.append(1)
          loop.schedule(afterNanoseconds: 0) {
            order.append(2)
            continuation.resume(returning: order)
          }
        }
      }
    }
    #expect(order == [1, 2])
  }

  @Test func watchesADescriptorUntilCancelled() async throws {
    let thread = try EventLoopThread.start(name: "test")
    defer { thread.stopAndJoin() }
    let loop = thread.loop
    let pair = try UnixSocket.pair(.stream)
    let reader = pair.first.rawValue
    let received = Mutex<[UInt8]>([])
    let finished = AsyncStream<Void>.makeStream()
    loop.execute { [loop] in
      var watch: DescriptorWatch?
      watch = loop.watchDescriptor(reader, for: .readable) { events in
        var byte: UInt8 = 0
        if unsafe read(reader, &byte, 1) == 1 {
          let count = received.withLock { received in
            received.append(byte)
            return received.count
          }
          if count == 3 {
            watch?.cancel()
            finished.continuation.finish()
          }
        }
      }
    }
    // Three bytes at once: the watch is level-triggered, so it must fire for each read.
    _ = try UnixSocket.send([1, 2, 3], on: pair.second)
    for await _ in finished.stream {}
    #expect(received.withLock { $0 } == [1, 2, 3])
    let inFlight = await loop.run { [loop] in loop.operationsInFlight }
    #expect(inFlight <= 2, "only the mailbox's watch, and perhaps a cancellation, may be left")
  }

  @Test func anEdgeWatchIsCalledForWhatIsThereAndForWhatComesButNotInBetween() throws {
    let loop = try EventLoop(name: "test")
    let pair = try UnixSocket.pair(.stream)
    _ = try UnixSocket.send([1], on: pair.second)
    var calls = 0
    let watch = loop.watchDescriptor(pair.first.rawValue, for: [.readable, .readHangUp], trigger: .edge) { _ in calls += 1 }
    func turn() { for _ in 0..<4 { loop.turn(maySleep: false) } }
    turn()
    #expect(calls == 1, "what is there at first")
    turn()
    #expect(calls == 1, "nothing was read, and nothing came")
    _ = try UnixSocket.send([2], on: pair.second)
    turn()
    #expect(calls == 2)
    watch.update([.readable, .writable])
    turn()
    #expect(calls == 3, "what is there after a change of interest")
    UnixSocket.shutDown(pair.second)
    turn()
    #expect(calls == 4, "the peer's end")
    watch.cancel()
    turn()
    #expect(calls == 4)
    #expect(loop.operationsInFlight == 1, "only the mailbox's watch is left")
    loop.shutDown()
  }

  @Test func aStopIsNotSleptOverWhenItsSignalIsTakenTogetherWithAnother() throws {
    let loop = try EventLoop(name: "test")
    let pair = try UnixSocket.pair(.stream)
    // Ready before the mailbox is, so handled before it in the same turn: the mailbox's event then has two signals.
    let watch = loop.watchDescriptor(pair.first.rawValue, for: .readable) { [unowned loop] _ in loop.stop() }
    var wasLate = false
    loop.schedule(afterNanoseconds: 5_000_000_000) { [unowned loop] in
      wasLate = true
      loop.stop()
    }
    // Now the kernel watches both.
    loop.turn(maySleep: false)
    _ = try UnixSocket.send([1], on: pair.second)
    loop.execute {}
    loop.run()
    #expect(!wasLate)
    withExtendedLifetime(watch) {}
  }

  @Test(arguments: [false, true])
  func signalsAreDeliveredAndCoalesce(nonBlockingCounters: Bool) async throws {
    let thread = try EventLoopThread.start(name: "test")
    defer { thread.stopAndJoin() }
    let loop = thread.loop
    let channels = try ChannelPair(nonBlocking: nonBlockingCounters)
    let events = Mutex(0)
    let first = AsyncStream<Void>.makeStream()
    loop.execute { [loop] in
      var receiver: LoopEventChannel?
      receiver = LoopEventChannel(channels.right, loop: loop) {
        events.withLock { $0 += 1 }
        first.continuation.yield()
        receiver?.rearm(spurious: false)
      }
      let sender = LoopEventChannel(channels.left, loop: loop) {}
      for _ in 0..<100 { sender.signal() }
    }
    var iterator = first.stream.makeAsyncIterator()
    await iterator.next()
    let count = events.withLock { $0 }
    #expect(count >= 1 && count <= 100)
  }

  @Test func aPeerThatFillsTheCounterCannotBlockTheSignaller() async throws {
    let thread = try EventLoopThread.start(name: "test")
    defer { thread.stopAndJoin() }
    let loop = thread.loop
    let channels = try ChannelPair(nonBlocking: false)
    var full = UInt64.max - 1
    let filled = unsafe write(channels.left.signalDescriptor.rawValue, &full, 8)
    #expect(filled == 8)
    let signals = await loop.run { [loop] in
      let sender = LoopEventChannel(channels.left, loop: loop) {}
      for _ in 0..<10 {
        sender.signal()
        loop.submitNow()
      }
      return sender.counters.signals
    }
    // The loop still answers, with one signal waiting in the kernel.
    #expect(signals == 1)
    #expect(await loop.run { 7 } == 7)
    EventDescriptor.drain(channels.right.waitDescriptor)
  }

  @Test func closingAChannelDoesNotWaitForASignalThatThePeerBlocks() async throws {
    let thread = try EventLoopThread.start(name: "test")
    defer { thread.stopAndJoin() }
    let loop = thread.loop
    let channels = try ChannelPair(nonBlocking: false)
    var full = UInt64.max - 1
    let filled = unsafe write(channels.left.signalDescriptor.rawValue, &full, 8)
    #expect(filled == 8)
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
      loop.execute { [loop] in
        let sender = LoopEventChannel(channels.left, loop: loop) {}
        sender.signal()
        loop.submitNow()
        loop.schedule(afterNanoseconds: 20_000_000) { sender.close { continuation.resume() } }
      }
    }
    let inFlight = await loop.run { [loop] in loop.operationsInFlight }
    #expect(inFlight <= 2, "only the mailbox's watch may be left")
  }

  /// Somebody else reads the counter after the kernel has found it readable and before it has read it for us: the wait can then not be
  /// found by a cancellation for a moment, and goes on afterwards.
  @Test(arguments: 0..<16)
  func closingAChannelDoesNotWaitForAnEventThatAnotherHasTaken(order: Int) throws {
    let loop = try EventLoop(name: "test")
    defer { loop.shutDown() }
    let idle = loop.operationsInFlight
    func turn(_ count: Int) { for _ in 0..<count { loop.turn(maySleep: false) } }
    let counter = SharedDescriptor(try EventDescriptor.create())
    let channels = try [
      LoopEventChannel(wait: counter, signal: nil, loop: loop) {}, LoopEventChannel(wait: counter, signal: counter, loop: loop) {},
    ]
    if order & 1 != 0 { turn(3) }
    if order & 2 != 0 { channels[1].signal() } else { EventDescriptor.signal(counter.descriptor) }
    if order & 4 != 0 { turn(1) }
    var closed = 0
    channels[order >> 3].close { closed += 1 }
    turn(100)
    #expect(closed == 1)
    channels[1 - (order >> 3)].close { closed += 1 }
    turn(100)
    #expect(closed == 2 && loop.operationsInFlight == idle)
  }
}

/// Two ends of a channel without a broker.
struct ChannelPair: Sendable {
  let left: EventChannel
  let right: EventChannel

  init(nonBlocking: Bool) throws {
    let first = try EventDescriptor.create()
    let second = try EventDescriptor.create()
    try first.setNonBlocking(nonBlocking)
    try second.setNonBlocking(nonBlocking)
    left = EventChannel(
      port: EventChannelPort(rawValue: 1), remoteDomain: DomainID(rawValue: 2), waitDescriptor: try first.duplicate(),
      signalDescriptor: try second.duplicate(), release: {})
    right = EventChannel(
      port: EventChannelPort(rawValue: 1), remoteDomain: DomainID(rawValue: 1), waitDescriptor: try second.duplicate(),
      signalDescriptor: try first.duplicate(), release: {})
  }
}
