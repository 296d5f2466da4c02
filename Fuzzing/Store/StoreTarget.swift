import XenInterface
import XenStoreCore
import XenStoreMigration
import XenStoreWire

/// Bytes as requests of several connections to one store. What must hold, whatever they say:
/// exactly one reply to each request, no payload above 4096 bytes, a connection ended only for a payload that is announced too long (or
/// because its domain was released), and a store that finds itself in order.
///
/// The input is cut by its own bytes: one byte says which connection, two how many bytes follow for it. Bytes behind the last whole cut
/// go to connection 0.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzStore(_ bytes: UnsafePointer<UInt8>?, _ byteCount: Int) -> CInt {
  // SAFETY: libFuzzer passes `byteCount` readable bytes for the length of this call; they are copied at once.
  let input = unsafe bytes.map { unsafe Array(UnsafeBufferPointer(start: $0, count: byteCount)) } ?? []
  // A migration stream begins with this (`docs/designs/xenstore-migration.md` of Xen).
  if input.starts(with: "xenstore".utf8) {
    StoreImportFuzz.run(input)
  } else {
    var requests = StoreRequestFuzz(input)
    requests.run()
  }
  return 0
}

/// A migration stream is taken, or refused with a fault; what is taken can be written and taken again.
enum StoreImportFuzz {
  static func run(_ input: [UInt8]) {
    guard let taken = try? take(input) else { return }
    let findings = taken.core.checkConsistency()
    precondition(findings.isEmpty, "an imported store is not in order: \(findings)")
    for connection in taken.connections {
      taken.core.handle(XenStorePacket(.read, strings: ["/"]), from: connection.id)
      while taken.core.nextOutput(for: connection.id) != nil {}
      taken.core.disconnect(connection.id)
    }
  }

  private static func take(_ input: [UInt8]) throws(MigrationFault) -> (core: XenStoreCore, connections: [XenStoreImport.Connection]) {
    var stream = try MigrationStreamReader(input)
    var imported = XenStoreImport()
    while let record = try stream.next() {
      guard try imported.take(record) else { throw record.unknown }
    }
    return try imported.finish()
  }
}

struct StoreRequestFuzz {
  private let core: XenStoreCore
  private var connections: [XenStoreConnectionID]
  private var parsers: [XenStorePacketParser]
  private var requestCounts: [Int]
  private var replyCounts: [Int]
  private var isAsking: [Bool]
  private let input: [UInt8]

  init(_ input: [UInt8]) {
    self.input = input
    var quotas = XenStoreQuotas()
    quotas.nodesPerDomain = 20
    quotas.watchesPerDomain = 4
    core = XenStoreCore(quotas: quotas)
    core.introduce(DomainID(rawValue: 5))
    connections = [
      core.connect(domain: .control, privileged: true), core.connect(domain: DomainID(rawValue: 5), privileged: false),
      core.connect(domain: DomainID(rawValue: 5), privileged: false), core.connect(domain: .control, privileged: true),
    ]
    parsers = connections.map { _ in XenStorePacketParser() }
    requestCounts = connections.map { _ in 0 }
    replyCounts = requestCounts
    isAsking = connections.map { _ in true }
    for text in ["/local/domain/5", "/a"] {
      core.handle(XenStorePacket(.makeDirectory, strings: [text]), from: connections[0])
      core.handle(XenStorePacket(.setPermissions, strings: [text, "n5"]), from: connections[0])
    }
    while core.nextOutput(for: connections[0]) != nil {}
  }

  mutating func run() {
    var position = 0
    while input.count - position > 3 {
      let client = Int(input[position]) % connections.count
      let byteCount = min(Int(input[position + 1]) | Int(input[position + 2]) << 8, input.count - position - 3)
      position += 3
      feed(Array(input[position..<position + byteCount]), client)
      position += byteCount
      // Some do not read for a while.
      if byteCount % 8 != 7 { takeAll() }
    }
    feed(Array(input[position...]), 0)
    takeAll()
    for client in connections.indices where isAsking[client] {
      precondition(requestCounts[client] == replyCounts[client], "\(requestCounts[client]) requests, \(replyCounts[client]) replies")
    }
    let findings = core.checkConsistency()
    precondition(findings.isEmpty, "not in order: \(findings)")
    for connection in connections { core.disconnect(connection) }
    precondition(core.checkConsistency().isEmpty, "not in order without connections")
  }

  /// Passes bytes on, and counts the requests in them with a parser of its own.
  private mutating func feed(_ bytes: [UInt8], _ client: Int) {
    parsers[client].feed(bytes)
    while true {
      switch parsers[client].next() {
      case .packet: requestCounts[client] += 1; continue
      case .needsMoreBytes: break
      // Nothing behind it is answered; what was asked before need not be.
      case .violation: isAsking[client] = false
      }
      break
    }
    core.receive(bytes, from: connections[client])
  }

  private mutating func takeAll() {
    var isQuiet = false
    while !isQuiet {
      isQuiet = true
      for client in connections.indices {
        while let bytes = core.nextOutput(for: connections[client]) {
          isQuiet = false
          take(bytes, client)
        }
        if let fault = core.fault(of: connections[client]) {
          switch fault {
          case .payloadTooLong: precondition(!isAsking[client], "ended for a payload that nobody sent")
          case .eventsUnread, .domainReleased: isAsking[client] = false
          }
        }
      }
    }
  }

  private mutating func take(_ bytes: [UInt8], _ client: Int) {
    var parser = XenStorePacketParser()
    parser.feed(bytes)
    guard case .packet(let packet) = parser.next(), parser.bufferedByteCount == 0 else { fatalError("output that is no packet") }
    if packet.type == .watchEvent, packet.requestID == 0, packet.transactionID == 0 { return }
    replyCounts[client] += 1
    precondition(replyCounts[client] <= requestCounts[client], "a reply that nobody asked for")
  }
}
