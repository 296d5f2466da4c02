import Foundation
import Glibc
import LinuxSystem
import Testing

extension Integration {
  /// A keyboard's events between processes, from a test source and from what a kernel's device says.
  @Suite struct Keyboard {
    /// A FIFO that the back-end reads from, and its writing end.
    private func fifo(_ bed: TestBed, _ name: String) throws -> (path: String, file: FileHandle) {
      let path = "\(bed.directory)/\(name)"
      // SAFETY: the path is a terminated string for the length of the call.
      guard unsafe mkfifo(path, 0o600) == 0, let file = FileHandle(forUpdatingAtPath: path) else { throw TestFailure("cannot make \(path)") }
      return (path, file)
    }

    @Test func linesOfATestSourceComeOutInTheOtherDomainAlsoAfterABackEndWasKilled() async throws {
      try await withTestBed { bed in
        let source = try fifo(bed, "events")
        try await bed.pvio("domain", "create", "--domid", "7", "guest")
        let attached = try await bed.pvio("attach", "guest", "vkbd", "events=\(source.path),width=800,height=600")
        #expect(attached.contains("vkbd0 of domain 7 is 7-vkbd0"), "\(attached)")
        let reader = try bed.start(Program.pvio, ["keyboard", "guest", "--count", "5"])
        source.file.write(Data("key 30 1\nkey 30 0\nposition 100 200 0\n".utf8))
        try await eventually("the events arrive") { reader.output == "key 30 1\nkey 30 0\nposition 100 200 0\n" }
        try await eventually("the status says so") { try await bed.pvio("status", "7-vkbd0").contains("3 requests") }
        for backend in processes(mentioning: "backend") where processes(mentioning: bed.runDirectory).contains(backend) { kill(backend, SIGKILL) }
        try await eventually("the front-end says so") { reader.errors.contains("back-end lost") }
        let next = try bed.start(Program.pvio, ["backend", "vkbd", "--domain", "guest", "--device", "vkbd0", "--spec", "events=\(source.path)"])
        try await eventually("the front-end is connected again") { reader.errors.contains("connected again") }
        source.file.write(Data("motion 3 -2 0\nkey 31 1\n".utf8))
        #expect(try await reader.finish() == .exited(0), "\(reader.errors)")
        #expect(reader.output.hasSuffix("motion 3 -2 0\nkey 31 1\n"), "\(reader.output)")
        try await bed.pvio("detach", "guest", "vkbd0")
        #expect(try await next.finish() == .exited(0), "\(next.errors)")
        try await bed.stopDaemon()
      }
    }

    @Test func whatAKernelsInputDeviceSaysIsTranslated() async throws {
      try await withTestBed { bed in
        let source = try fifo(bed, "device")
        try await bed.pvio("domain", "create", "--domid", "7", "guest")
        try await bed.pvio("attach", "guest", "vkbd", "evdev=\(source.path)")
        let reader = try bed.start(Program.pvio, ["keyboard", "guest", "--count", "2"])
        func record(_ type: UInt8, _ code: UInt8, _ value: UInt8) -> [UInt8] { [UInt8](repeating: 0, count: 16) + [type, 0, code, 0, value, 0, 0, 0] }
        source.file.write(Data(record(1, 30, 1) + record(0, 0, 0) + record(2, 0, 5) + record(2, 1, 6) + record(0, 0, 0)))
        #expect(try await reader.finish() == .exited(0), "\(reader.errors)")
        #expect(reader.output == "key 30 1\nmotion 5 6 0\n")
        try await bed.pvio("detach", "guest", "vkbd0")
        try await bed.stopDaemon()
      }
    }

    @Test func aSourceThatDoesNotExistOrSaysNothingIsNamed() async throws {
      try await withTestBed { bed in
        try await bed.pvio("domain", "create", "--domid", "7")
        let none = try await bed.run(Program.pvio, ["attach", "7", "vkbd"])
        #expect(none.errors.contains("expected one of events=PATH and evdev=PATH"), "\(none.errors)")
        let wrong = try await bed.run(Program.pvio, ["attach", "7", "vkbd", "events=/dev/null,width=0,height=5"])
        #expect(wrong.errors.contains("expected width=1 to 32767"), "\(wrong.errors)")
      }
    }
  }
}
