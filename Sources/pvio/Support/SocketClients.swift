import DriverCommands
import EventLoop
import LinuxSystem

/// Who connects to a socket, one after the other.
struct SocketClients {
  private let watch: LoopConfined<DescriptorWatch>
  private let arrivals: AsyncStream<SharedDescriptor>
  private let arrived: AsyncStream<SharedDescriptor>.Continuation
  private let loop: EventLoop

  /// Begins to take connections on `loop`'s thread. The listener does not block.
  init(_ listener: SharedDescriptor, _ loop: EventLoop) async {
    let (arrivals, arrived) = AsyncStream<SharedDescriptor>.makeStream()
    self.arrivals = arrivals
    self.arrived = arrived
    self.loop = loop
    watch = await loop.run {
      LoopConfined(
        loop.watchDescriptor(listener.rawValue, for: .readable) { _ in
          while let client = try? UnixSocket.accept(on: listener.descriptor) { arrived.yield(SharedDescriptor(client)) }
        }, on: loop)
    }
  }

  /// The next client; nil when it is to end.
  func next(unless stop: StopRequest) async -> SharedDescriptor? {
    await stop.unlessRaised { [arrivals] in await arrivals.first { _ in true } }
  }

  func close() async {
    arrived.finish()
    await loop.run { [watch] in watch.value.cancel() }
  }
}
