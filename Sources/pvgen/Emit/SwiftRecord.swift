/// Writes one record as a Swift structure of words with properties for its fields.
///
/// A Swift structure with one stored property a field would not have the C layout, and copying it field by field would read
/// shared memory in as many pieces as the optimiser likes. Words are copied once, in order; fields are cut out of the copy.
struct SwiftRecord {
  let layout: WordLayout

  private var record: Record { layout.record }
  private var description: ProtocolDescription { layout.description }

  func file() -> String {
    swiftFile(description) { file in
      if description.module != .xen {
        file.line("public import XenInterface")
        file.line()
      }
      file.comment(
        record.doc.asSentence + "\n\n`\(record.c)` (\(description.headers.joined(separator: ", "))), \(abiText), "
          + "\(layout.byteCount) bytes.")
      file.line("@frozen")
      file.block("public struct \(layout.swiftName): WireRecord") { body in
        storage(&body)
        for field in record.fields {
          body.line()
          property(field, &body)
        }
        body.line()
        equality(&body)
      }
      file.line()
      SwiftRecordText(layout: layout).emit(&file)
      SwiftRecordConversions(layout: layout).emit(&file)
    }
  }

  private var abiText: String {
    record.distinctABIs.count == 1 && record.sizes.count > 1 ? "the same in every layout" : layout.abi.rawValue + " layout"
  }

  private func storage(_ body: inout SourceText) {
    let bytes = layout.wordBytes
    body.line("@inlinable public static var byteCount: Int { \(layout.byteCount) }")
    body.line()
    body.line("@usableFromInline var words: InlineArray<\(layout.wordCount), \(layout.wordType)>")
    body.line()
    body.line("@inlinable public init() { words = InlineArray(repeating: 0) }")
    body.line()
    // Outlined, the copy would check its bounds again for every word.
    body.line("@inlinable @inline(__always)")
    body.block("public init<Source: WireSource & ~Copyable>(copying source: borrowing Source, at offset: Int)") { body in
      body.line("words = [")
      for index in 0..<layout.wordCount { body.line("  source.loadWord\(layout.wordBits)(at: \(at(index * bytes))),") }
      body.line("]")
    }
    body.line()
    body.line("@inlinable @inline(__always)")
    body.block("public func store<Sink: WireSink & ~Copyable>(to sink: borrowing Sink, at offset: Int)") { body in
      for index in 0..<layout.wordCount { body.line("sink.storeWord\(layout.wordBits)(words[\(index)], at: \(at(index * bytes)))") }
    }
  }

  private func at(_ offset: Int) -> String { offset == 0 ? "offset" : "offset &+ \(offset)" }

  private func documentation(_ field: Record.Field) -> String {
    var text = field.doc.asSentence
    if let unit = field.unit { text += " Unit: \(unit.withoutFullStop)." }
    return text + " C: `\(field.c)`, offset \(layout.offset(field))."
  }

  private func property(_ field: Record.Field, _ body: inout SourceText) {
    if let count = field.count {
      elements(field, count, &body)
    } else if let element = layout.element(field) {
      body.comment(documentation(field))
      body.line("@inlinable")
      body.block("public var \(Identifier.escaped(field.name)): \(element.swiftName)") { body in
        body.line("get { \(self.element(element, at: layout.offset(field))) }")
        body.block("set") { body in
          for (index, place) in words(of: element, at: layout.offset(field)).enumerated() {
            body.lines(layout.write("newValue.words[\(index)]", byteCount: element.wordBytes, at: place))
          }
        }
      }
    } else if let integer = field.type.integer {
      body.comment(documentation(field))
      body.line("@inlinable")
      body.block("public var \(Identifier.escaped(field.name)): \(swiftType(field))") { body in
        body.line("get { \(decoded(field, layout.read(byteCount: integer.byteCount, at: layout.offset(field)))) }")
        let writes = layout.write(encoded(field, "newValue"), byteCount: integer.byteCount, at: layout.offset(field))
        if writes.count == 1 {
          body.line("set { \(writes[0]) }")
        } else {
          body.block("set") { $0.lines(writes) }
        }
      }
    }
  }

  /// Array fields: a capacity, a getter and a setter by index. An index outside is our own mistake, so it traps.
  private func elements(_ field: Record.Field, _ count: Int, _ body: inout SourceText) {
    let capital = Identifier.capitalised(field.name)
    body.comment("Number of \(field.name) places, used or not.")
    body.line("@inlinable public static var \(field.name)Capacity: Int { \(count) }")
    body.line()
    body.comment(documentation(field) + "\n\n- Precondition: `index` is below `\(field.name)Capacity`; check a peer's count first.")
    let type = layout.element(field)?.swiftName ?? swiftType(field)
    body.line("@inlinable")
    body.block("public func \(Identifier.escaped(field.name))(at index: Int) -> \(type)") { body in
      body.line("precondition(index >= 0 && index < \(count), \"\(field.name) index out of range\")")
      getElement(field, type, &body)
    }
    body.line()
    body.comment("Sets the \(field.name) at `index`.\n\n- Precondition: `index` is below `\(field.name)Capacity`.")
    body.line("@inlinable")
    body.block("public mutating func set\(capital)(_ newValue: \(type), at index: Int)") { body in
      body.line("precondition(index >= 0 && index < \(count), \"\(field.name) index out of range\")")
      setElement(field, &body)
    }
  }

