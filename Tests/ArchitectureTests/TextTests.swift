import Foundation
import Testing

/// What holds for every text file of the repository.
@Suite struct TextTests {
  /// Files that may be longer than ``maximumLineCount``, with the reason.
  static let longFiles: [String: String] = [:]
  static let maximumLineCount = 500

  @Test func theRepositorysFilesAreFound() {
    let paths = Set(Repository.files.map(\.path))
    #expect(paths.count > 300)
    for path in ["Package.swift", "README.md", "Makefile", ".ci/run", "docs/architecture.md", "Sources/pvio/Pvio.swift"] {
      if !paths.contains(path) { Issue.record("\(path) was not found") }
    }
  }

  @Test func sourceFilesAreShortEnoughToRead() {
    for file in Repository.swiftFiles(under: "Sources") + Repository.swiftFiles(under: "Tests") where Self.longFiles[file.path] == nil {
      let count = file.lines.count
      #expect(count <= Self.maximumLineCount, "\(file) is too long: split it by aspect")
    }
  }

  @Test func noFileNamesAPlaceOnSomebodysMachine() {
    // In two parts, so that this file passes its own test.
    let places = ["work", "home", "Users"].map { "/" + $0 + "/" }
    for file in Repository.files {
      for (index, line) in file.lines.enumerated() where places.contains(where: line.contains) {
        Issue.record("\(file):\(index + 1): an absolute path of one machine")
      }
    }
  }

  @Test func noFileHasNotesToSelf() {
    let notes = ["TO" + "DO", "FIX" + "ME"]
    for file in Repository.files {
      for (index, line) in file.lines.enumerated() where notes.contains(where: line.contains) {
        Issue.record("\(file):\(index + 1): unfinished work belongs in an issue")
      }
    }
  }

  @Test func linksBetweenPagesLeadSomewhere() {
    for page in Repository.files where page.path.hasSuffix(".md") {
      let folder = (page.path as NSString).deletingLastPathComponent
      for link in page.relativeLinks {
        let path = ((folder as NSString).appendingPathComponent(link) as NSString).standardizingPath
        #expect(Repository.exists(path), "\(page): nothing is at \(link)")
      }
    }
  }

  @Test func scriptsStartWithAnInterpreterAndCanBeRun() {
    for file in Repository.files where file.path.hasSuffix(".sh") || file.path == ".ci/run" {
      if !file.text.hasPrefix("#!") { Issue.record("\(file) does not say who interprets it") }
      let path = Repository.root.appendingPathComponent(file.path).path
      #expect(FileManager.default.isExecutableFile(atPath: path), "\(file) is not executable")
    }
  }
}

extension Repository.File {
  /// Targets of Markdown links that are neither URLs nor places within the page, without what follows `#`.
  var relativeLinks: [String] {
    var links: [String] = []
    var rest = text[...]
    while let start = rest.range(of: "](") {
      rest = rest[start.upperBound...]
      let link = rest.prefix { $0 != ")" && $0 != "\n" }
      if link.contains("://") || link.hasPrefix("#") || link.hasPrefix("mailto:") { continue }
      links.append(String(link.prefix { $0 != "#" }))
    }
    return links
  }
}
