/// What `--print-capabilities` says (QEMU's docs/interop/vhost-user.rst, "Backend program conventions").
struct BackendCapabilities: Encodable {
  var type: String
  var features: [String]

  static let block = BackendCapabilities(type: "block", features: ["read-only", "blk-file"])
  static let net = BackendCapabilities(type: "net", features: [])
}
