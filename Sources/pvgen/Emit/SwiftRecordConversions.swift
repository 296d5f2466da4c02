/// Writes the conversions of a record: between a slot and the message it holds, and between ABIs.
///
/// None of them touches shared memory: they work on the one copy that was taken.
struct SwiftRecordConversions {
  let layout: WordLayout

  private var record: Record { layout.record }
  private var description: ProtocolDescription { layout.description }

  func emit(_ file: inout SourceText) {
    let overlays = description.records.filter { $0.overlay?.record == record.name }
    let hasTwin = record.distinctABIs.count > 1
    if let overlay = record.overlay, let slot = description.record(named: overlay.record) { fromSlot(slot, &file) }
    if !overlays.isEmpty { fromOverlays(overlays, &file) }
    if hasTwin { fromTwin(&file) }
    if layout.abi == .x8664, hasTwin, let overlay = record.overlay, let slot = description.record(named: overlay.record) {
      fromForeignSlot(slot, &file)
    }
    if layout.abi == .x8664, hasTwin, !overlays.isEmpty { translatingSlot(overlays, &file) }
  }

  /// `init(slot:)`: the message that an already copied slot holds.
  private func fromSlot(_ slot: Record, _ file: inout SourceText) {
    let source = WordLayout(slot, layout.abi, description)
    file.line()
    file.block("extension \(layout.swiftName)") { body in
      body.comment("The \(layout.swiftName) that a slot holds, from the copy that was already taken of it: memory is not read again.")
      body.line("@inlinable")
      body.block("public init(slot: \(source.swiftName))") { body in
        body.line("words = [")
        for index in 0..<layout.wordCount { body.line("  \(word(index, of: "slot", in: source)),") }
        body.line("]")
      }
    }
  }

  /// `init(_:)` of a slot from a message that shares it; the rest of the slot is zero.
  private func fromOverlays(_ overlays: [Record], _ file: inout SourceText) {
    for overlay in overlays {
      let source = WordLayout(overlay, layout.abi, description)
      file.line()
      file.block("extension \(layout.swiftName)") { body in
        body.comment("A slot that holds `message`; bytes that it does not define are zero.")
        body.line("@inlinable")
        body.block("public init(_ message: \(source.swiftName))") { body in
          body.line("words = [")
          for index in 0..<layout.wordCount {
            body.line("  \((index + 1) * layout.wordBytes <= source.byteCount ? word(index, of: "message", in: source) : "0"),")
          }
          body.line("]")
        }
      }
    }
  }

  /// `init(_:)` from the same message in the other ABI's layout, field by field.
  private func fromTwin(_ file: inout SourceText) {
    let other = WordLayout(record, layout.abi == .x8664 ? .x8632 : .x8664, description)
    file.line()
    file.block("extension \(layout.swiftName)") { body in
      body.comment("The same message, translated from the \(other.abi.rawValue) layout.")
      body.line("@inlinable")
      body.block("public init(_ other: \(other.swiftName))") { body in
        body.line("self.init()")
        for field in record.fields {
          let name = Identifier.escaped(field.name)
          guard let count = field.count else {
            body.line("\(name) = other.\(name)")
            continue
          }
          body.line("for index in 0..<\(count) { set\(Identifier.capitalised(field.name))(other.\(name)(at: index), at: index) }")
        }
      }
    }
  }

  /// `init(_:)` of an x86_64 message from the x86_32 slot that holds it.
  private func fromForeignSlot(_ slot: Record, _ file: inout SourceText) {
    file.line()
    file.block("extension \(layout.swiftName)") { body in
      body.comment("The message that an x86_32 slot holds, translated to the x86_64 layout.")
      body.line("@inlinable")
      body.line("public init(_ slot: \(slot.swiftName(.x8632))) { self.init(\(record.swiftName(.x8632))(slot: slot)) }")
    }
  }

  /// `init(translating:)`: the x86_64 slot for any message that an x86_32 slot holds.
  private func translatingSlot(_ overlays: [Record], _ file: inout SourceText) {
    guard let field = overlays.first?.overlay?.field else { return }
    file.line()
    file.block("extension \(layout.swiftName)") { body in
      body.comment(
        "Translates whatever message an x86_32 slot holds, by its `\(field)`, so that a back-end deals with one layout.")
      body.line("@inlinable")
      body.block("public init(translating slot: \(record.swiftName(.x8632)))") { body in
        body.line("switch slot.\(Identifier.escaped(field)) {")
        for overlay in overlays {
          guard let when = overlay.overlay else { continue }
          body.line("case \(when.equals).rawValue: self.init(\(overlay.swiftName(.x8664))(slot))")
        }
        body.line("default: self.init(slot)")
        body.line("}")
      }
    }
  }

  /// Word `index` of our layout, cut out of a value with possibly narrower or wider words.
  private func word(_ index: Int, of name: String, in source: WordLayout) -> String {
    if source.wordBits == layout.wordBits { return "\(name).words[\(index)]" }
    if layout.wordBits == 64 {
      return "UInt64(\(name).words[\(index * 2)]) | UInt64(\(name).words[\(index * 2 + 1)]) &<< 32"
    }
    let shift = index % 2 == 0 ? "" : " &>> 32"
    return "UInt32(truncatingIfNeeded: \(name).words[\(index / 2)]\(shift))"
  }
}
