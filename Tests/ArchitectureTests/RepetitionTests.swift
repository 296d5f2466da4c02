import Testing

/// What two devices share lives in PVDriver: no code is written twice in two folders of `Sources/Devices`.
@Suite struct RepetitionTests {
  /// So many lines that say the same are no chance.
  static let runLength = 6

  /// Where code stands.
  struct Place: Hashable, CustomStringConvertible {
    var path: String
    var line: Int
    var description: String { "\(path):\(line)" }
  }

  /// The first lines of runs that stand in two of `folders`; of a longer run, only where it begins.
  static func repetitions(in folders: [[Repository.File]]) -> [(Place, Place)] {
    var known: [[String]: (folder: Int, place: Place)] = [:]
    var found: [(Place, Place)] = []
    for (folder, files) in folders.enumerated() {
      for file in files {
        let lines = file.significantLines
        var wasFound = false
        for start in lines.indices.dropLast(runLength - 1) {
          let run = lines[start..<start + runLength].map(\.text)
          let place = Place(path: file.path, line: lines[start].number)
          guard let other = known[run], other.folder != folder else {
            if known[run] == nil { known[run] = (folder, place) }
            wasFound = false
            continue
          }
          if !wasFound { found.append((other.place, place)) }
          wasFound = true
        }
      }
    }
    return found
  }

  @Test func theSameLinesInTwoFoldersAreFoundWhereverTheyAreIndented() {
    let lines = (0..<Self.runLength).map { "let value\($0) = compute(\($0))" }
    let first = Repository.File(path: "A/One.swift", text: (["import A", "struct One {"] + lines + ["}"]).joined(separator: "\n"))
    let second = Repository.File(path: "B/Two.swift", text: (lines.map { "  " + $0 } + ["lastly()"]).joined(separator: "\n"))
    #expect(Self.repetitions(in: [[first], [second]]).map { "\($0.0) ~ \($0.1)" } == ["A/One.swift:3 ~ B/Two.swift:1"])
    #expect(Self.repetitions(in: [[first, second]]).isEmpty, "a folder may say to itself what it likes")
  }

  @Test func linesThatSayNothingAreNotCounted() {
    let lines = ["import A", "public import B", "// what follows", "{", "}", "", "])", "/// - Parameter a: b"] + (1..<Self.runLength).map { "line\($0)()" }
    let file = Repository.File(path: "A", text: lines.joined(separator: "\n"))
    #expect(file.significantLines.count == Self.runLength - 1)
    #expect(Self.repetitions(in: [[file], [file]]).isEmpty)
  }

  @Test func noCodeIsRepeatedBetweenDeviceFolders() {
    let root = "Sources/Devices"
    let folders = Repository.names(in: root).sorted().map { Repository.swiftFiles(under: "\(root)/\($0)").filter { !$0.path.contains("/Generated/") } }
    #expect(folders.count > 5, "the devices' folders were not found")
    for (first, second) in Self.repetitions(in: folders) {
      Issue.record("\(second) repeats \(first): what two devices share belongs in PVDriver")
    }
  }

  @Test func noDeviceWritesAgainWhatPVDriverHas() {
    let shared = Repository.swiftFiles(under: "Sources/PVDriver")
    let devices = Repository.swiftFiles(under: "Sources/Devices").filter { !$0.path.contains("/Generated/") }
    for (first, second) in Self.repetitions(in: [shared, devices]) { Issue.record("\(second) repeats \(first): it can be used from there") }
  }
}

extension Repository.File {
  /// The lines that say something, without comments, imports, and lines of punctuation alone; white space at their ends is left out.
  var significantLines: [(number: Int, text: String)] {
    code.compactMap { number, text in
      let words = text.split(separator: " ")
      guard text.contains(where: { $0.isLetter || $0.isNumber }), !words.prefix(3).contains("import") else { return nil }
      return (number, words.joined(separator: " "))
    }
  }
}
