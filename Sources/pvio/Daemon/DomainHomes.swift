import XenInterface
import XenStoreCore
import XenStoreWire

/// What the toolstack writes into the store when a domain is made, and takes out when it is gone, as libxl does. Loop thread only.
struct DomainHomes {
  private let core: XenStoreCore
  private let connection: XenStoreConnectionID

  init(core: XenStoreCore) {
    self.core = core
    connection = core.connect(domain: .control, privileged: true)
  }

  /// Makes what is missing of a domain's home; what a store on disk has kept stays as it is.
  /// `/local/domain/N` and `device` in it are the control domain's, readable for the domain: what a toolstack puts or looks for there
  /// must not be the domain's to make up (XSA-57). `error` and `data` are the domain's own.
  func create(_ domain: DomainID, name: String) {
    let path = "/local/domain/\(domain)"
    write(path, "", permissions: domain == .control ? ["n0"] : ["n0", "r\(domain)"])
    write("\(path)/name", name)
    write("\(path)/domid", "\(domain)")
    guard domain != .control else { return }
    write("\(path)/device", "", permissions: ["n0", "r\(domain)"])
    for own in ["error", "data"] { write("\(path)/\(own)", "", permissions: ["n\(domain)"]) }
  }

  /// Takes the domain's directories away.
  func remove(_ domain: DomainID) {
    ask(.remove, ["/local/domain/\(domain)"])
    ask(.remove, ["/libxl/\(domain)"])
  }

  private func write(_ path: String, _ value: String, permissions: [String]? = nil) {
    if let place = try? XenStorePath(path), core.value(at: place) != nil { return }
    core.handle(XenStorePacket(.write, payload: XenStorePayload.join([path]) + Array(value.utf8)), from: connection)
    drain()
    if let permissions { ask(.setPermissions, [path] + permissions) }
  }

  private func ask(_ type: XenStoreMessageType, _ strings: [String]) {
    core.handle(XenStorePacket(type, strings: strings), from: connection)
    drain()
  }

  /// The name that the store has of a domain.
  func name(of domain: DomainID) -> String? {
    guard let place = try? XenStorePath("/local/domain/\(domain)/name") else { return nil }
    return core.value(at: place).map { String(decoding: $0, as: UTF8.self) }
  }

  /// The replies say nothing new: writing cannot fail for the control domain, and what is to be removed may be gone already.
  private func drain() { while core.nextOutput(for: connection) != nil {} }
}
