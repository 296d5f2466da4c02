import CLinuxShims
import Glibc
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
    let named = Body {
      unsafe pvio_set_thread_name(name)
      body()
    }
    var attributes = pthread_attr_t()
    unsafe pthread_attr_init(&attributes)
    defer { unsafe pthread_attr_destroy(&attributes) }
    unsafe pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    var thread = pthread_t()
    // SAFETY: the retain is taken over by the new thread, or given back below when there is none.
    let retained = unsafe Unmanaged.passRetained(named)
    let result = unsafe pthread_create(&thread, &attributes, runThread, retained.toOpaque())
    if result != 0 {
      unsafe retained.release()
      throw Errno(rawValue: result)
    }
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
