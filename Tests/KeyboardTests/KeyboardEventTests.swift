import KeyboardDriver
import Testing
import XenInterface

/// Lines of text, and the kernel's input events.
@Suite struct KeyboardEventTests {
  @Test(arguments: ["key 30 1", "key 272 0", "motion 3 -2 0", "position 100 200 -1", "motion -2147483648 2147483647 0"])
  func aLineIsAnEventAndAnEventIsALine(line: String) {
    #expect(KeyboardEvent(line: line)?.line == line)
  }

  @Test(arguments: ["", "key", "key 30", "key 30 2", "key -1 1", "motion 1 2", "motion 1 2 x", "motion 99999999999 0 0", "touch 1 2 3"])
  func anythingElseIsNone(line: String) {
    #expect(KeyboardEvent(line: line) == nil)
  }

  @Test func eventsOfTypesThatNobodyKnowsHaveNoLine() {
    for type in UInt8.min...UInt8.max where ![1, 3, 4].contains(type) {
      var event = KeyboardEvent()
      event.type = type
      #expect(event.line == nil)
    }
  }

  private func record(_ type: UInt16, _ code: UInt16, _ value: Int32) -> [UInt8] {
    [UInt8](repeating: 9, count: 16) + [type, code].flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] }
      + (0..<4).map { UInt8(truncatingIfNeeded: UInt32(bitPattern: value) >> UInt32(8 * $0)) }
  }

  @Test(arguments: [1, 7, 24, 1000]) func whatTheKernelSaysComesOutWhereverItIsCut(piece: Int) {
    let stream =
      record(1, 30, 1) + record(0, 0, 0) + record(1, 30, 2) + record(1, 30, 0) + record(2, 0, 3) + record(2, 1, -2) + record(2, 8, 1)
      + record(0, 0, 0) + record(0, 0, 0) + record(3, 0, 640) + record(3, 1, 480) + record(0, 0, 0) + record(4, 4, 458_756)
    var translation = EvdevTranslation()
    var lines: [String] = []
    for start in stride(from: 0, to: stream.count, by: piece) {
      lines += translation.events(from: Array(stream[start..<min(stream.count, start + piece)])).compactMap(\.line)
    }
    #expect(lines == ["key 30 1", "key 30 0", "motion 3 -2 -1", "position 640 480 0"])
  }
}
