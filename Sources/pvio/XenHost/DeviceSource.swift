import DriverCommands
import PVDriver
import XenInterface

/// What a device is served from, as the keys of its back-end's directory say: those that we wrote, or those that libxl wrote for a
/// driver of domain 0's kernel (docs/misc/xl-disk-configuration.5.pod, xl-network-configuration.5.pod of Xen).
struct DeviceSource {
  private let address: DeviceAddress
  private let text: String

  /// Nil when the keys do not tell.
  init?(_ address: DeviceAddress, _ values: [String: String]) {
    self.address = address
    if let text = values[DeviceToolstack.specKey] {
      self.text = text
    } else if address.device.kind == .disk {
      guard let parameters = values["params"], !parameters.isEmpty else { return nil }
      text = Self.disk(parameters, mode: values["mode"], isDirect: values["direct-io-safe"] != "0")
    } else {
      text = Self.interface(address, values)
    }
  }

  func spec() throws -> DeviceSpec {
    address.device.kind == .disk ? .disk(try DiskSpec.parse(text, option: "params")) : .net(try NetSpec(text, option: "the vif's keys"))
  }

  /// `params` is a path, after the name of a driver where libxl knows one (`aio:/images/a.raw`).
  private static func disk(_ parameters: String, mode: String?, isDirect: Bool) -> String {
    let path = ["aio:", "raw:", "file:", "phy:"].first(where: parameters.hasPrefix).map { String(parameters.dropFirst($0.count)) } ?? parameters
    return "file=\(path)" + (mode?.hasPrefix("w") == true ? "" : ",readonly=on") + (isDirect ? "" : ",direct=off")
  }

  /// A TAP interface with the name that Xen's network scripts expect: they put it on the bridge.
  private static func interface(_ address: DeviceAddress, _ values: [String: String]) -> String {
    let name = values["vifname"] ?? "vif\(address.domain).\(address.device.number)"
    return "tap=\(name)" + (values["mac"].map { ",mac=\($0)" } ?? "") + (values["rate"].map { ",rate=\($0)" } ?? "")
      + (values["mtu"].map { ",mtu=\($0)" } ?? "") + ",queues=\(values["multi-queue-max-queues"] ?? "4")"
  }
}
