import CLinuxShims
import Glibc
public import SystemPackage

/// A program that is run to its end for what it prints: with bytes to read, and limits of time and output.
public struct ProgramCall: Sendable {
  /// How a call ended.
  public struct Outcome: Sendable {
    /// Nil: it took too long and was killed, with all it had started.
    public var ending: ChildProcess.Ending?
    public var output: [UInt8]
    public var errors: [UInt8]
  }

  public var program: String
  /// Most bytes of output that are read: after them, nobody reads what the program prints.
  public var outputLimit: Int
  public var patienceNanoseconds: UInt64

  public init(_ program: String, outputLimit: Int = 1 << 16, patienceNanoseconds: UInt64) {
    self.program = program
    self.outputLimit = outputLimit
    self.patienceNanoseconds = patienceNanoseconds
  }

  private static let errorLimit = 4096
  /// How often a program that has ended, but whose output something else holds open, is looked after.
  private static let lookMilliseconds: Int32 = 50

  /// Runs the program and waits. `input` is what it can read. Throws when it cannot be started. Any thread that may block; what is not
  /// read of the input ends the writing, without a signal.
  public func run(_ arguments: [String], input: [UInt8] = []) throws(Errno) -> Outcome {
    let deadline = MonotonicClock.nowNanoseconds &+ patienceNanoseconds
    blockBrokenPipeSignal()
    var streams = ChildProcess.Options()
    let toChild = try Pipe()
    let fromChild = try Pipe()
    let errorsFromChild = try Pipe()
    streams.standardInput = toChild.reading.rawValue
    streams.standardOutput = fromChild.writing.rawValue
    streams.standardError = errorsFromChild.writing.rawValue
    // A session of its own: what it starts can be ended with it.
    streams.newSession = true
    let child = try ChildProcess.spawn(program, arguments, streams)
    var ends = Ends(input: input, writing: toChild.takeWriting(), output: fromChild.takeReading(), errors: errorsFromChild.takeReading())
    var ending: ChildProcess.Ending?
    while ends.isOpen {
      let now = MonotonicClock.nowNanoseconds
      if now >= deadline { break }
      let moved = ends.move(waitMilliseconds: min(Self.lookMilliseconds, Int32(clamping: (deadline - now) / 1_000_000 + 1)))
      if !moved, ending == nil { ending = child.poll() }
      // Something that it left behind holds its output: nothing more comes of the program itself.
      if !moved, ending != nil { break }
      if ends.output.count >= outputLimit { ends.closeOutput(keeping: outputLimit) }
      if ends.errors.count > Self.errorLimit { ends.errors.removeLast(ends.errors.count - Self.errorLimit) }
    }
    while ending == nil, MonotonicClock.nowNanoseconds < deadline, !ends.isOpen {
      ending = child.poll()
      if ending == nil { usleep(200) }
    }
    if ending == nil {
      kill(-child.processID, SIGKILL)
      child.wait()
    }
    return Outcome(ending: ending, output: ends.output, errors: ends.errors)
  }

  /// For the calling thread: a write to a pipe that nobody reads fails, and is no signal.
  private func blockBrokenPipeSignal() {
    var signals = sigset_t()
    // SAFETY: a local set is emptied, gets one signal, and is lent to one call.
    unsafe sigemptyset(&signals)
    unsafe sigaddset(&signals, SIGPIPE)
    unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
  }
}

/// Both ends of a pipe, close-on-exec.
private struct Pipe: ~Copyable {
  let reading: OwnedDescriptor
  let writing: OwnedDescriptor

  init() throws(Errno) {
    var ends: [Int32] = [-1, -1]
    // SAFETY: two numbers are written to an array of two.
    try check(unsafe ends.withUnsafeMutableBufferPointer { unsafe pvio_pipe($0.baseAddress!) })
    reading = OwnedDescriptor(owning: ends[0])
    writing = OwnedDescriptor(owning: ends[1])
  }

  /// One end; the other one is closed.
  consuming func takeReading() -> SharedDescriptor { SharedDescriptor(reading) }
  consuming func takeWriting() -> SharedDescriptor { SharedDescriptor(writing) }
}

/// Our ends of a child's streams, and what has passed.
private struct Ends {
  private let input: [UInt8]
  private var writtenCount = 0
  private var writing: SharedDescriptor?
  private var outputEnd: SharedDescriptor?
  private var errorEnd: SharedDescriptor?
  var output: [UInt8] = []
  var errors: [UInt8] = []

  init(input: [UInt8], writing: SharedDescriptor, output: SharedDescriptor, errors: SharedDescriptor) {
    self.input = input
    self.writing = input.isEmpty ? nil : writing
    outputEnd = output
    errorEnd = errors
    for end in [writing, output, errors] { try? end.descriptor.setNonBlocking(true) }
  }

  /// Whether more can come.
  var isOpen: Bool { outputEnd != nil || errorEnd != nil }

  mutating func closeOutput(keeping count: Int) {
    output.removeLast(output.count - count)
    outputEnd = nil
  }

  /// Moves what can be moved. False when nothing could within the wait.
  mutating func move(waitMilliseconds: Int32) -> Bool {
    var polls = [
      pollfd(fd: outputEnd?.rawValue ?? -1, events: Int16(POLLIN), revents: 0), pollfd(fd: errorEnd?.rawValue ?? -1, events: Int16(POLLIN), revents: 0),
      pollfd(fd: writing?.rawValue ?? -1, events: Int16(POLLOUT), revents: 0),
    ]
    // SAFETY: three entries are given and three is what the count says.
    let ready = unsafe polls.withUnsafeMutableBufferPointer { unsafe poll($0.baseAddress, 3, waitMilliseconds) }
    guard ready > 0 else { return false }
    if polls[0].revents != 0 { Self.read(&outputEnd, into: &output) }
    if polls[1].revents != 0 { Self.read(&errorEnd, into: &errors) }
    if polls[2].revents != 0 { write() }
    return true
  }

  private static func read(_ end: inout SharedDescriptor?, into bytes: inout [UInt8]) {
    guard let number = end?.rawValue else { return }
    var buffer = [UInt8](repeating: 0, count: 65536)
    // SAFETY: at most as many bytes are written as the buffer has.
    let count = unsafe buffer.withUnsafeMutableBytes { unsafe Glibc.read(number, $0.baseAddress, $0.count) }
    if count > 0 { bytes.append(contentsOf: buffer.prefix(count)) }
    if count == 0 || (count < 0 && Errno.last != .wouldBlock && Errno.last != .interrupted) { end = nil }
  }

  private mutating func write() {
    guard let number = writing?.rawValue else { return }
    let begin = writtenCount
    // SAFETY: the bytes from `begin` on are lent for one call.
    let count = unsafe input.withUnsafeBytes { unsafe Glibc.write(number, $0.baseAddress! + begin, $0.count - begin) }
    if count > 0 { writtenCount += count }
    // A program that does not want more is not wrong: what it makes of it is its exit code's to say.
    if writtenCount == input.count || (count < 0 && Errno.last != .wouldBlock && Errno.last != .interrupted) { writing = nil }
  }
}
