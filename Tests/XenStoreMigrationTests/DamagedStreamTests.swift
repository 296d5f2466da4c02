import Testing
import XenInterface
import XenStoreMigration
import XenStoreWire

struct DamagedStreamTests {
  /// A stream with one record of each of Xen's types.
  private var whole: [UInt8] {
    var stream = MigrationStreamWriter()
    MigrationGlobal(socket: 3).append(to: &stream)
    MigrationConnection(id: 1, kind: .socket(descriptor: 4), input: [1, 2, 3], output: [4, 5], uniqueID: 6).append(to: &stream)
    MigrationWatch(connection: 1, path: Array("/a".utf8), token: Array("t".utf8)).append(to: &stream)
    MigrationWatch(connection: 1, path: Array("/b".utf8), token: Array("t".utf8), depth: 1).append(to: &stream)
    MigrationTransaction(connection: 1, transaction: 9).append(to: &stream)
    MigrationNode(path: Array("/a".utf8), value: [7], permissions: [XenStorePermission(.control, .read)]).append(to: &stream)
    MigrationGlobalQuotas(domainDefaults: [MigrationQuota("a", 1)]).append(to: &stream)
    MigrationDomain(domain: .control, quotas: [MigrationQuota("b", 2)]).append(to: &stream)
    return stream.finish()
  }

  private func readAll(_ bytes: [UInt8]) throws(MigrationFault) -> Int {
    var stream = try MigrationStreamReader(bytes)
    var count = 0
    while let record = try stream.next() {
      switch record.type {
      case .global: _ = try MigrationGlobal(record)
      case .connection: _ = try MigrationConnection(record)
      case .watch, .extendedWatch: _ = try MigrationWatch(record)
      case .transaction: _ = try MigrationTransaction(record)
      case .node: _ = try MigrationNode(record)
      case .globalQuotas: _ = try MigrationGlobalQuotas(record)
      case .domain: _ = try MigrationDomain(record)
      default: throw record.unknown
      }
      count += 1
    }
    return count
  }

  @Test func aWholeStreamHasEightRecords() throws { #expect(try readAll(whole) == 8) }

  @Test func everyCutIsNoticed() {
    let whole = whole
    for byteCount in 0..<whole.count {
      #expect(throws: MigrationFault.self, "cut to \(byteCount) bytes") { try readAll(Array(whole.prefix(byteCount))) }
    }
  }

  @Test func bytesBehindTheEndAreNoticed() {
    #expect(throws: MigrationFault.trailingBytes(offset: whole.count)) { try readAll(whole + [0]) }
  }

  @Test func anotherBeginningIsNoStream() {
    #expect(throws: MigrationFault.noStream) { try readAll(Array("xenstorf".utf8) + whole.dropFirst(8)) }
  }

  @Test func anUnknownVersionOrFlagIsRefused() {
    var bytes = whole
    bytes[11] = 3
    #expect(throws: MigrationFault.unknownVersion(3)) { try readAll(bytes) }
    bytes = whole
    bytes[15] = 2
    #expect(throws: MigrationFault.unknownFlags(2)) { try readAll(bytes) }
  }

  @Test func aLengthBeyondTheStreamAllocatesNothing() {
    var bytes = whole
    for index in 20..<24 { bytes[index] = 0xFF }
    #expect(throws: MigrationFault.truncated(offset: bytes.count)) { try readAll(bytes) }
  }

  /// Any byte may have any value: the reader throws or reads something, and never traps.
  @Test func noDamagedByteEndsTheProgram() {
    for index in whole.indices {
      for value in [0, 1, 0x7F, 0x80, 0xFE, 0xFF] as [UInt8] {
        var bytes = whole
        bytes[index] = value
        _ = try? readAll(bytes)
      }
    }
  }
}
