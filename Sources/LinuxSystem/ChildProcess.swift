import CLinuxShims
import Glibc
public import SystemPackage

/// A program started by this one (`posix_spawn`), with exactly the descriptors it is meant to have.
public struct ChildProcess: Sendable {
  public let processID: Int32

  /// How a child ended.
  public enum Ending: Sendable, Equatable, CustomStringConvertible {
    case exited(Int32)
    case signalled(Int32)

    public var description: String {
      switch self {
      case .exited(let code): "exit code \(code)"
      case .signalled(let signal): "signal \(signal)"
      }
    }
  }

  public struct Options: Sendable {
    /// Where the child's standard streams go; nil keeps ours.
    public var standardInput: Int32?
    public var standardOutput: Int32?
    public var standardError: Int32?
    /// A terminal that becomes the child's standard streams, and with ``newSession`` the one that controls it; instead of those above.
    public var terminalPath: String?
    /// Descriptors of ours (right) that the child gets under the given numbers (left, 3 and above).
    public var descriptors: [Int32: Int32] = [:]
    /// Variables to set or replace in the environment.
    public var environment: [String: String] = [:]
    /// The child gets a session of its own: it survives our terminal.
    public var newSession = false
    public init() {}
  }

  /// Starts `program` (looked up in PATH unless it has a slash) with `arguments`, which do not include the program's name.
  /// Signals are unblocked and at their defaults in the child.
  public static func spawn(_ program: String, _ arguments: [String], _ options: Options = Options()) throws(Errno) -> ChildProcess {
    // SAFETY: the actions and attributes are initialised here, destroyed when this returns, and only lent to the calls between.
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    // Duplicates above everything that is asked for, so that no target overwrites a source that is still needed.
    var temporaries: [Int32] = []
    defer { for number in temporaries { close(number) } }
    let streams: [(Int32, Int32?)] = [(0, options.standardInput), (1, options.standardOutput), (2, options.standardError)]
    for (target, source) in streams + options.descriptors.map({ ($0.key, Optional($0.value)) }) {
      guard let source else { continue }
      let copy = try check(fcntl(source, F_DUPFD_CLOEXEC, 200))
      temporaries.append(copy)
      unsafe posix_spawn_file_actions_adddup2(&actions, copy, target)
    }
    if let path = options.terminalPath {
      unsafe posix_spawn_file_actions_addopen(&actions, 0, path, O_RDWR, 0)
      for target in Int32(1)...2 { unsafe posix_spawn_file_actions_adddup2(&actions, 0, target) }
    }
    var attributes = posix_spawnattr_t()
    unsafe posix_spawnattr_init(&attributes)
    defer { unsafe posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    var all = sigset_t()
    unsafe sigemptyset(&none)
    unsafe sigfillset(&all)
    unsafe posix_spawnattr_setsigmask(&attributes, &none)
    unsafe posix_spawnattr_setsigdefault(&attributes, &all)
    var flags = Int32(POSIX_SPAWN_SETSIGMASK) | Int32(POSIX_SPAWN_SETSIGDEF)
    if options.newSession { flags |= 0x80 /* POSIX_SPAWN_SETSID */ }
    unsafe posix_spawnattr_setflags(&attributes, Int16(flags))

    var pid: pid_t = 0
    let environment = mergedEnvironment(options.environment)
    // SAFETY: both tables end with nil and live until the call returns; the kernel copies them.
    let result = unsafe withCStrings([program] + arguments) { argv in
      unsafe withCStrings(environment) { envp in unsafe posix_spawnp(&pid, program, &actions, &attributes, argv, envp) }
    }
    guard result == 0 else { throw Errno(rawValue: result) }
    return ChildProcess(processID: pid)
  }

  /// The program that is running now, to start more of it.
  public static var ownExecutable: String {
    var buffer = [CChar](repeating: 0, count: 4096)
    // SAFETY: at most `buffer.count - 1` bytes are written.
    let count = unsafe readlink("/proc/self/exe", &buffer, buffer.count - 1)
    return count > 0 ? String(decoding: buffer.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self) : "pvio"
  }

  /// Sends a signal; harmless when the child is gone.
  public func send(signal: Int32) { kill(processID, signal) }

  /// Blocks until the child has ended. Call it once.
  @discardableResult
  public func wait() -> Ending {
    var status: Int32 = 0
    // SAFETY: the status is a local variable, written before the call returns.
    while unsafe waitpid(processID, &status, 0) < 0 {
      if Errno.last != .interrupted { return .exited(-1) }
    }
    return Self.ending(status)
  }

  /// Blocks until the child has ended; how, ``wait()`` or ``poll()`` still says. Returns at once when somebody has asked already.
  public func waitUntilEnded() {
    var information = unsafe siginfo_t()
    // SAFETY: the information is a local variable, written before the call returns.
    while unsafe waitid(P_PID, id_t(processID), &information, WEXITED | WNOWAIT) < 0 {
      if Errno.last != .interrupted { return }
    }
  }

  /// How the child ended, or nil while it runs. Once it has said so, do not ask again.
  public func poll() -> Ending? {
    var status: Int32 = 0
    // SAFETY: as in `wait()`.
    return unsafe waitpid(processID, &status, WNOHANG) == processID ? Self.ending(status) : nil
  }

  private static func ending(_ status: Int32) -> Ending {
    status & 0x7f == 0 ? .exited(status >> 8 & 0xff) : .signalled(status & 0x7f)
  }

  private static func mergedEnvironment(_ additions: [String: String]) -> [String] {
    var result: [String] = []
    // SAFETY: `environ` is a table of terminated strings that ends with nil. Nothing in this program changes the environment.
    var cursor = unsafe environ
    while let entry = unsafe cursor.pointee {
      let text = unsafe String(cString: entry)
      let name = String(text.prefix { $0 != "=" })
      if additions[name] == nil { result.append(text) }
      unsafe cursor += 1
    }
    return result + additions.map { "\($0.key)=\($0.value)" }
  }

  private static func withCStrings(_ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Int32) -> Int32 {
    // SAFETY: each copy is freed once, after `body` has returned; the table has at least its nil, so it has a base address.
    var pointers: [UnsafeMutablePointer<CChar>?] = unsafe strings.map { unsafe strdup($0) } + [nil]
    defer { for unsafe pointer in unsafe pointers { unsafe free(pointer) } }
    return unsafe pointers.withUnsafeMutableBufferPointer { unsafe body($0.baseAddress!) }
  }
}
