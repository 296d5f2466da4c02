/// Writes `abi_check.c`: static assertions that every size, offset and constant is what the headers of Xen and Linux say.
///
/// Compiling it is the test. A compiler for x86_64 checks that layout, one for i386 (`cc -m32 -ffreestanding`) the x86_32
/// layout; both check that the mirror structures have the stated sizes and offsets of both.
struct CABICheck {
  let descriptions: [ProtocolDescription]

  func file() -> String {
    var file = SourceText()
    CNames.header(
      &file,
      """
      Compiling this file checks the protocol descriptions against the headers of Xen and Linux
      (Debian: libxen-dev, linux-libc-dev):
        cc -std=c11 -fsyntax-only -I Protocols/generated Protocols/generated/abi_check.c
        cc -std=c11 -fsyntax-only -m32 -ffreestanding -I Protocols/generated Protocols/generated/abi_check.c
      """)
    file.line("#include <stddef.h>")
    file.line("#include <stdint.h>")
    file.line("#define __XEN_INTERFACE_VERSION__ __XEN_LATEST_INTERFACE_VERSION__")
    file.line("#include <xen/xen.h>")
    CNames.includes(descriptions, &file)
    file.line("#include \"pvio_abi.h\"")
    file.line()
    file.lines([
      "#define SIZE(type, bytes) _Static_assert(sizeof(type) == bytes, \"size of \" #type)",
      "#define FIELD(type, member, offset, bytes) \\",
      "  _Static_assert(offsetof(type, member) == offset, \"offset of \" #type \".\" #member); \\",
      "  _Static_assert(sizeof(((type *)0)->member) == bytes, \"size of \" #type \".\" #member)",
      "#define PLACE(type, member, offset) _Static_assert(offsetof(type, member) == offset, \"offset of \" #type \".\" #member)",
      "#define VALUE(expression, value) _Static_assert((long long)(expression) == (long long)(value), #expression)",
      "#define TEXT(expression, value) _Static_assert(__builtin_strcmp(expression, value) == 0, #expression)",
    ])
    for description in descriptions {
      file.line()
      CNames.guarded(description.module, &file) { check(description, &$0) }
    }
    return file.text
  }

  private func check(_ description: ProtocolDescription, _ file: inout SourceText) {
    file.line("// \(description.name)")
    for value in description.constants.flatMap(\.values) { check(value, &file) }
    for value in description.enumerations.flatMap(\.cases) { check(value, &file) }
    for value in description.flags.flatMap(\.bits) { check(value, &file) }
    for entry in description.strings.flatMap(\.entries) {
      if let c = entry.c { file.line("TEXT(\(c), \"\(entry.value)\");") }
    }
    for layout in description.layouts {
      for place in layout.places {
        if let reason = place.unchecked {
          file.line("// \(layout.c).\(place.c) at \(place.offset): \(reason)")
        } else {
          file.line("PLACE(\(layout.c), \(place.c), \(place.offset));")
          if let type = place.type { file.line("VALUE(sizeof(((\(layout.c) *)0)->\(place.c)), \(type.byteCount));") }
        }
      }
    }
    if let driver = description.driver {
      for place in DriverHeader.places(description, driver) { file.line("PLACE(\(place.type), \(place.member), \(place.offset));") }
    }
    for record in description.records { check(record, description, &file) }
  }

  private func check(_ value: NamedValue, _ file: inout SourceText) {
    guard let c = value.c else {
      file.line("// \(value.name) = \(value.value): \(value.unchecked ?? "")")
      return
    }
    if let abi = value.abi { file.line("#ifdef \(abi.compilerMacro)") }
    file.line("VALUE(\(c), \(value.value)\(value.value > Int128(Int64.max) ? "ULL" : "LL"));")
    if value.abi != nil { file.line("#endif") }
  }

  private func check(_ record: Record, _ description: ProtocolDescription, _ file: inout SourceText) {
    for abi in record.distinctABIs { assertions(record, abi, description, "struct " + CNames.mirror(record, abi, in: description), short: true, &file) }
    let stated = record.distinctABIs
    if stated.count == 1 {
      assertions(record, stated[0], description, record.c, short: false, &file)
    } else {
      file.line("#ifdef \(ABI.x8632.compilerMacro)")
      assertions(record, .x8632, description, record.c, short: false, &file)
      file.line("#else")
      assertions(record, .x8664, description, record.c, short: false, &file)
      file.line("#endif")
    }
  }

  private func assertions(
    _ record: Record, _ abi: ABI, _ description: ProtocolDescription, _ type: String, short: Bool, _ file: inout SourceText
  ) {
    file.line("SIZE(\(type), \(record.sizes[abi] ?? 0));")
    for field in record.fields {
      let member = short ? record.mirrorMember(field) : field.c
      file.line("FIELD(\(type), \(member), \(field.offsets[abi] ?? 0), \(field.byteCount(abi, in: description) ?? 0));")
    }
  }
}
