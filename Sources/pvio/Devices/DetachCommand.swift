import ArgumentParser
import DriverCommands
import XenInterface
import XenStoreClient

/// `pvio detach`: takes a device from its domain; both ends finish what they have.
struct DetachCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "detach", abstract: "Detach a device.")

  @OptionGroup var common: CommonOptions
  @Option(help: "Seconds to wait for both ends to close before the device is removed all the same.") var patience = 10.0
  @Argument(help: "The domain, by number or name.") var domain: String
  @Argument(help: "The device: xvda, vif0, its number or its id.") var device: String

  func run() async throws {
    let host = try Host.connect(common)
    let store = host.store
    defer { store.close() }
    let address = try await DeviceAddress.find(device, in: try await host.domain(named: domain), store)
    if let remark = try await DeviceDetachment(directory: common.runDirectory, store: store).detach(address, patience: .seconds(patience)) {
      Process.writeError("pvio: \(remark)\n")
    }
  }
}
