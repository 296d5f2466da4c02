import DriverCommands
import Glibc
import LinuxSystem
import SystemPackage

/// The process that serves a switch, as others find it: by its lock under the run directory.
struct SwitchProcess {
  let name: String
  let directory: RunDirectory

  private var files: SwitchFiles { directory.virtualSwitch(name) }
  var log: String { files.log }

  /// The process; nil while there is none.
  var holder: Int32? { LockedFile.holder(of: files.lock) }

  /// A name that can be a file's. Throws when it cannot.
  static func checked(_ name: String) throws -> String {
    guard !name.isEmpty, !name.hasPrefix("."), name.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) }) else {
      throw CommandFailure.usage("--switch \(name): expected letters, digits, '-', '_' and '.'")
    }
    return name
  }

  /// Becomes the process of the switch.
  func hold() throws -> LockedFile {
    try RunDirectory.create(files.path)
    do {
      return try LockedFile(path: files.lock)
    } catch .wouldBlock {
      throw CommandFailure("switch \(name) is served already\(holder.map { " by process \($0)" } ?? "")")
    } catch {
      throw CommandFailure("cannot write \(files.lock): \(error)")
    }
  }

  /// Starts it in the background: it ends when it has had no interface for a while.
  func start(_ common: CommonOptions, endsWithUs: Bool) throws -> ChildProcess {
    try RunDirectory.create(files.path)
    do throws(Errno) {
      return try ChildProcess.spawnBackend(
        ["backend", "net"] + common.forwarded + ["--switch", name, "--end-when-idle"] + (endsWithUs ? ["--exit-with-parent"] : []), log: log)
    } catch {
      throw CommandFailure("cannot start switch \(name): \(error)")
    }
  }
}

extension ChildProcess {
  /// Starts this program in the background, in a session of its own, with a log for what it says.
  static func spawnBackend(_ arguments: [String], log: String) throws(Errno) -> ChildProcess {
    let log = try OwnedDescriptor.open(log, flags: O_WRONLY | O_CREAT | O_APPEND)
    let nowhere = try OwnedDescriptor.open("/dev/null", flags: O_RDWR)
    var options = ChildProcess.Options()
    options.standardInput = nowhere.rawValue
    options.standardOutput = nowhere.rawValue
    options.standardError = log.rawValue
    options.newSession = true
    return try ChildProcess.spawn(ChildProcess.ownExecutable, arguments, options)
  }
}
