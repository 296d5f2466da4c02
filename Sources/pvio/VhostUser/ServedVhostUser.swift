import DriverCommands
import EventLoop
import Logging
import SystemPackage
import VhostUser

/// A device that can be given up: after its queues have stopped.
protocol ClosableVhostUserDevice: VhostUserDevice, SendableMetatype {
  func close()
}

/// A device that a VMM comes to over vhost-user, and its socket, on one loop.
final class ServedVhostUser<Device: ClosableVhostUserDevice>: Sendable {
  private struct Parts {
    var device: Device
    var server: VhostUserServer
  }

  private let parts: LoopConfined<Parts>
  /// What the VMM does, as it happens.
  let notices: AsyncStream<VhostUserServer.Notice>

  private init(parts: LoopConfined<Parts>, notices: AsyncStream<VhostUserServer.Notice>) {
    self.parts = parts
    self.notices = notices
  }

  /// Makes the device on the loop, and opens its socket. Throws one line that says what is wrong with either.
  static func open(
    at socket: VMMSocket, loop: EventLoop, logger: Logger, _ make: @escaping @Sendable () throws -> Device
  ) async throws -> ServedVhostUser {
    let (notices, tell) = AsyncStream.makeStream(of: VhostUserServer.Notice.self)
    let parts = try await loop.run { () -> Result<LoopConfined<Parts>, CommandFailure> in
      let device: Device
      do { device = try make() } catch { return .failure(error as? CommandFailure ?? CommandFailure("\(error)")) }
      do throws(Errno) {
        let server = try socket.serve(device, logger: logger) { tell.yield($0) }
        return .success(LoopConfined(Parts(device: device, server: server), on: loop))
      } catch {
        device.close()
        return .failure(socket.failure(error))
      }
    }.get()
    return ServedVhostUser(parts: parts, notices: notices)
  }

  /// Runs `body` with the device on its loop.
  func withDevice<Result: Sendable>(_ body: @escaping @Sendable (Device) -> Result) async -> Result {
    await parts.loop.run { [parts] in body(parts.value.device) }
  }

  /// Finishes what is under way, and closes everything.
  func close() async {
    await withCheckedContinuation { continuation in
      parts.loop.execute { [parts] in
        parts.value.server.stop {
          parts.value.device.close()
          continuation.resume()
        }
      }
    }
  }
}
