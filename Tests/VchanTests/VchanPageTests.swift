import SharedMemory
import SharedRing
import Testing
@testable import Vchan
import XenInterface

@Suite struct VchanPageTests {
  /// As libxenvchan's server chooses them.
  @Test(arguments: [
    (0, 0, 10, 11), (1024, 2048, 10, 11), (1025, 1024, 11, 10), (2048, 1024, 11, 10), (2048, 2048, 11, 12), (2049, 2048, 12, 11),
    (4096, 100, 12, 11), (4097, 65536, 13, 16), (1 << 20, 1 << 20, 20, 20),
  ])
  func ringsAreAsLargeAsAskedForAndWithinThePageWherePossible(left: Int, right: Int, leftOrder: Int, rightOrder: Int) throws {
    let orders = try #require(VchanOrders(leftByteCount: left, rightByteCount: right))
    #expect((orders.left, orders.right) == (leftOrder, rightOrder))
  }

  @Test(arguments: [(1 << 20) + 1, -1, .max]) func ringsThatCannotBeAreRefused(byteCount: Int) {
    #expect(VchanOrders(leftByteCount: byteCount, rightByteCount: 1) == nil)
    #expect(VchanOrders(leftByteCount: 1, rightByteCount: byteCount) == nil)
  }

  @Test func aServersPageIsLaidOutAsXensHeaderSays() throws {
    let bytes = try SharedRegion(anonymousByteCount: 4096).bytes
    let data = try SharedRegion(anonymousByteCount: 3 * 4096).bytes
    var pair = VchanPage(bytes).initializedServer(
      VchanOrders(left: 12, right: 13), data: data, references: [8, 9, 10].map { GrantReference(rawValue: $0) })
    #expect(bytes.copyOut(at: 16, byteCount: 20) == [12, 0, 13, 0, 2, 1, 1, 0, 8, 0, 0, 0, 9, 0, 0, 0, 10, 0, 0, 0])
    #expect(try pair.producer.put([0xAA]) == 1)
    #expect(data.load8(at: 4096) == 0xAA, "right lies behind the page of left")
    #expect(bytes.load32(at: 12) == 1)
    #expect(pair.consumer.capacity == 4096)
    #expect(pair.producer.capacity == 8192)
  }

  @Test func theTwoEndsOfAPageTalk() throws {
    for orders in [VchanOrders(left: 10, right: 11), VchanOrders(left: 11, right: 10), VchanOrders(left: 12, right: 11), VchanOrders(left: 13, right: 12)] {
      let bytes = try SharedRegion(anonymousByteCount: 4096).bytes
      let count = max(1, orders.pageCounts.left + orders.pageCounts.right)
      let data = try SharedRegion(anonymousByteCount: count * 4096).bytes
      let references = (0..<orders.pageCounts.left + orders.pageCounts.right).map { GrantReference(rawValue: UInt32($0) + 20) }
      let page = VchanPage(bytes)
      var server = page.initializedServer(orders, data: data, references: references)
      #expect(page.liveness(of: .client) == .expected)
      let seen = try #require(page.readOrders())
      #expect(seen == orders)
      #expect(page.readReferences(seen) == references)
      var client = page.client(seen, data: data)
      #expect(page.liveness(of: .client) == .connected)
      #expect(client.notification.mustSignal(.written), "the server waits for bytes")
      let upward = [UInt8](repeating: 1, count: 5000)
      let downward = [UInt8](repeating: 2, count: 9000)
      let up = try client.producer.put(upward)
      let down = try server.producer.put(downward)
      #expect(up == min(5000, 1 << orders.left))
      #expect(down == min(9000, 1 << orders.right))
      var buffer = [UInt8](repeating: 0, count: 10_000)
      #expect(try server.consumer.take(into: &buffer, limit: 10_000) == up)
      #expect(buffer[..<up].allSatisfy { $0 == 1 })
      #expect(try client.consumer.take(into: &buffer, limit: 10_000) == down)
      #expect(buffer[..<down].allSatisfy { $0 == 2 })
      page.leave(.server)
      #expect(page.liveness(of: .server) == .gone)
    }
  }

  /// XSA-86: what the other end says of its rings is checked.
  @Test(arguments: [(0, 10), (9, 11), (10, 10), (11, 11), (21, 12), (12, 21), (65535, 11), (10, 65535)] as [(UInt16, UInt16)])
  func ordersThatNoVchanHasAreRefused(left: UInt16, right: UInt16) throws {
    let bytes = try SharedRegion(anonymousByteCount: 4096).bytes
    bytes.store16(left, at: VchanInterfaceLayout.leftOrderOffset)
    bytes.store16(right, at: VchanInterfaceLayout.rightOrderOffset)
    #expect(VchanPage(bytes).readOrders() == nil)
  }

  @Test func everyPairOfOrdersIsRefusedOrFitsItsPage() throws {
    let bytes = try SharedRegion(anonymousByteCount: 4096).bytes
    for left in UInt16(0)...64 {
      for right in UInt16(0)...64 {
        bytes.store16(left, at: VchanInterfaceLayout.leftOrderOffset)
        bytes.store16(right, at: VchanInterfaceLayout.rightOrderOffset)
        guard let orders = VchanPage(bytes).readOrders() else { continue }
        #expect(VchanPage(bytes).readReferences(orders).count == orders.pageCounts.left + orders.pageCounts.right)
      }
    }
  }

  @Test func aLivenessThatDoesNotExistIsThatOfAnEndThatLeft() throws {
    let bytes = try SharedRegion(anonymousByteCount: 4096).bytes
    bytes.store8(77, at: VchanInterfaceLayout.serverLiveOffset)
    #expect(VchanPage(bytes).liveness(of: .server) == .gone)
  }
}
