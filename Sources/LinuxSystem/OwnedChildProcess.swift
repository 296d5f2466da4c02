import CLinuxShims
import Glibc
public import SystemPackage

/// A program that this process started, killed and reaped when its owner lets go of it.
public struct OwnedChildProcess: ~Copyable {
  private let process: ChildProcess
  /// Our end of the child's standard output, owned by this value; -1 when it was not asked for.
  private let outputNumber: Int32

  /// First descriptor number under which ``start(_:arguments:descriptors:capturingOutput:)`` hands descriptors over.
  public static let firstPassedDescriptor: Int32 = 100

  /// Starts `path` with `arguments` (without the program's own name) and this process's environment.
  ///
  /// The child inherits standard input, output and error, and `descriptors` as numbers 100, 101, and so on; nothing else,
  /// as every descriptor of this project is close-on-exec. With `capturingOutput`, standard output goes to ``readOutput()``.
  public static func start(
    _ path: String, arguments: [String], descriptors: [Int32] = [], capturingOutput: Bool = false
  ) throws(Errno) -> OwnedChildProcess {
    var options = ChildProcess.Options()
    for (index, descriptor) in descriptors.enumerated() { options.descriptors[firstPassedDescriptor + Int32(index)] = descriptor }
    var outputNumber: Int32 = -1
    var childEnd: Int32 = -1
    if capturingOutput {
      let pair = try UnixSocket.pair(.stream)
      outputNumber = pair.first.release()
      childEnd = pair.second.release()
      options.standardOutput = childEnd
    }
    defer { if childEnd >= 0 { close(childEnd) } }
    do {
      return OwnedChildProcess(process: try ChildProcess.spawn(path, arguments, options), outputNumber: outputNumber)
    } catch {
      if outputNumber >= 0 { close(outputNumber) }
      throw error
    }
  }

  private init(process: ChildProcess, outputNumber: Int32) {
    self.process = process
    self.outputNumber = outputNumber
  }

  deinit {
    process.send(signal: SIGKILL)
    process.wait()
    if outputNumber >= 0 { close(outputNumber) }
  }

  /// Waits for the child's next output, at most 64 KiB; empty when it closed its standard output or none is captured.
  public func readOutput() throws(Errno) -> String {
    if outputNumber < 0 { return "" }
    let descriptor = outputNumber
    var failure: Errno?
    // SAFETY: `read` writes at most `buffer.count` bytes, and their number is what is returned as initialised.
    let text = unsafe String(unsafeUninitializedCapacity: 65_536) { buffer in
      var count: Int
      repeat { count = unsafe read(descriptor, buffer.baseAddress!, buffer.count) } while count < 0 && Errno.last == .interrupted
      if count < 0 { failure = Errno.last }
      return max(0, count)
    }
    if let failure { throw failure }
    return text
  }

  /// Waits until the child ends.
  public consuming func waitForExit() -> ChildProcess.Ending {
    let ending = process.wait()
    if outputNumber >= 0 { close(outputNumber) }
    discard self
    return ending
  }

  /// The child's process number, valid as long as this value lives.
  public var processID: Int32 { process.processID }

  /// Ends the calling process when the one that started it ends, whichever of its threads that was: for helpers that must not outlive
  /// their command.
  public static func endWithParent(signal: TerminationSignal = .kill) {
    let parent = getppid()
    guard let watch = try? OwnedDescriptor(owning: check(pvio_pidfd_open(parent))) else { return }
    let number = watch.release()
    let started: Void? = try? SystemThread.start(name: "parent") {
      var poll = pollfd(fd: number, events: Int16(POLLIN), revents: 0)
      // Another parent: the one that started us had ended before we could watch it.
      while getppid() == parent {
        // SAFETY: one entry is given and one is what the count says.
        if unsafe Glibc.poll(&poll, 1, -1) == 1 { break }
      }
      kill(getpid(), signal.rawValue)
    }
    if started == nil { close(number) }
  }

  /// How a process is ended.
  public enum TerminationSignal: Int32, Sendable {
    /// At once (`SIGKILL`).
    case kill = 9
    /// With time to clean up (`SIGTERM`).
    case terminate = 15
  }
}
