import CLinuxShims
import Glibc
public import SystemPackage

/// A pseudo terminal: the controlling end is ours, the other one is a device that programs open by its path.
///
/// Nothing ends when the last program that has it open
/// goes: this process keeps it open itself.
public final class PseudoTerminal: Sendable {
  /// The controlling end, non-blocking.
  public let controller: SharedDescriptor
  /// Path of the device: `/dev/pts/3`.
  public let path: String
  private let device: OwnedDescriptor

  /// - Parameter isRaw: bytes pass as they are: no echo, no line editing, no translation.
  public init(isRaw: Bool = true) throws(Errno) {
    let controller = try OwnedDescriptor.open("/dev/ptmx", flags: O_RDWR | O_NOCTTY | O_NONBLOCK)
    path = "/dev/pts/\(try check(pvio_terminal_number(controller.rawValue)))"
    device = try OwnedDescriptor.open(path, flags: O_RDWR | O_NOCTTY)
    if isRaw { try TerminalMode.raw(device.rawValue).apply(to: device.rawValue) }
    self.controller = SharedDescriptor(controller)
  }
}

/// How a terminal treats what passes through it (`struct termios`).
public struct TerminalMode: Sendable {
  private var settings: termios

  /// How a terminal is opened that is not to become this process's own.
  public static let openFlags = O_RDWR | O_NOCTTY
  /// What the programs of a terminal get when it is gone.
  public static let hangUpSignal = SIGHUP

  /// The mode that the terminal is in; throws `ENOTTY` for what is no terminal.
  public init(of descriptor: Int32) throws(Errno) {
    var settings = termios()
    // SAFETY: the structure is ours and is filled before the call returns.
    try check(unsafe tcgetattr(descriptor, &settings))
    self.settings = settings
  }

  /// That of the terminal, changed so that every byte passes as it is: no echo, no signals, no translation.
  public static func raw(_ descriptor: Int32) throws(Errno) -> TerminalMode {
    var mode = try TerminalMode(of: descriptor)
    // SAFETY: changes our own structure.
    unsafe cfmakeraw(&mode.settings)
    return mode
  }

  /// Puts the terminal into this mode, at once.
  public func apply(to descriptor: Int32) throws(Errno) {
    var settings = settings
    // SAFETY: the structure is read before the call returns.
    try check(unsafe tcsetattr(descriptor, TCSANOW, &settings))
  }
}
