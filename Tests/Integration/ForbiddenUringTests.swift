import Foundation
import LinuxSystem
import Testing

extension Integration {
  /// A host that does not let us use io_uring, as containers often do.
  @Suite struct ForbiddenUring {
    /// Runs the program it is given with io_uring_setup failing as under a container's seccomp filter.
    private static let launcher = """
      #include <errno.h>
      #include <linux/filter.h>
      #include <linux/seccomp.h>
      #include <stddef.h>
      #include <sys/prctl.h>
      #include <sys/syscall.h>
      #include <unistd.h>
      int main(int argc, char **argv) {
        struct sock_filter code[] = {
          BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = {sizeof code / sizeof *code, code};
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return 99;
        execv(argv[1], argv + 1);
        return 98;
      }
      """

    @Test(.enabled(if: Program.arePresent("cc"), "no C compiler"))
    func everyCommandThatNeedsItSaysWhatToAllow() async throws {
      try await withTestBed { bed in
        let source = "\(bed.imageDirectory)/deny.c"
        let deny = "\(bed.imageDirectory)/deny"
        try Data(Self.launcher.utf8).write(to: URL(fileURLWithPath: source))
        let compiled = try await bed.run("cc", ["-o", deny, source])
        try #require(compiled.succeeded, "\(compiled.errors)")

        let doctor = try await bed.run(deny, [Program.pvio, "doctor"])
        #expect(doctor.ending == .exited(1))
        #expect(doctor.output.contains("io_uring is forbidden here") && doctor.output.contains("seccomp"), "\(doctor.output)")
        #expect(doctor.errors == "")

        try await bed.pvio("domain", "create", "--domid", "7", "guest")
        let attach = try await bed.run(deny, [Program.pvio, "attach", "7", "disk", "ram=1M"])
        #expect(attach.ending == .exited(1))
        #expect(attach.errorLines.count == 1 && attach.errors.contains("allow io_uring_setup"), "\(attach.errors)")
        #expect(try await bed.devices() == [])
        try await bed.stopDaemon()
      }
    }
  }
}
