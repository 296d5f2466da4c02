/// Writes `vectors_check.c`: a program that builds every golden vector out of its field values and compares the bytes.
///
/// It uses Xen's own structures for the x86_64 layout and the mirror structures (which `abi_check.c` holds against Xen's i386
/// ones) for x86_32. Strings that Xen's headers keep in tables are compared, too.
struct CVectorsCheck {
  let descriptions: [ProtocolDescription]

  func file() -> String {
    var file = SourceText()
    CNames.header(
      &file,
      """
      Checks golden vectors: builds each record from its field values, compares the bytes.
        cc -std=c11 -o vectors_check -I Protocols/generated Protocols/generated/vectors_check.c
        ./vectors_check Protocols/*/vectors.txt
      """)
    file.line("#include <errno.h>")
    for header in ["stddef", "stdint", "stdio", "stdlib", "string"] { file.line("#include <\(header).h>") }
    file.line("#define __XEN_INTERFACE_VERSION__ __XEN_LATEST_INTERFACE_VERSION__")
    file.line("#include <xen/xen.h>")
    CNames.includes(descriptions, &file)
    file.line("#include \"pvio_abi.h\"")
    file.line()
    file.line("struct field { const char *name; size_t offset, size; };")
    file.line("struct record { const char *name, *abi; size_t size; const struct field *fields; size_t count; };")
    file.line("#define FIELD(type, member) { #member, offsetof(type, member), sizeof(((type *)0)->member) }")
    file.line("#define RECORD(name, abi, type) { #name, #abi, sizeof(type), name##_##abi, sizeof(name##_##abi) / sizeof(struct field) }")
    tables(&file)
    strings(&file)
    for line in CVectorsCheck.program.split(separator: "\n", omittingEmptySubsequences: false) { file.line(String(line)) }
    return file.text
  }

  private func tables(_ file: inout SourceText) {
    var rows: [String] = []
    for description in descriptions {
      for record in description.records {
        for abi in record.distinctABIs {
          let type = abi == .x8664 ? record.c : "struct " + CNames.mirror(record, abi, in: description)
          file.line()
          file.block("static const struct field \(record.name)_\(abi.rawValue)[] =", close: "};") { body in
            for field in record.fields {
              for leaf in CNames.leaves(field, of: record, in: description, short: abi == .x8632) {
                body.line("FIELD(\(type), \(leaf.path)),")
              }
            }
          }
          rows.append("RECORD(\(record.name), \(abi.rawValue), \(type)),")
        }
      }
    }
    file.line()
    file.block("static const struct record records[] =", close: "};") { $0.lines(rows) }
  }

  /// A function that counts the differences between string lists and the tables of Xen's headers.
  private func strings(_ file: inout SourceText) {
    file.line()
    file.block("static int check_strings(void)") { body in
      body.line("int failures = 0;")
      for group in descriptions.flatMap(\.strings) {
        guard let table = group.cTable else { continue }
        for (index, entry) in group.entries.enumerated() {
          let expression = table.replacing("%u", with: String(index))
          body.line("if (strcmp(\(expression), \"\(entry.value)\")) { fprintf(stderr, \"\(group.name).\(entry.name)\\n\"); failures++; }")
        }
      }
      body.line("return failures;")
    }
  }

  private static let program = #"""

    static unsigned long long line_number;
    static const char *file_name;

    static int fail(const char *reason, const char *what) {
      fprintf(stderr, "%s:%llu: %s: %s\n", file_name, line_number, reason, what);
      return 1;
    }

    static int set_field(const struct record *record, uint8_t *bytes, char *assignment) {
      char *equals = strchr(assignment, '='), *end;
      if (!equals) return fail("expected field=value", assignment);
      *equals = 0;
      errno = 0;
      uint64_t value = equals[1] == '-' ? (uint64_t)strtoll(equals + 1, &end, 0) : strtoull(equals + 1, &end, 0);
      if (errno || *end || end == equals + 1) return fail("not a number", equals + 1);
      for (size_t i = 0; i < record->count; i++) {
        const struct field *field = &record->fields[i];
        if (strcmp(field->name, assignment)) continue;
        if (field->size < 8 && equals[1] != '-' && value >> (field->size * 8)) return fail("value does not fit", assignment);
        for (size_t byte = 0; byte < field->size; byte++) bytes[field->offset + byte] = (uint8_t)(value >> (byte * 8));
        return 0;
      }
      return fail("unknown field", assignment);
    }

    // A line is: RECORD ABI field=value ... = HEX
    static int check_line(char *line) {
      char *name = strtok(line, " \t\n"), *abi = strtok(NULL, " \t\n"), *word;
      if (!name || !abi) return fail("expected RECORD ABI", line);
      const struct record *record = NULL;
      for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++)
        if (!strcmp(records[i].name, name) && !strcmp(records[i].abi, abi)) record = &records[i];
      if (!record) return fail("unknown record", name);
      uint8_t bytes[4096] = {0};
      while ((word = strtok(NULL, " \t\n")) && strcmp(word, "="))
        if (set_field(record, bytes, word)) return 1;
      char *expected = word ? strtok(NULL, " \t\n") : NULL;
      if (!expected) return fail("expected = HEX", name);
      char computed[2 * sizeof(bytes) + 1];
      for (size_t i = 0; i < record->size; i++) sprintf(computed + 2 * i, "%02x", bytes[i]);
      computed[2 * record->size] = 0;
      return strcmp(expected, computed) ? fail("bytes differ, the fields make", computed) : 0;
    }

    int main(int argc, char **argv) {
      int failures = check_strings(), vectors = 0;
      static char line[65536];
      for (int i = 1; i < argc; i++) {
        FILE *file = fopen(file_name = argv[i], "r");
        if (!file) { perror(argv[i]); return 1; }
        for (line_number = 1; fgets(line, sizeof line, file); line_number++) {
          if (line[0] == '#' || line[strspn(line, " \t\n")] == 0) continue;
          failures += check_line(line);
          vectors++;
        }
        fclose(file);
      }
      printf("%d vectors, %d failures\n", vectors, failures);
      return failures || !vectors;
    }
    """#
}
