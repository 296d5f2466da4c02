import Dispatch
import Glibc
import LinuxSystem
import Synchronization
import XenPlatform

/// Waits until `condition` holds, for as long as a test is ready to hang before it fails.
func eventually(_ condition: () throws -> Bool) rethrows -> Bool {
  for _ in 0..<4000 {
    if try condition() { return true }
    usleep(2500)
  }
  return try condition()
}

/// Runs `body` on `count` threads at once, waits for all, and throws what one of them threw.
func inParallel(_ count: Int, _ body: @escaping @Sendable (Int) throws -> Void) throws {
  let failure = Mutex<(any Error)?>(nil)
  DispatchQueue.concurrentPerform(iterations: count) { index in
    do {
      try body(index)
    } catch {
      failure.withLock { $0 = error }
    }
  }
  if let error = failure.withLock({ $0 }) { throw error }
}

/// Whether an event comes to `channel` before the test gives up. Takes it.
func takesEvent(_ channel: EventChannel) -> Bool {
  var poll = pollfd(fd: channel.waitDescriptor.rawValue, events: Int16(POLLIN), revents: 0)
  guard unsafe Glibc.poll(&poll, 1, 10_000) == 1 else { return false }
  return channel.takeEvent()
}

/// Whether an event is at `channel` now.
func hasEvent(_ channel: EventChannel) -> Bool {
  var poll = pollfd(fd: channel.waitDescriptor.rawValue, events: Int16(POLLIN), revents: 0)
  return unsafe Glibc.poll(&poll, 1, 0) == 1
}

/// Counts from any thread.
final class Counter: Sendable {
  private let count = Atomic<Int>(0)

  func add(_ number: Int = 1) { count.add(number, ordering: .sequentiallyConsistent) }
  var value: Int { count.load(ordering: .sequentiallyConsistent) }
}
