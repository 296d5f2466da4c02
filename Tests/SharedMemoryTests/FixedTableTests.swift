import SharedMemory
import Testing

@Suite struct FixedTableTests {
  private final class Counter { var living = 0 }
  private final class Guest {
    let counter: Counter
    init(_ counter: Counter) {
      self.counter = counter
      counter.living += 1
    }
    deinit { counter.living -= 1 }
  }

  @Test func keepsRecordsAndLetsThemGoWithItself() {
    let counter = Counter()
    do {
      let table = FixedTable(count: 3) { _ in Guest(counter) }
      #expect(counter.living == 3)
      table[1] = Guest(counter)
      #expect(counter.living == 3)
      let cell = FixedCell((0, Guest(counter)))
      cell.value.0 += 5
      #expect(cell.value.0 == 5)
    }
    #expect(counter.living == 0)
  }

  @Test(arguments: [-1, 4, Int.max] as [Int])
  func trapsOutsideItself(index: Int) async {
    await #expect(processExitsWith: .failure) { [index] in
      let table = FixedTable(repeating: 0, count: 4)
      table[index] = 1
    }
  }
}
