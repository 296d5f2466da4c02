import DriverCommands
import LinuxSystem

/// What a process with all its threads has used of processors.
enum ProcessorTime {
  /// User and system time in nanoseconds, in steps of 10 ms (`/proc/PID/stat`, fields 14 and 15).
  static func nanoseconds(of processID: Int32) throws -> UInt64 {
    let text = try TextFile.read("/proc/\(processID)/stat")
    // The second field is a name in parentheses, which may contain anything.
    let fields = text.split(separator: ")").last?.split(separator: " ") ?? []
    guard fields.count > 12, let user = UInt64(fields[11]), let system = UInt64(fields[12]) else {
      throw CommandFailure("/proc/\(processID)/stat has an unknown form")
    }
    return (user + system) * 10_000_000
  }
}
