import CLinuxShims
import Glibc
import Synchronization
public import SystemPackage

/// Threads of the operating system, for code that blocks or owns a processor.
public enum SystemThread {
  private final class Body {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  /// Names the calling thread within this process while it runs (`pthread_self`).
  public static var currentID: UInt { pthread_self() }

  /// Lets another thread that waits for this processor run first (`sched_yield`).
  public static func yield() { sched_yield() }

  /// Runs `body` on a new thread, which ends with it. `name` is what debuggers show, cut to the 15 bytes the kernel keeps.
  public static func start(name: String, _ body: @escaping @Sendable () -> Void) throws(Errno) {
    pthread_detach(try create(name: name, body))
  }

  /// Runs `body` on a new thread and waits for the thread's end: for what changes a thread itself, as entering a namespace does.
  public static func run<Result: Sendable>(name: String, _ body: @escaping @Sendable () -> Result) throws(Errno) -> Result {
    let outcome = Outcome<Result>()
    let thread = try create(name: name) { outcome.set(body()) }
    pthread_join(thread, nil)
    return outcome.take()
  }

  /// What a thread leaves behind.
  private final class Outcome<Result: Sendable>: Sendable {
    private let result = Mutex<Result?>(nil)

    func set(_ value: Result) { result.withLock { $0 = value } }

    func take() -> Result {
      guard let value = result.withLock({ $0.take() }) else { fatalError("a thread ended without a result") }
      return value
    }
  }

  private static func create(name: String, _ body: @escaping @Sendable () -> Void) throws(Errno) -> pthread_t {
    let named = Body {
      unsafe pvio_set_thread_name(name)
      body()
    }
    var thread = pthread_t()
    // SAFETY: the retain is taken over by the new thread, or given back below when there is none.
    let retained = unsafe Unmanaged.passRetained(named)
    let result = unsafe pthread_create(&thread, nil, runThread, retained.toOpaque())
    if result != 0 {
      unsafe retained.release()
      throw Errno(rawValue: result)
    }
    return thread
  }

  /// File-scope in effect: it captures nothing and belongs to no actor, as a function that C calls must.
  private nonisolated static let runThread: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { argument in
    // SAFETY: `argument` is the retained `Body` that `start` passed, taken exactly once.
    guard let argument = unsafe argument else { return nil }
    let body = unsafe Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
    body.run()
    return nil
  }
}
