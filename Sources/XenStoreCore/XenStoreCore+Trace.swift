import XenInterface
import XenStoreWire

extension XenStoreCore {
  /// One line for the access trace: who asked what of which path, and the outcome. Values are never shown.
  ///
  ///     <domid> <label> <request> <path> <outcome>
  func trace(_ packet: XenStorePacket, from connection: StoreConnection, outcome: XenStoreError?) {
    guard let onTrace else { return }
    let request = packet.type.map { String(describing: $0) } ?? "type \(packet.rawType)"
    let transaction = packet.transactionID == 0 ? "" : " in transaction \(packet.transactionID)"
    let path = String(decoding: packet.payload.prefix { $0 != 0 }.prefix(256).map { $0 > 31 && $0 < 127 ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
    onTrace("\(connection.domain) \(connection.label) \(request)\(transaction) \(path) \(outcome?.errnoName ?? "OK")")
  }
}
