import Foundation

/// The layer table of `docs/architecture.md`: one target a row, from the lowest to the highest.
struct LayerTable {
  struct Row: Sendable {
    let layer: String
    let target: String
    let summary: String
  }

  let rows: [Row]

  static let documented = LayerTable(markdown: (try? Repository.text(of: "docs/architecture.md")) ?? "")

  init(markdown: String) {
    let lines = markdown.split(separator: "\n", omittingEmptySubsequences: false)
    let header = lines.firstIndex { Self.cells(of: $0).map { $0.lowercased() } == ["layer", "target", "one line"] }
    guard let header else {
      rows = []
      return
    }
    rows = lines[(header + 2)...].prefix { $0.hasPrefix("|") }.compactMap { line in
      let cells = Self.cells(of: line)
      guard cells.count == 3 else { return nil }
      return Row(layer: cells[0], target: cells[1].trimmingCharacters(in: ["`"]), summary: cells[2])
    }
  }

  private static func cells(of line: Substring) -> [String] {
    line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
  }
}
