import SharedMemory
import Testing

@Suite struct FixedObjectsTests {
  private final class Counter { var living = 0 }
  private final class Guest {
    let counter: Counter
    let index: Int
    init(_ counter: Counter, _ index: Int) {
      self.counter = counter
      self.index = index
      counter.living += 1
    }
    deinit { counter.living -= 1 }
  }

  @Test func lendsItsObjectsAndLetsThemGoWithItself() {
    let counter = Counter()
    var kept: Guest?
    do {
      let table = FixedObjects(count: 3) { Guest(counter, $0) }
      #expect(counter.living == 3 && table.count == 3)
      #expect((0..<3).map { table.withObject($0) { $0.index } } == [0, 1, 2])
      kept = table[1]
    }
    #expect(counter.living == 1 && kept?.index == 1, "who took one keeps it")
    kept = nil
    #expect(counter.living == 0)
  }

  @Test(arguments: [-1, 4, Int.max] as [Int])
  func trapsOutsideItself(index: Int) async {
    await #expect(processExitsWith: .failure) { [index] in
      let table = FixedObjects(count: 4) { _ in Counter() }
      table.withObject(index) { $0.living += 1 }
    }
  }
}
