import Glibc
import LinuxSystem

/// Finds programs: the `pvio` that was built with the tests, and those of the system.
enum Program {
  /// The `pvio` beside the test bundle; `PVIO_TEST_COMMAND` names another one.
  static let pvio: String = {
    if let path = unsafe getenv("PVIO_TEST_COMMAND") { return unsafe String(cString: path) }
    let own = ChildProcess.ownExecutable
    return own[..<(own.lastIndex(of: "/") ?? own.startIndex)] + "/pvio"
  }()

  /// The program's full name, looked for also where only root's PATH leads; nil when it is not installed.
  static func path(_ name: String) -> String? {
    if name.contains("/") { return name }
    let directories = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
    return directories.map { "\($0)/\(name)" }.first { unsafe access($0, X_OK) == 0 }
  }

  /// Whether all of them are installed.
  static func arePresent(_ names: String...) -> Bool { names.allSatisfy { path($0) != nil } }
}
