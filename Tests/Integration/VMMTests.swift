import Foundation
import Glibc
import LinuxSystem
import Testing

extension Integration {
  /// Unmodified guests whose disks and interfaces are served over vhost-user.
  @Suite(.enabled(if: Guest.isAvailable, "\(Guest.reason)"))
  struct VMM {
    @Test func aGuestReadsWritesAndGrowsItsDisk() async throws {
      try await withTestBed(daemon: false) { bed in
        let image = try await bed.randomImage(megabytes: 32)
        let sum = try await bed.call("sha256sum", image).prefix(64)
        let guest = try await Guest.boot(
          bed,
          checks: """
            set -e
            [ "$(sha256sum </dev/vda | cut -c1-64)" = "\(sum)" ]
            [ "$(cat /sys/block/vda/serial)" = disk0 ]
            [ "$(cat /sys/block/vda/queue/write_cache)" = "write back" ]
            echo "guest: the disk is what it should be"
            size=$(blockdev --getsize64 /dev/vda)
            echo "guest: grow me"
            n=0
            until [ "$(blockdev --getsize64 /dev/vda)" != "$size" ]; do n=$((n + 1)); [ $n -lt 500 ]; usleep 20000; done
            [ "$(blockdev --getsize64 /dev/vda)" = \(64 << 20) ]
            fio --name=verify --filename=/dev/vda --rw=randwrite --bs=4k --size=8M --verify=crc32c --iodepth=16 --ioengine=libaio --direct=1 --minimal >/tmp/fio
            blkdiscard /dev/vda
            [ "$(head -c 8388608 /dev/vda | tr -d '\\0' | wc -c)" = 0 ]
            /tools/bin/mke2fs -q -t ext4 /dev/vda
            mount -t ext4 /dev/vda /mnt
            cp /tools/bin/fio /mnt/copy
            sync
            umount /mnt
            /tools/bin/e2fsck -f -n /dev/vda
            """, devices: ["--disk", "file=\(image),queues=2"], placeholders: ["{disk0}"], diskCount: 1)
        try await guest.wait(for: "guest: grow me")
        let device = try #require(try await bed.devices().first { $0.id == "disk0" })
        #expect(device.backend_state == 4)
        try await bed.pvio("resize", "\(device.domid)", "disk0", "64M")
        let status = try await bed.pvio("status", "disk0")
        #expect(status.contains("a VMM uses it over"), "\(status)")
        try await guest.finish()
        try await bed.call("e2fsck", "-f", "-n", image)
        #expect(processes(mentioning: bed.runDirectory) == [])
      }
    }

    @Test func aGuestWithPackedRingsReadsAndWrites() async throws {
      try await withTestBed(daemon: false) { bed in
        let image = try await bed.randomImage(megabytes: 16)
        let sum = try await bed.call("sha256sum", image).prefix(64)
        let guest = try await Guest.boot(
          bed,
          checks: """
            set -e
            # Feature bit 34 is the packed ring.
            [ "$(cut -c35 /sys/block/vda/device/features)" = 1 ]
            [ "$(sha256sum </dev/vda | cut -c1-64)" = "\(sum)" ]
            fio --name=verify --filename=/dev/vda --rw=randwrite --bs=4k --size=8M --verify=crc32c --iodepth=16 --ioengine=libaio --direct=1 --minimal >/tmp/fio
            """, devices: ["--disk", "file=\(image),queues=1"], placeholders: ["{disk0,packed=on}"], diskCount: 1)
        try await guest.finish()
      }
    }

