import CLinuxShims
import Glibc
import SystemPackage
import LinuxSystem
import Synchronization
public import Uring

/// A loop with a thread of its own.
public final class EventLoopThread: Sendable {
  public let loop: EventLoop
  private let thread: Mutex<pthread_t?>

  private init(loop: EventLoop, thread: pthread_t) {
    self.loop = loop
    self.thread = Mutex(thread)
  }

  /// Asks the loop to stop and waits until its thread has ended. Not from the loop's own thread.
  public func stopAndJoin() {
    precondition(!loop.isCurrent, "a loop cannot wait for its own end")
    loop.stop()
    guard let thread = thread.withLock({ $0.take() }) else { return }
    pthread_join(thread, nil)
  }

  /// Starts a thread that makes a loop and runs it until it is stopped. `processor` pins the thread.
  public static func start(
    name: String, configuration: EventLoop.Configuration = EventLoop.Configuration(), processor: Int? = nil
  ) throws(UringError) -> EventLoopThread {
    let start = Start(name: name, configuration: configuration, processor: processor)
    var thread = pthread_t()
    let context = unsafe Unmanaged.passRetained(start).toOpaque()
    let result = unsafe pthread_create(&thread, nil, loopThreadMain, context)
    guard result == 0 else {
      // SAFETY: the thread that would have released it does not exist.
      unsafe Unmanaged<Start>.fromOpaque(context).release()
      throw .system(operation: "pthread_create", .init(rawValue: result))
    }
    switch start.wait() {
    case .success(let loop): return EventLoopThread(loop: loop, thread: thread)
    case .failure(let error):
      pthread_join(thread, nil)
      throw error
    }
  }
}

/// Hands what a new thread needs to it, and its loop back.
private final class Start: Sendable {
  let name: String
  let configuration: EventLoop.Configuration
  let processor: Int?
  private let outcome = Mutex<Result<EventLoop, UringError>?>(nil)
  private let ready: OwnedDescriptor

  init(name: String, configuration: EventLoop.Configuration, processor: Int?) {
    self.name = name
    self.configuration = configuration
    self.processor = processor
    guard let ready = try? OwnedDescriptor(owning: check(pvio_eventfd(0, Int32(EFD_CLOEXEC)))) else { fatalError("out of descriptors") }
    self.ready = ready
  }

  func finish(_ result: Result<EventLoop, UringError>) {
    outcome.withLock { $0 = result }
    EventDescriptor.signal(ready)
  }

  func wait() -> Result<EventLoop, UringError> {
    EventDescriptor.drain(ready)
    guard let result = outcome.withLock({ $0 }) else { fatalError("the loop's thread reported nothing") }
    return result
  }
}

private nonisolated func loopThreadMain(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  // SAFETY: `context` is the retained Start that `start(name:…)` passed.
  let start = unsafe Unmanaged<Start>.fromOpaque(context!).takeRetainedValue()
  unsafe pvio_set_thread_name(start.name)
  do throws(UringError) {
    if let processor = start.processor {
      do { try ThreadPlacement.pin(toProcessor: processor) } catch { throw .system(operation: "pin to processor \(processor)", error) }
    }
    let loop = try EventLoop(name: start.name, configuration: start.configuration)
    start.finish(.success(loop))
    loop.run()
  } catch {
    start.finish(.failure(error))
  }
  return nil
}
