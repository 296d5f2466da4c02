import DriverCommands
import NetBack
import XenInterface
import XenStoreClient
import Xenbus

/// An interface that is being served, over whatever, and whose keys may change meanwhile. Nil: the key is not there.
protocol ConfigurableInterface: Sendable {
  func setRate(_ text: String?) async
  func setMulticastControl(_ text: String?) async
}

extension NetBackendDriver: ConfigurableInterface {}

/// Follows the keys of an interface that may change while it is connected: `rate` in the back-end's directory, and
/// `request-multicast-control` in the front-end's.
struct NetKeyWatch {
  let address: DeviceAddress
  let interface: any ConfigurableInterface
  let store: XenStoreClient

  /// Until the task is cancelled or the store is gone.
  func follow() async {
    async let rate: Void = follow("\(address.paths.backend)/\(NetifKeys.Backend.rate.name)") { await interface.setRate($0) }
    async let filter: Void = follow("\(address.paths.frontend)/\(NetifKeys.Frontend.requestMulticastControl.name)") {
      await interface.setMulticastControl($0)
    }
    _ = await (rate, filter)
  }

  private func follow(_ path: String, _ use: (String?) async -> Void) async {
    guard let changes = try? await store.watch(path) else { return }
    for await _ in changes { await use((try? await store.readIfPresent(path)) ?? nil) }
  }
}
