/// Source text under construction: lines with indentation and wrapped comments.
struct SourceText {
  private(set) var text = ""
  private var depth = 0
  /// Columns that comments are wrapped at.
  private static let width = 130

  mutating func line(_ content: String = "") {
    text += content.isEmpty ? "\n" : String(repeating: "  ", count: depth) + content + "\n"
  }

  mutating func lines(_ contents: [String]) { for content in contents { line(content) } }

  /// `header {`, the body one step deeper, `}`.
  mutating func block(_ header: String, close: String = "}", _ body: (inout SourceText) -> Void) {
    line(header + " {")
    depth += 1
    body(&self)
    depth -= 1
    line(close)
  }

  /// A comment, wrapped, every line behind `marker`.
  mutating func comment(_ content: String, marker: String = "///") {
    let room = SourceText.width - depth * 2 - marker.count - 1
    for paragraph in content.split(separator: "\n", omittingEmptySubsequences: false) {
      guard !paragraph.isEmpty else {
        line(marker)
        continue
      }
      var current = ""
      for word in paragraph.split(separator: " ") {
        if !current.isEmpty && current.count + 1 + word.count > room {
          line("\(marker) \(current)")
          current = ""
        }
        current += current.isEmpty ? word : " " + word
      }
      line("\(marker) \(current)")
    }
  }
}

extension String {
  /// The text with a full stop at its end.
  var asSentence: String { hasSuffix(".") || hasSuffix(":") ? self : self + "." }

  /// The text without a full stop at its end.
  var withoutFullStop: String { hasSuffix(".") ? String(dropLast()) : self }
}
