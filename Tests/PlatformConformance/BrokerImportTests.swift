import Broker
import Testing
import XenInterface
import XenStoreMigration

/// A broker that goes on believes nothing of what it is told.
@Suite struct BrokerImportTests {
  private func domain(_ domain: UInt16, in stream: inout MigrationStreamWriter) {
    stream.append(.brokerDomain) { body in
      body.put(domain)
      body.put(Int32(100))
      body.put("name \(domain)")
    }
  }

  private func connection(_ number: UInt64, of domain: UInt16, in stream: inout MigrationStreamWriter) {
    stream.append(.brokerConnection) { body in
      body.put(number)
      body.put(Int32(101))
      body.put(domain)
      for _ in 0..<3 { body.put(UInt32(0)) }
      body.put(true)
      body.put(UInt32(1))
      body.put(counted: [1, 2, 3])
      body.put(UInt8(1))
      body.put(Int32(102))
    }
  }

  private func channelEnd(of domain: UInt16, holder: UInt64, state: UInt8 = 1, in stream: inout MigrationStreamWriter) {
    stream.append(.brokerChannelEnd) { body in
      body.put(domain)
      body.put(UInt32(1))
      body.put(holder)
      body.put(state)
      body.put(UInt16(0))
      body.put(UInt32(4))
      body.put(Int32(103))
      body.put(Int32(104))
    }
  }

  private func stream(_ fill: (inout MigrationStreamWriter) -> Void) -> [UInt8] {
    var stream = MigrationStreamWriter()
    stream.append(.brokerState) { body in
      body.put(UInt64(5))
      body.put(UInt16(7))
    }
    domain(0, in: &stream)
    fill(&stream)
    return stream.finish()
  }

  private func read(_ bytes: [UInt8]) throws(MigrationFault) {
    var stream = try MigrationStreamReader(bytes)
    var broker = BrokerImport()
    while let record = try stream.next() {
      guard try broker.take(record) else { throw record.unknown }
    }
    try broker.check()
  }

  private var whole: [UInt8] {
    stream { stream in
      domain(7, in: &stream)
      connection(5, of: 7, in: &stream)
      channelEnd(of: 7, holder: 5, in: &stream)
      stream.append(.brokerArena) { body in
        body.put(UInt16(7))
        body.put(UInt16(0))
        body.put(UInt64(5))
        body.put(true)
        body.put(UInt32(16))
        body.put(UInt32(512))
        for file in [105, 106, 107] as [Int32] { body.put(file) }
      }
      stream.append(.brokerNumbers) { body in
        body.put(UInt16(7))
        body.put(UInt32(9))
        body.put(UInt32(1024))
      }
    }
  }

  @Test func aWholeStreamIsAccepted() throws { try read(whole) }

  @Test func everyCutIsNoticed() {
    for byteCount in 0..<whole.count {
      #expect(throws: MigrationFault.self, "cut to \(byteCount) bytes") { try read(Array(whole.prefix(byteCount))) }
    }
  }

  @Test func noDamagedByteEndsTheProgram() {
    let whole = whole
    for index in whole.indices {
      for value in [0, 1, 0x7F, 0x80, 0xFF] as [UInt8] {
        var bytes = whole
        bytes[index] = value
        try? read(bytes)
      }
    }
  }

  @Test func whatBelongsToNobodyIsRefused() {
    #expect(throws: MigrationFault.self) { try read(stream { connection(5, of: 9, in: &$0) }) }
    #expect(throws: MigrationFault.self) { try read(stream { connection(6, of: 0, in: &$0) }) }
    #expect(throws: MigrationFault.self) { try read(stream { channelEnd(of: 0, holder: 5, in: &$0) }) }
    #expect(throws: MigrationFault.self) {
      try read(
        stream {
          domain(7, in: &$0)
          connection(5, of: 7, in: &$0)
          channelEnd(of: 0, holder: 5, in: &$0)
        })
    }
    #expect(throws: MigrationFault.self) {
      try read(
        stream {
          connection(5, of: 0, in: &$0)
          channelEnd(of: 0, holder: 5, state: 3, in: &$0)
        })
    }
    #expect(throws: MigrationFault.self) { try read(stream { domain(0, in: &$0) }) }
  }
}