  /// Reads through a span: subscripting the array itself with a variable index copies the whole array for each element
  /// (measured: 39 ns for the eleven segments of a request, 21 ns through the span).
  private func getElement(_ field: Record.Field, _ type: String, _ body: inout SourceText) {
    body.line("let span = words.span")
    if let element = layout.element(field) {
      let first = layout.offset(field) / layout.wordBytes
      let step = element.byteCount / layout.wordBytes
      body.line("let first = \(first) &+ index\(step == 1 ? "" : " &* \(step)")")
      let parts = (0..<element.wordCount).map { index -> String in
        if element.wordBits == layout.wordBits { return "span[\(plus("first", index))]" }
        return "UInt64(span[\(plus("first", index * 2))]) | UInt64(span[\(plus("first", index * 2 + 1))]) &<< 32"
      }
      body.line("return \(type)(words: [\(parts.joined(separator: ", "))])")
    } else if let integer = field.type.integer {
      let bytes = integer.byteCount
      body.line("let place = \(layout.offset(field)) &+ index &* \(bytes)")
      let word = "span[place / \(layout.wordBytes)]"
      let bits = bytes == layout.wordBytes
        ? word : "UInt\(bytes * 8)(truncatingIfNeeded: \(word) &>> \(layout.wordType)(place % \(layout.wordBytes) &* 8))"
      body.line("return \(decoded(field, bits))")
    }
  }

  private func setElement(_ field: Record.Field, _ body: inout SourceText) {
    if let element = layout.element(field) {
      let first = layout.offset(field) / layout.wordBytes
      let step = element.byteCount / layout.wordBytes
      body.line("let first = \(first) &+ index\(step == 1 ? "" : " &* \(step)")")
      for index in 0..<element.wordCount {
        if element.wordBits == layout.wordBits {
          body.line("words[\(plus("first", index))] = newValue.words[\(index)]")
        } else {
          body.line("words[\(plus("first", index * 2))] = UInt32(truncatingIfNeeded: newValue.words[\(index)])")
          body.line("words[\(plus("first", index * 2 + 1))] = UInt32(truncatingIfNeeded: newValue.words[\(index)] &>> 32)")
        }
      }
    } else if let integer = field.type.integer {
      let bytes = integer.byteCount
      body.line("let place = \(layout.offset(field)) &+ index &* \(bytes)")
      if bytes == layout.wordBytes {
        body.line("words[place / \(layout.wordBytes)] = \(encoded(field, "newValue"))")
      } else {
        body.line("let shift = \(layout.wordType)(place % \(layout.wordBytes) &* 8)")
        let ones = "0x" + String(repeating: "f", count: bytes * 2)
        body.line("let others = words[place / \(layout.wordBytes)] & ~(\(layout.wordType)(\(ones)) &<< shift)")
        body.line("words[place / \(layout.wordBytes)] = others | \(layout.wordType)(\(encoded(field, "newValue"))) &<< shift")
      }
    }
  }

  private func plus(_ name: String, _ number: Int) -> String { number == 0 ? name : "\(name) &+ \(number)" }

  private func element(_ element: WordLayout, at offset: Int) -> String {
    let parts = words(of: element, at: offset).map { layout.read(byteCount: element.wordBytes, at: $0) }
    return "\(element.swiftName)(words: [\(parts.joined(separator: ", "))])"
  }

  private func words(of element: WordLayout, at offset: Int) -> [Int] {
    (0..<element.wordCount).map { offset + $0 * element.wordBytes }
  }

  private func swiftType(_ field: Record.Field) -> String {
    if case .identifier(let type) = field.type { return type.swiftName }
    return field.type.integer?.swiftName ?? field.type.name
  }

  private func decoded(_ field: Record.Field, _ bits: String) -> String {
    switch field.type {
    case .identifier(let type): "\(type.swiftName)(rawValue: \(bits))"
    case .integer(let type) where type.isSigned: "\(type.swiftName)(bitPattern: \(bits))"
    default: bits
    }
  }

  private func encoded(_ field: Record.Field, _ value: String) -> String {
    switch field.type {
    case .identifier: "\(value).rawValue"
    case .integer(let type) where type.isSigned: "\(type.swiftBitsName)(bitPattern: \(value))"
    default: value
    }
  }

  private func equality(_ body: inout SourceText) {
    body.line("@inlinable init(words: InlineArray<\(layout.wordCount), \(layout.wordType)>) { self.words = words }")
    body.line()
    body.line("@inlinable")
    body.block("public static func == (left: \(layout.swiftName), right: \(layout.swiftName)) -> Bool") { body in
      body.line("for index in 0..<\(layout.wordCount) where left.words[index] != right.words[index] { return false }")
      body.line("return true")
    }
  }
}
