/// Writes the text form of a record: every field with its value, for traces and test failures.
struct SwiftRecordText {
  let layout: WordLayout

  func emit(_ file: inout SourceText) {
    file.block("extension \(layout.swiftName): CustomStringConvertible") { body in
      body.comment("Every field and its value, in wire order. Not for the data path: it allocates.")
      body.block("public var description: String") { body in
        body.line("var text = \"\(layout.swiftName)(\"")
        for (index, field) in layout.record.fields.enumerated() {
          let comma = index == 0 ? "" : ", "
          let value = field.count == nil
            ? "\\(\(Identifier.escaped(field.name)))"
            : "\\((0..<\(layout.swiftName).\(field.name)Capacity).map { \(Identifier.escaped(field.name))(at: $0) })"
          body.line("text += \"\(comma)\(field.name): \(value)\"")
        }
        body.line("return text + \")\"")
      }
    }
  }
}
