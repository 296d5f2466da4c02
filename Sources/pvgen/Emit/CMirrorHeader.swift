/// Writes `pvio_abi.h`: each record as a packed C structure with its padding spelled out, for both ABIs.
///
/// These structures have the stated layout whatever ABI they are compiled for, so x86_32 messages can be built and checked by a
/// 64-bit program.
struct CMirrorHeader {
  let descriptions: [ProtocolDescription]

  func file() -> String {
    var file = SourceText()
    CNames.header(&file, "Every message as a packed structure with the layout that its ABI name says.")
    file.line("#ifndef PVIO_ABI_H")
    file.line("#define PVIO_ABI_H")
    file.line()
    file.line("#include <stdint.h>")
    for description in descriptions {
      for record in description.records {
        for abi in record.distinctABIs { structure(record, abi, description, &file) }
      }
    }
    file.line()
    file.line("#endif")
    return file.text
  }

  private func structure(_ record: Record, _ abi: ABI, _ description: ProtocolDescription, _ file: inout SourceText) {
    file.line()
    file.comment("\(record.c), \(abi.rawValue): \(record.doc.asSentence)", marker: "//")
    file.block("struct \(CNames.mirror(record, abi, in: description))", close: "} __attribute__((packed));") { body in
      var end = 0
      var pads = 0
      func pad(to offset: Int) {
        guard offset > end else { return }
        body.line("uint8_t pad\(pads)[\(offset - end)];")
        pads += 1
      }
      for field in record.fields.sorted(by: { $0.offsets[abi] ?? 0 < $1.offsets[abi] ?? 0 }) {
        let offset = field.offsets[abi] ?? 0
        pad(to: offset)
        body.line("\(type(field, abi, description)) \(record.mirrorMember(field))\(field.count.map { "[\($0)]" } ?? "");")
        end = offset + (field.byteCount(abi, in: description) ?? 0)
      }
      pad(to: record.sizes[abi] ?? 0)
    }
  }

  private func type(_ field: Record.Field, _ abi: ABI, _ description: ProtocolDescription) -> String {
    if let integer = field.type.integer { return integer.cName }
    guard case .record(let name) = field.type, let record = description.record(named: name) else { return "uint8_t" }
    return "struct \(CNames.mirror(record, abi, in: description))"
  }
}
