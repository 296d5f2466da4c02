import EventLoop
public import LinuxSystem
public import NetFront
import NetPackets
import SystemPackage
public import NetTap

/// Shows a front-end's interface as a TAP interface: what any program sends there goes out through the vif, and the other way round.
///
/// ```swift
/// let export = try await TapExport.start(interface, configuration)
/// // … the front-end connects, disconnects, connects again …
/// await export.stop()
/// ```
/// With ``NetFrontConfiguration/transmitBufferCount`` large frames are read straight into the pages that the back-end gets them from.
/// Queue i of one is queue i of the other. The TAP interface has a carrier while a back-end is connected whose link is up. What is left to
/// do on a frame is passed through untouched.
public final class TapExport: Sendable {
  private let frontend: NetFrontend
  private let bridge: LoopConfined<TapBridge>

  private init(_ frontend: NetFrontend, _ bridge: LoopConfined<TapBridge>) {
    self.frontend = frontend
    self.bridge = bridge
  }

  /// Opens the TAP interface and passes frames from now on. Before the front-end connects for the first time.
  public static func start(_ frontend: NetFrontend, _ configuration: TapConfiguration) async throws -> TapExport {
    let bridge = try await frontend.loop.run { [plane = frontend.plane] () -> Result<LoopConfined<TapBridge>, TapError> in
      do throws(TapError) {
        var tuning = TapTuning()
        if plane.value.configuration.transmitBufferCount > 0 {
          tuning.reading = .provided
          // Half of the buffers: the others are with the back-end.
          tuning.providedCount = max(1, min(tuning.providedCount, plane.value.configuration.transmitBufferCount / 2))
        }
        let tap = try TapInterface.open(configuration, tuning: tuning)
        let bridge: TapBridge
        do throws(Errno) {
          bridge = try TapBridge(tap, plane: plane.value)
        } catch {
          throw TapError.system(operation: "get memory for", name: configuration.name.description, error)
        }
        plane.value.client = bridge
        return .success(LoopConfined(bridge, on: plane.loop))
      } catch {
        return .failure(error)
      }
    }.get()
    return TapExport(frontend, bridge)
  }

  /// What each queue of the TAP interface has done.
  public func statistics() async -> [TapQueueStatistics] { await bridge.loop.run { [bridge] in bridge.value.statistics } }

  /// The TAP interface as the kernel describes it, with its own counters; nil when somebody has removed it.
  public func report() async -> NetworkLink? { await bridge.loop.run { [bridge] in bridge.value.report } }

  /// Closes the TAP interface. After the front-end's life cycle has ended.
  public func stop() async {
    await withCheckedContinuation { continuation in
      bridge.loop.execute { [bridge] in bridge.value.stop { continuation.resume() } }
    }
  }
}
