import BrokerWire
import Testing
import XenInterface

@Suite struct BrokerWireTests {
  private static let port = EventChannelPort(rawValue: 0xFFFF_FFFF)
  private static let requests: [BrokerRequest] = [
    .hello(version: 1), .registerArena(peer: .front, readOnly: true, pageCount: 77), .releaseArena(firstReference: GrantReference(rawValue: 512)),
    .openArena(granter: .other, reference: GrantReference(rawValue: .max)), .allocateUnbound(remote: .control),
    .bindInterdomain(remote: .front, port: port), .closePort(port),
    .connectStore(reference: GrantReference(rawValue: 300), port: port), .createDomain(nil, name: ""), .createDomain(.front, name: "gäst"),
    .destroyDomain(.front), .listDomains(after: nil), .listDomains(after: .control), .listConnections(after: .max), .listPorts(.front, after: port),
  ]
  private static let messages: [BrokerMessage] = [
    .done, .noArena, .welcome(domain: .front, version: 1), .arenaRegistered(firstReference: GrantReference(rawValue: 256)),
    .arena(firstReference: GrantReference(rawValue: 256), readOnly: false, pageCount: .max), .channel(port), .domain(.other),
    .portClosed(port), .portBound(port),
    .failed(.notPermitted(operation: "a", domain: .front)), .failed(.noSuchDomain(.other)), .failed(.noSuchPort(port, of: .front)),
    .failed(.quotaExceeded(quota: "arenas", domain: .front, limit: .max)), .failed(.system(operation: "open", errno: 24)),
    .failed(.refused(operation: "x", reason: "y")),
    .domains(
      [DomainDescription(domain: .front, name: "n", connectionCount: 1, arenaCount: 2, arenaPageCount: 3, eventChannelCount: 4)], more: true),
    .connections([ConnectionDescription(id: 9, domain: .front, processID: 10, userID: 11)], more: false),
    .ports(
      [
        PortDescription(port: port, processID: 1, remoteDomain: .front, remotePort: nil),
        PortDescription(port: port, processID: 1, remoteDomain: .front, remotePort: EventChannelPort(rawValue: 3)),
      ], more: false),
  ]

  @Test func everyMessageIsReadAsItWasWritten() throws {
    for request in Self.requests { #expect(try BrokerRequest.decode(request.encoded(requestID: 7)) == (request, 7)) }
    for message in Self.messages { #expect(try BrokerMessage.decode(message.encoded(requestID: .max)) == (message, .max)) }
  }

  @Test func aMessageThatIsTooShortOrTooLongIsRefused() {
    for bytes in Self.requests.map({ $0.encoded(requestID: 1) }) {
      for length in 0..<bytes.count { #expect(throws: BrokerWireError.self) { try BrokerRequest.decode(Array(bytes.prefix(length))) } }
      #expect(throws: BrokerWireError.trailingBytes(count: 1)) { try BrokerRequest.decode(bytes + [0]) }
    }
    for bytes in Self.messages.map({ $0.encoded(requestID: 1) }) {
      for length in 0..<bytes.count { #expect(throws: BrokerWireError.self) { try BrokerMessage.decode(Array(bytes.prefix(length))) } }
      #expect(throws: BrokerWireError.self) { try BrokerMessage.decode(bytes + [0]) }
    }
  }

  @Test func aFullPageOfAListingFitsAMessage() {
    let name = String(repeating: "n", count: 300)
    let domain = DomainDescription(domain: .front, name: name, connectionCount: 1, arenaCount: 2, arenaPageCount: 3, eventChannelCount: 4)
    let message = BrokerMessage.domains(Array(repeating: domain, count: BrokerProtocol.maximumListEntries), more: true)
    #expect(message.encoded(requestID: 1).count <= BrokerProtocol.maximumMessageByteCount)
  }

  @Test func flippedBitsAreReadAsSomethingElseOrRefused() {
    for bytes in Self.requests.map({ $0.encoded(requestID: 1) }) {
      for bit in 0..<bytes.count * 8 {
        var flipped = bytes
        flipped[bit / 8] ^= 1 << (bit % 8)
        if let (request, id) = try? BrokerRequest.decode(flipped) { #expect(request.encoded(requestID: id) == flipped) }
      }
    }
  }
}
