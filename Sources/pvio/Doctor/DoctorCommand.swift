import ArgumentParser
import DriverCommands
import Glibc
import LinuxSystem
import Uring

/// `pvio doctor`: whether this machine has what pvio needs, and what to do where it has not.
struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "doctor", abstract: "Check this machine.")

  @OptionGroup var common: CommonOptions
  @Flag(help: "Print JSON.") var json = false

  struct Finding: Encodable {
    enum Verdict: String, Encodable { case ok, note, bad }
    var check: String
    var verdict: Verdict
    var text: String
  }

  func run() throws {
    let findings = [kernel, uring, openFiles, runDirectory, daemon] + tools
    if json {
      try printJSON(["findings": findings])
    } else {
      let marks: [Finding.Verdict: String] = [.ok: "ok  ", .note: "note", .bad: "BAD "]
      for finding in findings { print("\(marks[finding.verdict] ?? "") \(finding.check): \(finding.text)") }
    }
    if findings.contains(where: { $0.verdict == .bad }) { throw ExitCode(1) }
  }

  private var kernel: Finding {
    let release = (try? TextFile.read("/proc/sys/kernel/osrelease"))?.split(separator: "\n").first.map(String.init) ?? "unknown"
    let numbers = release.split(whereSeparator: { !$0.isNumber }).prefix(2).compactMap { Int($0) }
    let isNewEnough = numbers.count == 2 && (numbers[0], numbers[1]) >= (6, 1)
    return Finding(
      check: "kernel", verdict: isNewEnough ? .ok : .note, text: release + (isNewEnough ? "" : ": slower than on 6.1 and newer (deferred task run)"))
  }

  private var uring: Finding {
    do throws(UringError) {
      let ring = try Uring(entries: 8)
      return ring.features.defersTaskRun
        ? Finding(check: "io_uring", verdict: .ok, text: "available, with deferred task run")
        : Finding(check: "io_uring", verdict: .note, text: "available, without deferred task run (Linux 6.1): expect about a fifth more CPU")
    } catch {
      return Finding(check: "io_uring", verdict: .bad, text: "\(error)")
    }
  }

  private var openFiles: Finding {
    var limit = rlimit()
    // SAFETY: the call fills a local structure of the type that it expects.
    unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    let enough = limit.rlim_max >= 4096
    return Finding(
      check: "open files", verdict: enough ? .ok : .note,
      text: "hard limit \(limit.rlim_max)" + (enough ? "" : ": every queue of every disk takes four; raise it with 'ulimit -Hn'"))
  }

  private var runDirectory: Finding {
    let path = common.runDirectory.path
    do {
      try RunDirectory.create(path)
    } catch {
      return Finding(check: "run directory", verdict: .bad, text: "cannot make \(path): choose another with --run-dir or $PVIO_RUN_DIR")
    }
    // SAFETY: the path is a terminated string for the length of the call, as in `tools`.
    let writable = unsafe access(path, W_OK) == 0
    return Finding(check: "run directory", verdict: writable ? .ok : .bad, text: path + (writable ? "" : " is not writable"))
  }

  private var daemon: Finding {
    if let holder = LockedFile.holder(of: common.runDirectory.lock) {
      return Finding(check: "daemon", verdict: .ok, text: "running as process \(holder)")
    }
    return Finding(check: "daemon", verdict: .note, text: "not running in \(common.runDirectory.path); 'pvio run' brings its own")
  }

  /// Programs of others that are of use, with the Debian package that has each.
  private var tools: [Finding] {
    [("xenstore-ls", "xenstore-utils"), ("nbdcopy", "libnbd-bin"), ("qemu-img", "qemu-utils"), ("fio", "fio")].map { tool, package in
      let isThere = ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin"].contains { unsafe access("\($0)/\(tool)", X_OK) == 0 }
      return Finding(
        check: tool, verdict: isThere ? .ok : .note, text: isThere ? "installed" : "not installed (Debian package \(package)); only needed to look or to test")
    }
  }
}
