import Testing
import XenInterface
import XenStoreCore
import XenStoreWire

/// A store with three clients, asked in short text: `|` stands for NUL.
///
/// What comes out is text too: `dom5 OK`, `dom5 ENOENT`, `dom5 = value`, `dom5 event /path|token|`.
final class StoreScript {
  enum Client: String, CaseIterable {
    case dom0, dom5, dom6
  }

  /// Which transaction a request belongs to.
  enum Transaction {
    case none
    /// The one that the client opened last.
    case opened
    case number(UInt32)
  }

  let core: XenStoreCore
  private(set) var connections: [Client: XenStoreConnectionID] = [:]
  private var opened: [Client: UInt32] = [:]

  init(quotas: XenStoreQuotas = XenStoreQuotas()) {
    core = XenStoreCore(quotas: quotas)
    for client in Client.allCases {
      let domain = DomainID(rawValue: UInt16(client.rawValue.dropFirst(3))!)
      connections[client] = core.connect(domain: domain, privileged: domain == .control)
    }
  }

  static func bytes(_ text: String) -> [UInt8] { text.utf8.map { $0 == UInt8(ascii: "|") ? 0 : $0 } }
  static func text(_ bytes: [UInt8]) -> String {
    String(decoding: bytes.map { $0 == 0 ? UInt8(ascii: "|") : $0 }, as: UTF8.self)
  }

  /// Sends one request and takes everything that any client gets because of it.
  func ask(_ client: Client, _ type: XenStoreMessageType, _ payload: String, in transaction: Transaction = .none) -> [String] {
    ask(client, rawType: type.rawValue, StoreScript.bytes(payload), in: transaction)
  }

  func ask(_ client: Client, rawType: UInt32, _ payload: [UInt8], in transaction: Transaction = .none) -> [String] {
    let transactionID: UInt32 =
      switch transaction {
      case .none: 0
      case .opened: opened[client] ?? 0
      case .number(let number): number
      }
    let packet = XenStorePacket(rawType: rawType, requestID: 77, transactionID: transactionID, payload: payload)
    core.handle(packet, from: connections[client]!)
    return takeOutput(answering: packet)
  }

  /// Everything that waits, client by client.
  func takeOutput(answering request: XenStorePacket? = nil) -> [String] {
    var lines: [String] = []
    for client in Client.allCases {
      while let bytes = core.nextOutput(for: connections[client]!) {
        var parser = XenStorePacketParser()
        parser.feed(bytes)
        guard case .packet(let packet) = parser.next() else {
          lines.append("\(client) malformed")
          continue
        }
        lines.append("\(client) \(describe(packet, client, request))")
      }
    }
    return lines
  }

  private func describe(_ packet: XenStorePacket, _ client: Client, _ request: XenStorePacket?) -> String {
    if packet.type == .watchEvent {
      return packet.requestID == 0 && packet.transactionID == 0 ? "event \(StoreScript.text(packet.payload))" : "event with ids"
    }
    guard let request, packet.requestID == request.requestID, packet.transactionID == request.transactionID else { return "reply with wrong ids" }
    if packet.type == .error { return XenStoreError(payload: packet.payload)?.rawValue ?? "unknown error" }
    guard packet.rawType == request.rawType else { return "reply of type \(packet.rawType)" }
    if packet.type == .transactionStart {
      opened[client] = UInt32(StoreScript.text(packet.payload).dropLast())
      return "= <transaction>"
    }
    return packet.payload == StoreScript.bytes("OK|") ? "OK" : "= " + StoreScript.text(packet.payload)
  }
}

/// One request of a scenario and everything that must come of it.
struct Step {
  var client: StoreScript.Client
  var type: XenStoreMessageType
  var payload: String
  var transaction: StoreScript.Transaction
  var output: [String]

  init(
    _ client: StoreScript.Client, _ type: XenStoreMessageType, _ payload: String, in transaction: StoreScript.Transaction = .none,
    _ output: String...
  ) {
    self.client = client
    self.type = type
    self.payload = payload
    self.transaction = transaction
    self.output = output
  }
}

/// Requests in order, under the sentence that they show.
struct Scenario: CustomTestStringConvertible {
  var sentence: String
  var steps: [Step]

  init(_ sentence: String, _ steps: [Step]) {
    self.sentence = sentence
    self.steps = steps
  }

  var testDescription: String { sentence }
}
