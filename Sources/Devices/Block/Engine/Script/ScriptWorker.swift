import EventLoop
import LinuxSystem
import SharedMemory
import Synchronization
import SystemPackage

/// Calls a script on a thread of its own, one call at a time, so that nothing of the loop waits for it.
///
/// Data passes through ``exchange``, which belongs to whoever has the call: the loop before ``begin(_:then:)`` and after the answer, the
/// thread between.
final class ScriptWorker: Sendable {
  /// Most bytes of one call. A larger request takes several.
  static let byteLimit = 1 << 20

  /// What came of a call: bytes that moved, or a negative `errno` and a line that says why.
  struct Answer: Sendable {
    var result: Int32
    var line: String?
  }

  private struct Call: Sendable {
    var request: DiskScript.Request
    var fillsWithZeros: Bool
    var answer: @Sendable (Answer) -> Void
  }

  private enum Task: Sendable { case call(Call), stop }

  let exchange: SharedBytes
  private let script: DiskScript
  private let task = Mutex<Task?>(nil)
  private let wake: SharedDescriptor

  init(_ script: DiskScript) throws(Errno) {
    self.script = script
    exchange = try SharedRegion(anonymousByteCount: Self.byteLimit).bytes
    wake = SharedDescriptor(try EventDescriptor.create(nonBlocking: false))
    try SystemThread.start(name: "script") { [self] in run() }
  }

  /// Calls the script; `answer` is called on the worker's thread. There may be one call at a time.
  /// - Parameter fillsWithZeros: a write of zeros, however long, instead of what is in ``exchange``.
  func begin(_ request: DiskScript.Request, fillsWithZeros: Bool = false, answer: @escaping @Sendable (Answer) -> Void) {
    give(.call(Call(request: request, fillsWithZeros: fillsWithZeros, answer: answer)))
  }

  /// Ends the thread. No call may be under way.
  func stop() { give(.stop) }

  private func give(_ new: Task) {
    task.withLock { task in
      precondition(task == nil, "a script has two calls at once")
      task = new
    }
    EventDescriptor.signal(wake.descriptor)
  }

  // MARK: On the worker's thread

  private func run() {
    while true {
      // Waits: the counter is a blocking one.
      EventDescriptor.drain(wake.descriptor)
      switch task.withLock({ $0.take() }) {
      case .call(let call): call.answer(perform(call))
      case .stop: return
      case nil: break
      }
    }
  }

  private func perform(_ call: Call) -> Answer {
    do throws(DiskScript.Failure) {
      switch call.request {
      case .read(let byteCount, _):
        exchange.copyIn(try script.call(call.request), at: 0)
        return Answer(result: Int32(byteCount))
      case .write(let byteCount, let offset):
        if call.fillsWithZeros {
          try writeZeros(byteCount, offset)
          return Answer(result: 0)
        }
        _ = try script.call(call.request, input: exchange.copyOut(at: 0, byteCount: byteCount))
        return Answer(result: Int32(byteCount))
      case .flush, .discard, .open, .size:
        _ = try script.call(call.request)
        return Answer(result: 0)
      }
    } catch {
      switch error {
      // Nothing is kept that would have to be made durable.
      case .missing where call.request == .flush: return Answer(result: 0)
      case .missing: return Answer(result: -Errno.notSupportedOnSocket.rawValue, line: "\(script.path) has no '\(call.request.name)' (exit code 2)")
      case .failed(let line): return Answer(result: -Errno.ioError.rawValue, line: "\(script.path) \(line)")
      }
    }
  }

  private func writeZeros(_ byteCount: Int, _ offset: UInt64) throws(DiskScript.Failure) {
    let zeros = [UInt8](repeating: 0, count: min(byteCount, Self.byteLimit))
    var done = 0
    while done < byteCount {
      let count = min(zeros.count, byteCount - done)
      _ = try script.call(.write(byteCount: count, offset: offset + UInt64(done)), input: Array(zeros.prefix(count)))
      done += count
    }
  }
}
