import DriverCommands
import Glibc
import LinuxSystem

/// Tells a service manager how we are (sd_notify(3)): a datagram to the socket that it names in `NOTIFY_SOCKET`.
enum ServiceManager {
  /// Says that this command serves from now on: by `line` on standard output, and to a service manager.
  static func sayReady(_ line: String) {
    print(line)
    flushOutput()
    notifyReady()
  }

  static func notifyReady() { send("READY=1\nMAINPID=\(getpid())") }
  static func notifyStopping() { send("STOPPING=1") }

  private static func send(_ text: String) {
    // SAFETY: a terminated string of the environment, which this program never changes; copied here.
    guard let path = unsafe getenv("NOTIFY_SOCKET") else { return }
    // Without a service manager there is nobody to tell, and one that does not listen is not our failure.
    _ = try? UnixSocket.sendDatagram(Array(text.utf8), to: unsafe String(cString: path))
  }
}