    /// `PVIO_VMM_KILLS` says how often; a few times in CI, fifty times by `make soak-vmm`.
    @Test func aBackEndThatIsKilledUnderAVerifyJobLosesNothing() async throws {
      let kills = ProcessInfo.processInfo.environment["PVIO_VMM_KILLS"].flatMap { Int($0) } ?? 4
      try await withTestBed(daemon: false) { bed in
        let image = try bed.emptyImage(megabytes: 64)
        let guest = try await Guest.boot(
          bed,
          checks: """
            set -e
            /tools/bin/mke2fs -q -t ext4 /dev/vda
            mount -t ext4 /dev/vda /mnt
            echo "guest: load"
            # A disk that has grown is the sign to stop.
            while [ "$(blockdev --getsize64 /dev/vda)" = \(64 << 20) ]; do
              fio --name=verify --directory=/mnt --rw=randwrite --bs=4k --size=12M --verify=crc32c --iodepth=16 --ioengine=libaio --direct=1 \\
                --fsync=64 --minimal >/tmp/fio
              echo "guest: verified"
              rm -f /mnt/verify*
            done
            umount /mnt
            /tools/bin/e2fsck -f -n /dev/vda
            if dmesg | grep -i 'i/o error'; then exit 1; fi
            """, devices: ["--disk", "file=\(image),queues=2"], placeholders: ["{disk0}"], diskCount: 1)
        try await guest.wait(for: "guest: load")
        for number in 1...kills {
          try await Task.sleep(for: .milliseconds(300 + (number * 377) % 900))
          let process = try await guest.backendProcess("disk0")
          kill(process, SIGKILL)
          try await eventually("another back-end serves") {
            let device = try await bed.devices().first { $0.id == "disk0" }
            return device?.backend_pid ?? process != process && device?.backend_state == 4
          }
        }
        let device = try await bed.device("disk0")
        #expect(try await bed.pvio("status", "disk0").contains("restarts:  \(kills)"))
        try await bed.pvio("resize", "\(device.domid)", "disk0", "65M")
        try await guest.finish()
        #expect(guest.program.errors.components(separatedBy: "started again").count - 1 == kills, "\(guest.program.errors)")
        try await bed.call("e2fsck", "-f", "-n", image)
      }
    }

    @Test(.enabled(if: NetworkNamespaces.areAvailable, "\(NetworkNamespaces.reason)"))
    func aGuestDownloadsThroughItsInterface() async throws {
      try await withTestBed(daemon: false) { bed in
        let network = NetworkNamespaces(bed)
        defer { network.close() }
        let host = try await network.make("host")
        let file = try await bed.randomImage("file.bin", megabytes: 16)
        let sum = try await bed.call("sha256sum", file).prefix(64)
        let guest = try await Guest.boot(
          bed,
          checks: """
            set -e
            echo "guest: waits for its host"
            n=0
            until ping -c 1 -W 1 10.77.0.1 >/dev/null; do n=$((n + 1)); [ $n -lt 30 ]; done
            ping -c 3 -i 0.2 10.77.0.1 | grep -q '3 packets received'
            [ "$(wget -q -O - http://10.77.0.1:8000/file.bin | sha256sum | cut -c1-64)" = "\(sum)" ]
            # The other way: what the host reads is what the guest sends.
            head -c 4194304 /tools/bin/fio | nc -l -p 9000
            """, devices: ["--net", "tap=tap0,netns=\(host),mac=52:54:00:77:00:02,queues=1"], placeholders: ["{net0,vectors=0}"], diskCount: 0,
          address: "10.77.0.2/24")
        try await guest.wait(for: "guest: waits for its host")
        try await network.setAddress(1, of: "tap0", in: host)
        let server = try network.start(host, "python3", "-m", "http.server", "8000", "--bind", "10.77.0.1", "--directory", bed.imageDirectory)
        defer { server.kill() }
        let receiver = try network.start(
          host, "python3", "-c",
          """
          import socket, time, sys
          for attempt in range(600):
            try: connection = socket.create_connection(("10.77.0.2", 9000), 1); break
            except OSError: time.sleep(0.1)
          data = b""
          while block := connection.recv(65536): data += block
          sys.exit(0 if data == open("/usr/bin/fio", "rb").read(4194304) else 1)
          """)
        try await guest.finish()
        #expect(try await receiver.finish() == .exited(0), "\(receiver.errors)")
      }
    }
  }
}
