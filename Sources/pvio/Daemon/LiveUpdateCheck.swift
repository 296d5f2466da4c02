import Glibc
import LinuxSystem
import SystemPackage

/// Asks a binary whether it could go on with a stream, before anything is given up for it: it runs as a child with a copy.
enum LiveUpdateCheck {
  /// What a binary that can go on prints, and nothing else does by accident: `/bin/true` must not pass.
  static let acceptance = "pvio live update: the stream is accepted"
  /// In front of why it cannot.
  static let refusal = "pvio live update: "

  /// Runs the check and waits for it; nil when the binary can go on, else why not. Not on the loop's thread.
  static func run(_ binary: String, _ arguments: [String], stream: [UInt8], timeLimitSeconds: Int) -> String? {
    do throws(Errno) {
      let file = try MemoryFile.create(name: "pvio-live-update-check", contents: stream)
      let output = try MemoryFile.createUnsealed(name: "pvio-live-update-answer", byteCount: 0)
      let nowhere = try OwnedDescriptor.open("/dev/null", flags: O_RDWR)
      var options = ChildProcess.Options()
      options.standardInput = nowhere.rawValue
      options.standardOutput = output.rawValue
      options.descriptors[OwnedChildProcess.firstPassedDescriptor] = file.rawValue
      let child = try ChildProcess.spawn(
        binary, arguments + ["--live-update-check", "\(OwnedChildProcess.firstPassedDescriptor)"], options)
      guard let ending = waitForEnd(of: child, seconds: timeLimitSeconds) else {
        return "\(binary) did not say within \(timeLimitSeconds) seconds whether it can go on"
      }
      let text = String(decoding: (try? MemoryFile.contents(of: output, limit: 1 << 16)) ?? [], as: UTF8.self)
      let lines = text.split(separator: "\n")
      if ending == .exited(0), lines.contains(where: { $0 == acceptance }) { return nil }
      if let reason = lines.last(where: { $0.hasPrefix(refusal) }) { return "\(binary) cannot go on: \(reason.dropFirst(refusal.count))" }
      return "\(binary) is no pvio that can go on (\(ending))"
    } catch {
      return "cannot run \(binary): \(error)"
    }
  }

  /// Kills a child that takes too long; nil then.
  private static func waitForEnd(of child: ChildProcess, seconds: Int) -> ChildProcess.Ending? {
    let deadline = MonotonicClock.nowNanoseconds + UInt64(seconds) * 1_000_000_000
    while MonotonicClock.nowNanoseconds < deadline {
      if let ending = child.poll() { return ending }
      usleep(5_000)
    }
    child.send(signal: SIGKILL)
    child.wait()
    return nil
  }
}
