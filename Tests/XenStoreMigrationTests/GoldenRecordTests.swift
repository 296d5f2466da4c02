import Testing
import XenInterface
import XenStoreMigration
import XenStoreWire

/// The bytes of Xen's document (docs/designs/xenstore-migration.md), written down by hand.
struct GoldenRecordTests {
  /// What a stream with one record looks like: header, record, end.
  private func stream(_ record: [UInt8]) -> [UInt8] {
    Array("xenstore".utf8) + [0, 0, 0, 2, 0, 0, 0, 0] + record + [0, 0, 0, 0, 0, 0, 0, 0]
  }

  private func written(_ append: (inout MigrationStreamWriter) -> Void) -> [UInt8] {
    var writer = MigrationStreamWriter()
    append(&writer)
    return writer.finish()
  }

  private func onlyRecord(_ bytes: [UInt8]) throws -> MigrationRecord {
    var reader = try MigrationStreamReader(bytes)
    let record = try #require(try reader.next())
    #expect(try reader.next() == nil)
    return record
  }

  @Test func anEmptyStreamIsHeaderAndEnd() throws {
    let bytes = MigrationStreamWriter().finish()
    #expect(bytes == stream([]))
    var reader = try MigrationStreamReader(bytes)
    #expect(try reader.next() == nil)
  }

  @Test func globalDataHoldsTwoDescriptors() throws {
    let golden = stream([1, 0, 0, 0, 8, 0, 0, 0, 5, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF])
    let value = MigrationGlobal(socket: 5)
    #expect(written { value.append(to: &$0) } == golden)
    #expect(try MigrationGlobal(onlyRecord(golden)) == value)
  }

  @Test func aSocketConnectionHoldsItsDescriptorAndWhatIsOnTheWay() throws {
    let golden = stream(
      [2, 0, 0, 0, 29, 0, 0, 0] + [7, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0] + [2, 0, 1, 0, 3, 0, 0, 0] + [0xA, 0xB, 0xC, 0xD, 0xE] + [0, 0, 0])
    let value = MigrationConnection(
      id: 7, kind: .socket(descriptor: 9), input: [0xA, 0xB], partialOutputByteCount: 1, output: [0xC, 0xD, 0xE])
    #expect(written { value.append(to: &$0) } == golden)
    #expect(try MigrationConnection(onlyRecord(golden)) == value)
  }

  @Test func aRingConnectionHoldsItsDomainsAndPortAndAlignsItsUniqueNumber() throws {
    let golden = stream(
      [2, 0, 0, 0, 40, 0, 0, 0] + [1, 0, 0, 0, 0, 0, 1, 0, 3, 0, 0xF4, 0x7F, 12, 0, 0, 0] + [1, 0, 0, 0, 0, 0, 0, 0] + [0xA, 0, 0, 0, 0, 0, 0, 0]
        + [8, 7, 6, 5, 4, 3, 2, 1])
    let value = MigrationConnection(
      id: 1, kind: .ring(domain: DomainID(rawValue: 3), target: nil, port: 12), input: [0xA], uniqueID: 0x0102_0304_0506_0708)
    #expect(written { value.append(to: &$0) } == golden)
    #expect(try MigrationConnection(onlyRecord(golden)) == value)
  }

  @Test func aWatchCountsTheNULsOfItsPathAndToken() throws {
    let golden = stream([3, 0, 0, 0, 13, 0, 0, 0] + [2, 0, 0, 0, 3, 0, 2, 0] + [0x2F, 0x61, 0, 0x74, 0] + [0, 0, 0])
    let value = MigrationWatch(connection: 2, path: Array("/a".utf8), token: Array("t".utf8))
    #expect(written { value.append(to: &$0) } == golden)
    #expect(try MigrationWatch(onlyRecord(golden)) == value)
  }

  @Test func aWatchWithADepthIsAnExtendedOne() throws {
    let golden = stream([8, 0, 0, 0, 16, 0, 0, 0] + [2, 0, 0, 0, 3, 0, 1, 0, 4, 0, 0, 0] + [0x2F, 0x61, 0, 0])
    let value = MigrationWatch(connection: 2, path: Array("/a".utf8), token: [], depth: 4)
    #expect(written { value.append(to: &$0) } == golden)
    #expect(try MigrationWatch(onlyRecord(golden)) == value)
  }

