import Glibc
import LinuxSystem

/// Where figures were measured, and whether something else was running there.
struct MachineDescription {
  var processor: String
  var processorCount: Int
  var memoryMebibytes: Int
  var kernel: String
  /// One, five and fifteen-minute load averages.
  var load: String
  /// How busy all processors together were during a look of 300 ms, before anything was measured.
  var busyPercent: Int

  /// More than a daemon that wakes up now and then.
  var isBusy: Bool { busyPercent > 10 }

  static func current() throws -> MachineDescription {
    let information = try TextFile.read("/proc/cpuinfo", maximumByteCount: 1 << 20).split(separator: "\n")
    let memory = try TextFile.read("/proc/meminfo").split(separator: "\n").first { $0.hasPrefix("MemTotal:") }
    return MachineDescription(
      processor: information.first { $0.hasPrefix("model name") }?.split(separator: ":").last.map { String($0.drop { $0 == " " }) } ?? "unknown",
      processorCount: information.count { $0.hasPrefix("processor") },
      memoryMebibytes: (memory?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) / 1024,
      kernel: String(try TextFile.read("/proc/sys/kernel/osrelease").prefix { $0 != "\n" }),
      load: try TextFile.read("/proc/loadavg").split(separator: " ").prefix(3).joined(separator: " "),
      busyPercent: try measureBusyPercent())
  }

  var summary: String {
    "\(processor), \(processorCount) processors, \(memoryMebibytes) MiB, Linux \(kernel); load \(load), \(busyPercent)% busy before the start"
  }

  var json: JSONValue {
    .object([
      ("processor", .string(processor)), ("processors", .number(Double(processorCount))), ("memory_mib", .number(Double(memoryMebibytes))),
      ("kernel", .string(kernel)), ("load", .string(load)), ("busy_percent", .number(Double(busyPercent))),
    ])
  }

  /// The load average remembers a build for minutes: what the processors do just now says more.
  private static func measureBusyPercent() throws -> Int {
    let before = try processorTimes()
    usleep(300_000)
    let after = try processorTimes()
    let total = after.total - before.total
    return total == 0 ? 0 : 100 - 100 * (after.idle - before.idle) / total
  }

  /// Ticks of all processors since boot (`/proc/stat`): user nice system idle iowait irq softirq steal.
  private static func processorTimes() throws -> (total: Int, idle: Int) {
    let line = try TextFile.read("/proc/stat", maximumByteCount: 1 << 20).prefix { $0 != "\n" }
    let ticks = line.split(separator: " ").dropFirst().prefix(8).compactMap { Int($0) }
    guard ticks.count == 8 else { throw BenchFailure("/proc/stat has an unknown form") }
    return (ticks.reduce(0, +), ticks[3] + ticks[4])
  }
}
