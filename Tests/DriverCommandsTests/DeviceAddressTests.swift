import DriverCommands
import PVDriver
import SimulatedPlatform
import Testing
import XenInterface
import XenStoreClient
import Xenbus

@Suite struct DeviceAddressTests {
  /// On a Xen host the toolstack makes a directory for each guest's primary console, whose front-end is no device of the bus.
  @Test func aDeviceWhoseFrontEndIsNotOnTheBusIsNotOurs() async throws {
    let store = SimulatedHypervisor().platform(for: .control).connectToStore()
    let domain = DomainID(rawValue: 7)
    let disk = DeviceAddress(domain: domain, device: try GuestDevice.parse("xvda", kind: .disk), id: "root")
    try await ToolstackDevice(paths: disk.paths, store: XenbusClientStore(store)).create()
    try await store.write("/local/domain/0/backend/console/7/0/frontend", "/local/domain/7/console")
    try await store.write("/local/domain/0/backend/console/7/0/state", "1")
    try await store.write("/local/domain/0/backend/console/7/1/frontend", "/local/domain/7/device/console/1")
    // Older toolstacks' directories may lack the key.
    try await store.write("/local/domain/0/backend/vbd/7/51728/state", "1")
    let found = try await DeviceAddress.all(in: domain, store).map { "\($0.device.kind.storeName) \($0.device.number)" }
    #expect(found == ["vbd 51712", "vbd 51728", "console 1"])
  }
}
