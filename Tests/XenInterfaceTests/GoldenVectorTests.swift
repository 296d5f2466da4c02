import Foundation
import Testing
import XenInterface

@Suite struct GoldenVectorTests {
  private func vectors() throws -> [GoldenVector] {
    var vectors: [GoldenVector] = []
    for file in try PackageFiles.vectorFiles() {
      let place = file.deletingLastPathComponent().lastPathComponent
      let text = try String(contentsOf: file, encoding: .utf8)
      for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
        guard !line.isEmpty, !line.hasPrefix("#") else { continue }
        vectors.append(try #require(GoldenVector(String(line), place: "\(place):\(index + 1)"), "\(place):\(index + 1) is malformed"))
      }
    }
    return vectors
  }

  @Test func everyVectorDecodesToItsFieldsAndEncodesToItsBytes() throws {
    for vector in try vectors() {
      let table = try #require(
        vectorTables.first { $0.record == vector.record && $0.abi == vector.abi }, "\(vector): no such record")
      #expect(table.mismatches(vector) == [], "\(vector)")
    }
  }

  @Test func everyRecordHasAVectorInEveryLayout() throws {
    let covered = Set(try vectors().map { "\($0.record) \($0.abi)" })
    #expect(vectorTables.filter { !covered.contains("\($0.record) \($0.abi)") }.map(\.record) == [])
  }

  @Test func everyFieldIsNonzeroInSomeVector() throws {
    let vectors = try vectors()
    for table in vectorTables {
      let mine = vectors.filter { $0.record == table.record && $0.abi == table.abi }
      let untested = table.fieldNames.filter { name in !mine.contains { $0.values[name, default: 0] != 0 } }
      #expect(untested == [], "\(table.record) \(table.abi)")
    }
  }

  @Test func aWrongByteIsFound() throws {
    let vector = try #require(GoldenVector("XenStoreHeader x86_64 type=2 = 03000000000000000000000000000000", place: "here"))
    let table = try #require(vectorTables.first { $0.record == "XenStoreHeader" })
    #expect(table.mismatches(vector).contains("type decodes as 3, expected 2"))
  }
}
