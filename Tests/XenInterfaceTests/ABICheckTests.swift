import Foundation
import Testing

/// Runs a C compiler over the generated checks.
private enum Compiler {
  struct Result {
    let status: Int32
    let output: String
  }

  static let haveXenHeaders = FileManager.default.fileExists(atPath: "/usr/include/xen/io/blkif.h")

  /// Whether the compiler can also follow the i386 rules.
  static let have32Bit =
    haveXenHeaders && (try? run("/usr/bin/env", ["cc", "-m32", "-ffreestanding", "-fsyntax-only", "-include", "stdint.h", "-x", "c", "/dev/null"]).status) == 0

  static func check(_ file: URL, _ options: [String] = []) throws -> Result {
    try run(
      "/usr/bin/env",
      ["cc", "-std=c11", "-Wall", "-Werror", "-fsyntax-only", "-I", PackageFiles.generatedC.path] + options + [file.path])
  }

  static func run(_ program: String, _ arguments: [String]) throws -> Result {
    let process = Process()
    let pipe = Pipe()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return Result(status: process.terminationStatus, output: String(decoding: output, as: UTF8.self))
  }

  /// A folder for one test, removed at its end.
  static func inScratchFolder(_ body: (URL) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("pvio-abi-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try body(folder)
  }
}

@Suite(.enabled(if: Compiler.haveXenHeaders, "needs Xen's headers: apt-get install libxen-dev"))
struct ABICheckTests {
  private let abiCheck = PackageFiles.generatedC.appendingPathComponent("abi_check.c")

  @Test func theDescriptionsAgreeWithXensHeaders() throws {
    let result = try Compiler.check(abiCheck)
    #expect(result.status == 0, "\(result.output)")
  }

  @Test(.enabled(if: Compiler.have32Bit, "needs a C compiler with -m32"))
  func theDescriptionsAgreeWithXensHeadersOn32BitMachines() throws {
    try Compiler.inScratchFolder { folder in
      // libxenvchan.h includes a header of the C library, which is not there for this machine, and uses nothing of it.
      try FileManager.default.createDirectory(at: folder.appendingPathComponent("sys"), withIntermediateDirectories: true)
      try Data().write(to: folder.appendingPathComponent("sys/types.h"))
      let result = try Compiler.check(abiCheck, ["-m32", "-ffreestanding", "-idirafter", folder.path])
      #expect(result.status == 0, "\(result.output)")
    }
  }

  @Test func aWrongOffsetDoesNotCompile() throws {
    let right = "FIELD(struct blkif_request, sector_number, 16, 8);"
    let text = try String(contentsOf: abiCheck, encoding: .utf8)
    try #require(text.contains(right))
    try Compiler.inScratchFolder { folder in
      let file = folder.appendingPathComponent("wrong.c")
      try text.replacing(right, with: "FIELD(struct blkif_request, sector_number, 24, 8);")
        .write(to: file, atomically: true, encoding: .utf8)
      let result = try Compiler.check(file)
      #expect(result.status != 0)
      #expect(result.output.contains("offset of struct blkif_request.sector_number"))
    }
  }

  @Test func theGoldenVectorsAreWhatXensStructuresHold() throws {
    try Compiler.inScratchFolder { folder in
      let program = folder.appendingPathComponent("vectors_check").path
      let source = PackageFiles.generatedC.appendingPathComponent("vectors_check.c").path
      let built = try Compiler.run(
        "/usr/bin/env", ["cc", "-std=c11", "-Wall", "-Werror", "-I", PackageFiles.generatedC.path, "-o", program, source])
      try #require(built.status == 0, "\(built.output)")

      let result = try Compiler.run(program, PackageFiles.vectorFiles().map(\.path))
      #expect(result.status == 0, "\(result.output)")

      let wrong = folder.appendingPathComponent("wrong.txt")
      try "BlkifResponse x86_64 id=1 = 02000000000000000000000000000000\n".write(to: wrong, atomically: true, encoding: .utf8)
      #expect(try Compiler.run(program, [wrong.path]).status != 0)
    }
  }
}
