import NetBack
import XenInterface
import XenStoreClient
import Xenbus

/// Follows the key `rate` in an interface's back-end directory, which may change at any time.
struct NetRate {
  let address: DeviceAddress
  let driver: NetBackendDriver
  let store: XenStoreClient

  /// Until the task is cancelled or the store is gone.
  func follow() async {
    let path = "\(address.paths.backend)/\(NetifKeys.Backend.rate.name)"
    guard let changes = try? await store.watch(path) else { return }
    for await _ in changes {
      if let rate = try? await store.readIfPresent(path) { await driver.setRate(rate) } else { await driver.setRate(nil) }
    }
  }
}
