import Foundation
import Glibc
import LinuxSystem
import Testing

extension Integration {
  /// What is around a VMM: flags, placeholders, conventions, devices in the store. No guest is needed.
  @Suite struct VMMCommands {
    @Test func aCommandGetsSocketsInPlaceholdersAndEnvironment() async throws {
      try await withTestBed(daemon: false) { bed in
        let outcome = try await bed.run(
          Program.pvio,
          [
            "run", "--run-dir", bed.runDirectory, "--disk", "ram=1M", "--net", "null,mac=52:54:00:00:00:07,export=vhost-user", "--", "sh", "-c",
            "test -S {disk0.socket} && test \"$PVIO_DISK0_VHOST_USER\" = {disk0.socket} && test -S \"$PVIO_NET0_VHOST_USER\" && echo mac {net0.mac} '{\"a\": {}}'",
          ])
        #expect(outcome.succeeded, "\(outcome.errors)")
        #expect(outcome.output.hasSuffix("mac 52:54:00:00:00:07 {\"a\": {}}\n"), "\(outcome.output)")
        #expect(outcome.errors == "")
        #expect(processes(mentioning: bed.runDirectory) == [])
      }
    }

    @Test func aVMMGetsTheArgumentsOfItsDevices() async throws {
      try await withTestBed(daemon: false) { bed in
        // A program that is called like QEMU and prints its arguments.
        let script = "\(bed.directory)/qemu-system-test"
        try "#!/bin/sh\nprintf '%s\\n' \"$@\"\n".write(toFile: script, atomically: true, encoding: .utf8)
        try await bed.call("chmod", "755", script)
        let outcome = try await bed.run(
          Program.pvio,
          [
            "run", "--run-dir", bed.runDirectory, "--disk", "ram=1M,queues=2", "--net", "null,mac=52:54:00:00:00:07,queues=2", "--", script,
            "{memory:64M}", "{disk0,packed=on}", "{net0}",
          ])
        #expect(outcome.succeeded, "\(outcome.errors)")
        let socket = "\(bed.runDirectory)/devices"
        for line in [
          "memory-backend-memfd,id=pvio-memory,size=64M,share=on", "memory-backend=pvio-memory",
          "socket,id=disk0-socket,path=\(socket)/disk0/vhost-user.sock,reconnect=1",
          "vhost-user-blk-pci,id=disk0,chardev=disk0-socket,num-queues=2,packed=on",
          "vhost-user,id=net0-peer,chardev=net0-socket,queues=2", "virtio-net-pci,id=net0,netdev=net0-peer,mac=52:54:00:00:00:07,mq=on",
        ] { #expect(outcome.output.contains("\n\(line)\n"), "\(line) is missing in \(outcome.output)") }
      }
    }

    @Test(arguments: [
      (["--disk", "ram=1M", "--", "qemu-system-test", "{disk1}"], "{disk1}"), (["--disk", "ram=1M", "--", "true", "{disk0}"], "start with qemu"),
      (["--disk", "ram=1M", "--", "qemu-system-test", "x{disk0}"], "argument"), (["--disk", "ram=1M,export=nbd", "--", "qemu-system-test", "{disk0}"], "export=vhost-user"),
      (["--disk", "ram=1M,export=usb"], "nbd, vhost-user or none"), (["--disk", "ram=1M", "--print-flags", "qemu", "--", "true"], "without a command"),
    ])
    func aPlaceholderThatMeansNothingIsOneClearLine(arguments: [String], word: String) async throws {
      try await withTestBed(daemon: false) { bed in
        let outcome = try await bed.run(Program.pvio, ["run", "--run-dir", bed.runDirectory] + arguments)
        #expect(outcome.ending == .exited(2))
        #expect(outcome.errorLines.count == 1 && outcome.errors.contains(word), "\(outcome.errors)")
        #expect(processes(mentioning: bed.runDirectory) == [])
      }
    }

    @Test(arguments: [("qemu", "-device vhost-user-blk-pci,id=disk0"), ("cloud-hypervisor", "--disk vhost_user=on,socket=")])
    func flagsArePrintedForAVMMThatIsStartedByHand(vmm: String, text: String) async throws {
      try await withTestBed(daemon: false) { bed in
        let run = try bed.start(Program.pvio, ["run", "--run-dir", bed.runDirectory, "--print-flags", vmm, "--disk", "ram=1M"])
        try await bed.waitForLine(text, of: run)
        run.send(signal: SIGTERM)
        #expect(try await run.finish() == .exited(0))
      }
    }

    @Test func capabilitiesAreWhatTheConventionsAskFor() async throws {
      try await withTestBed(daemon: false) { bed in
        struct Capabilities: Decodable { var type: String, features: [String] }
        let block = try JSONDecoder().decode(Capabilities.self, from: Data(try await bed.pvio("backend", "block", "--print-capabilities").utf8))
        #expect(block.type == "block" && Set(block.features) == ["read-only", "blk-file"])
        // By the name that a manager finds it under.
        let link = "\(bed.directory)/pvio-backend-net"
        try await bed.call("ln", "-s", Program.pvio, link)
        let net = try JSONDecoder().decode(Capabilities.self, from: Data(try await bed.call(link, "--print-capabilities").utf8))
        #expect(net.type == "net")
      }
    }

    @Test func aBackEndByItselfListensUntilASignalComes() async throws {
      try await withTestBed(daemon: false) { bed in
        let socket = "\(bed.directory)/disk.sock"
        let image = try bed.emptyImage(megabytes: 1)
        let backend = try bed.start(Program.pvio, ["backend", "block", "--blk-file", image, "--read-only", "--socket-path", socket])
        try await bed.waitForLine("pvio backend ready", of: backend)
        #expect(FileManager.default.fileExists(atPath: socket))
        let second = try await bed.run(Program.pvio, ["backend", "block", "--disk", "ram=1M", "--socket-path", socket])
        #expect(second.ending == .exited(1))
        #expect(second.errorLines.count == 1 && second.errors.contains("somebody listens there"), "\(second.errors)")
        backend.send(signal: SIGTERM)
        #expect(try await backend.finish() == .exited(0))
        #expect(!FileManager.default.fileExists(atPath: socket))
      }
    }

    @Test func anAttachedDeviceForAVMMIsListedAndDetachedAsAnyOther() async throws {
      try await withTestBed { bed in
        try await bed.pvio("domain", "create", "--domid", "7", "guest")
        let said = try await bed.pvio("attach", "7", "disk", "ram=2M,export=vhost-user")
        #expect(said.contains("a VMM connects to \(bed.runDirectory)/devices/7-xvda/vhost-user.sock"), "\(said)")
        try await bed.pvio("attach", "7", "net", "switch=lan,export=vhost-user")
        let disk = try await bed.device("7-xvda")
        #expect(disk.backend_state == 2)
        #expect(FileManager.default.fileExists(atPath: "\(bed.runDirectory)/devices/7-xvda/vhost-user.sock"))
        #expect(try await bed.pvio("status", "7-xvda").contains("no VMM is connected to"))
        #expect(try await bed.pvio("status", "7-vif0").contains("no VMM is connected to"))
        #expect(try await bed.run(Program.pvio, ["store", "exists", TestBed.frontendPath]).succeeded == false)
        try await bed.pvio("resize", "7", "xvda", "4M")
        try await eventually("the status says so") { try await bed.pvio("status", "--json", "7-xvda").contains("\"bytes\" : 4194304") }
        kill(try #require(disk.backend_pid), SIGKILL)
        try await eventually("the status says so") { try await bed.pvio("status", "7-xvda").contains("the back-end's process is gone") }
        #expect(try await bed.pvio("status", "7-xvda").contains("--disk ram=2097152,export=vhost-user"))
        try await bed.pvio("detach", "7", "xvda")
        try await bed.pvio("detach", "7", "vif0")
        #expect(try await bed.devices() == [])
        try await bed.pvio("domain", "destroy", "7")
        // A switch without interfaces ends by itself.
        try await eventually("the switch ends") { processes(mentioning: "--switch\u{0}lan").isEmpty }
      }
    }
  }
}
