import TestSupport
import Testing
@testable import XenStoreCore
import XenStoreWire

@Suite struct NameTableTests {
  private func name(_ text: String) throws -> XenStoreName { try #require(try XenStorePath("/" + text).lastName) }

  @Test(arguments: ["a", "abcdefg", "abcdefgh", "abcdefghi", "0123456789abcde", "0123456789abcdef", "0123456789abcdefg", String(repeating: "x", count: 300)])
  func aNameOfAnyLengthKeepsItsText(_ text: String) throws {
    let name = try name(text)
    #expect(name.text == text)
    #expect(name.byteCount == text.utf8.count)
    var bytes: [UInt8] = [0]
    name.append(to: &bytes)
    #expect(bytes == [0] + Array(text.utf8))
  }

  @Test func namesAreOrderedAsTheirBytes() throws {
    var random = SeededGenerator(seed: 7)
    let texts = (0..<400).map { _ in
      String((0..<Int.random(in: 1...40, using: &random)).map { _ in "ab@".randomElement(using: &random)! })
    }
    let sorted = try texts.map(name).sorted().map(\.text)
    #expect(sorted == texts.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
  }

  @Test(arguments: [1, 2, 3] as [UInt64])
  func aTableDoesAsADictionary(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    var table = NameTable<Int>()
    var model: [XenStoreName: Int] = [:]
    var copies: [(NameTable<Int>, [XenStoreName: Int])] = []
    let names = try (0..<700).map { try name("n\($0)") }
    for step in 0..<20_000 {
      let name = names.randomElement(using: &random)!
      // Grows for a while, then shrinks: chunks are split and merged.
      if Int.random(in: 0..<10, using: &random) < (step / 4000 % 2 == 0 ? 7 : 3) {
        table.set(step, named: name)
        model[name] = step
      } else {
        #expect(table.remove(name) == model.removeValue(forKey: name))
      }
      if step % 1999 == 0 { copies.append((table, model)) }
    }
    copies.append((table, model))
    for (table, model) in copies {
      #expect(table.count == model.count)
      #expect(table.entries.map(\.name) == model.keys.sorted())
      #expect(names.allSatisfy { table[$0] == model[$0] })
    }
  }
}
