import Testing
import Uring

@Suite struct InFlightTableTests {
  @Test func aLateCompletionNeverReachesTheNextUserOfItsSlot() {
    var table = InFlightTable(capacity: 1)
    let first = table.begin(.init(owner: 1, tag: 10))!
    #expect(table.begin(.init(owner: 2, tag: 20)) == nil, "the table is full")
    #expect(table.complete(first, isLast: true)?.tag == 10)
    let second = table.begin(.init(owner: 2, tag: 20))!
    #expect(first != second)
    #expect(table.complete(first, isLast: true) == nil, "stale")
    #expect(table.complete(second, isLast: false)?.owner == 2)
    #expect(table.complete(second, isLast: true)?.owner == 2)
    #expect(table.complete(second, isLast: true) == nil, "twice")
    #expect(table.complete(.max, isLast: true) == nil, "no such slot")
    #expect(table.count == 0)
  }

  @Test func everySlotIsReusedWithoutGrowing() {
    var table = InFlightTable(capacity: 8)
    for round in 0..<1000 {
      let tokens = (0..<8).map { table.begin(.init(owner: UInt32($0), tag: UInt64(round)))! }
      #expect(Set(tokens).count == 8)
      for token in tokens.shuffled() { #expect(table.complete(token, isLast: true)?.tag == UInt64(round)) }
    }
    #expect(table.capacity == 8)
  }
}