  @Test func anExtendedWatchOfUnlimitedDepthHasNone() throws {
    let bytes = stream([8, 0, 0, 0, 16, 0, 0, 0] + [2, 0, 0, 0, 3, 0, 1, 0, 0xFF, 0xFF, 0, 0] + [0x2F, 0x61, 0, 0])
    #expect(try MigrationWatch(onlyRecord(bytes)).depth == nil)
  }

  @Test func aTransactionNamesItsConnection() throws {
    let golden = stream([4, 0, 0, 0, 8, 0, 0, 0, 2, 0, 0, 0, 77, 0, 0, 0])
    let value = MigrationTransaction(connection: 2, transaction: 77)
    #expect(written { value.append(to: &$0) } == golden)
    #expect(try MigrationTransaction(onlyRecord(golden)) == value)
  }

  @Test func aNodeHoldsItsPermissionsAsLettersAndItsValueAsItIs() throws {
    let golden = stream(
      [5, 0, 0, 0, 29, 0, 0, 0] + [0, 0, 0, 0, 0, 0, 0, 0] + [3, 0, 2, 0, 0, 0, 2, 0] + [0x6E, 0, 0, 0, 0x62, 0, 5, 0] + [0x2F, 0x61, 0, 0, 0xFF]
        + [0, 0, 0])
    let value = MigrationNode(
      path: Array("/a".utf8), value: [0, 0xFF],
      permissions: [XenStorePermission(.control, .none), XenStorePermission(DomainID(rawValue: 5), .readWrite)])
    #expect(written { value.append(to: &$0) } == golden)
    #expect(try MigrationNode(onlyRecord(golden)) == value)
  }

  @Test func aNodeOfATransactionSaysHowItWasLookedAt() throws {
    let golden = stream(
      [5, 0, 0, 0, 23, 0, 0, 0] + [2, 0, 0, 0, 77, 0, 0, 0] + [3, 0, 0, 0, 3, 0, 1, 0] + [0x72, 0, 6, 0] + [0x2F, 0x61, 0] + [0])
    let value = MigrationNode(
      path: Array("/a".utf8), value: [], permissions: [XenStorePermission(DomainID(rawValue: 6), .read)], connection: 2, transaction: 77,
      access: [.read, .written])
    #expect(written { value.append(to: &$0) } == golden)
    #expect(try MigrationNode(onlyRecord(golden)) == value)
  }

  @Test func globalQuotasListValuesBeforeNames() throws {
    let golden = stream(
      [6, 0, 0, 0, 18, 0, 0, 0] + [1, 0, 1, 0, 128, 0, 0, 0, 0, 0, 0, 0] + [0x61, 0x62, 0, 0x63, 0x64, 0] + [0, 0, 0, 0, 0, 0])
    let value = MigrationGlobalQuotas(domainDefaults: [MigrationQuota("ab", 128)], global: [MigrationQuota("cd", 0)])
    #expect(written { value.append(to: &$0) } == golden)
    #expect(try MigrationGlobalQuotas(onlyRecord(golden)) == value)
  }

  @Test func aDomainHasFeaturesAndQuotas() throws {
    let golden = stream([7, 0, 0, 0, 14, 0, 0, 0] + [9, 0, 1, 0, 3, 0, 0, 0, 10, 0, 0, 0] + [0x61, 0] + [0, 0])
    let value = MigrationDomain(domain: DomainID(rawValue: 9), features: 3, quotas: [MigrationQuota("a", 10)])
    #expect(written { value.append(to: &$0) } == golden)
    #expect(try MigrationDomain(onlyRecord(golden)) == value)
  }

  @Test func aBigEndianStreamIsReadToo() throws {
    let bytes = Array("xenstore".utf8) + [0, 0, 0, 1, 0, 0, 0, 1] + [0, 0, 0, 4, 0, 0, 0, 8] + [0, 0, 0, 2, 0, 0, 0, 77] + [UInt8](repeating: 0, count: 8)
    #expect(try MigrationTransaction(onlyRecord(bytes)) == MigrationTransaction(connection: 2, transaction: 77))
  }
}
