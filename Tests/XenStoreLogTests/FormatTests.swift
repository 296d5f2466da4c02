import Testing
import XenInterface
import XenStoreCore
@testable import XenStoreLog
import XenStoreWire

@Suite struct FormatTests {
  @Test func theChecksumIsCRC32C() {
    // The check value of the CRC catalogue, and one of RFC 3720 (32 bytes of zeros).
    #expect(CRC32C.of(Array("123456789".utf8), in: 0..<9) == 0xE306_9283)
    #expect(CRC32C.of([UInt8](repeating: 0, count: 32), in: 0..<32) == 0x8A91_36AA)
  }

  @Test func theChecksumIsTheSameInPieces() {
    let bytes = (0..<100).map { UInt8(truncatingIfNeeded: $0 * 37) }
    for split in 0...100 {
      var sum = CRC32C()
      sum.add(bytes.span, in: 0..<split)
      sum.add(bytes.span, in: split..<100)
      #expect(sum.value == CRC32C.of(bytes, in: 0..<100))
    }
  }

  @Test func everyChangeComesBackAsItWas() throws {
    let path = try XenStorePath("/local/domain/7/data/a-long-name-that-is-not-inline")
    let permissions = [XenStorePermission(.control, .none), XenStorePermission(DomainID(rawValue: 7), .readWrite)]
    let changes: [XenStoreChange] = [
      .node(path, value: [0, 255, 10], permissions: permissions), .node(.root, value: [], permissions: permissions),
      .value(path, []), .value(path, [UInt8](repeating: 7, count: 4096)), .permissions(path, permissions), .removal(path),
      .specialPermissions(name: "@releaseDomain", permissions), .introduction(DomainID(rawValue: 7)), .release(DomainID(rawValue: 65535)),
      .target(stub: DomainID(rawValue: 1), DomainID(rawValue: 2)), .target(stub: DomainID(rawValue: 1), nil),
      .quota(nil, .transactionNodes, 0), .quota(DomainID(rawValue: 9), .nodes, 123), .features(DomainID(rawValue: 3), 5),
    ]
    let commit = XenStoreCommit(sequence: 5, generation: .max, changes: changes)
    var bytes: [UInt8] = []
    ChangeCoding.append(commit, to: &bytes)
    var reader = RecordReader(bytes, in: 0..<bytes.count)
    #expect(ChangeCoding.commit(sequence: 5, from: &reader) == commit)
    #expect(reader.isAtEnd)
    for end in 0..<bytes.count {
      var reader = RecordReader(bytes, in: 0..<end)
      #expect(ChangeCoding.commit(sequence: 5, from: &reader) == nil)
    }
  }

  @Test func aFrameWithAnyByteChangedIsNoFrame() throws {
    var bytes = [UInt8](repeating: 0, count: Frame.headerByteCount) + Array("payload".utf8)
    Frame.complete(&bytes, identity: 99, kind: .commits, sequence: 3, entryCount: 1)
    #expect(bytes.count % Frame.alignment == 0)
    let frame = try #require(Frame(in: bytes, at: 0, identity: 99))
    #expect(frame.sequence == 3 && frame.entryCount == 1 && frame.kind == .commits && bytes[frame.payload] == Array("payload".utf8)[...])
    #expect(Frame(in: bytes, at: 0, identity: 98) == nil)
    for index in 0..<frame.payload.upperBound {
      for bit in 0..<8 {
        var changed = bytes
        changed[index] ^= 1 << bit
        #expect(Frame(in: changed, at: 0, identity: 99) == nil, "byte \(index), bit \(bit)")
      }
    }
  }

  @Test func aHeaderOfALaterFormatIsNamedAsSuch() {
    var bytes = FileHeader(kind: .log, number: 1, initialByteCount: 4096).encoded
    bytes[8] = 2
    #expect(throws: FileHeader.Problem.self) { try FileHeader(bytes, kind: .log) }
    do {
      _ = try FileHeader(bytes, kind: .log)
    } catch {
      guard case .version(2) = error else { return #expect(Bool(false), "\(error)") }
    }
  }
}
