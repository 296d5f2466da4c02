import Glibc
import LinuxSystem
import SharedMemory
import Testing
import VhostUser
import VirtioInterface
import VirtioRing

extension Integration {
  /// A guest and a VMM that break the protocol, in another process than the back-end, which serves two disks: the other one goes on, and so
  /// does the process; whoever connects anew is served.
  @Suite struct HostileVMM {
    /// One back-end process with two disks: a file for the bad guest, memory for the good one.
    private struct Disks {
      let bed: TestBed
      let process: RunningProgram
      let good: PlainVMM
      var bad: String { "\(bed.directory)/bad.sock" }

      init(_ bed: TestBed) async throws {
        self.bed = bed
        let image = try bed.emptyImage(megabytes: 64)
        process = try bed.start(
          Program.pvio,
          [
            "backend", "block", "--disk", "file=\(image),queues=1", "--socket-path", "\(bed.directory)/bad.sock", "--disk", "ram=8M,queues=1",
            "--socket-path", "\(bed.directory)/good.sock",
          ])
        try await bed.waitForLine("pvio backend ready", of: process)
        good = try PlainVMM("\(bed.directory)/good.sock")
      }

      var errorLines: [Substring] { process.errors.split(separator: "\n") }

      /// The process says `text` once, in one line, and both disks are served: the other one's guest as before, this one's anew.
      func checkOneLine(_ text: String, since count: Int, seed: Int, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        try await eventually("the back-end says '\(text)'") { errorLines.count > count }
        try await good.verify(sector: UInt64(seed % 1000), seed: seed)
        let next = try PlainVMM(bad)
        try await next.verify(sector: UInt64(seed % 1000), seed: seed)
        #expect(errorLines.count == count + 1 && errorLines.last?.contains(text) == true, "\(process.errors)", sourceLocation: sourceLocation)
        #expect(process.isRunning, sourceLocation: sourceLocation)
      }
    }

    /// What a guest writes into its ring, and what the back-end says.
    struct Act: Sendable {
      var format = DeviceQueue.Format.split
      var line: String
      var perform: @Sendable (PlainVMM) -> Void
    }

    private static let next: UInt16 = 1
    private static let write: UInt16 = 2
    private static let indirect: UInt16 = 4
    private static let available: UInt16 = 0x80
    private static let data = PlainVMM.guestAddress + UInt64(PlainVMM.dataOffset)

    private static func descriptor(address: UInt64, byteCount: UInt32, flags: UInt16 = 0, saying line: String) -> Act {
      Act(line: line) {
        $0.writeDescriptor(0, address: address, byteCount: byteCount, flags: flags, link: 0)
        $0.offer(0)
      }
    }

    private static let acts: [Act] = [
      Act(line: "or is a loop") {
        for index in 0..<3 { $0.writeDescriptor(index, address: data, byteCount: 16, flags: next, link: UInt16((index + 1) % 3)) }
        $0.offer(0)
      },
      Act(line: "names descriptor 64 of 64") { $0.offer(64) },
      Act(line: "names descriptor 65535 of 64") {
        $0.writeDescriptor(0, address: data, byteCount: 16, flags: next, link: 0xffff)
        $0.offer(0)
      },
      Act(line: "avail.idx is 1000") {
        $0.parts.driver.storeRelease16(1000, at: 2)
        $0.ring()
      },
      descriptor(address: data, byteCount: .max, saying: "4294967295 bytes"),
      descriptor(address: .max - 3, byteCount: 16, saying: "16 bytes at 0xfffffffffffffffc is not in the guest's memory"),
      descriptor(address: 0, byteCount: 512, saying: "512 bytes at 0x0 is not in the guest's memory"),
      descriptor(address: PlainVMM.guestAddress + (4 << 20) - 8, byteCount: 16, saying: "is not in the guest's memory"),
      descriptor(address: data, byteCount: 0, saying: "has no bytes"),
      descriptor(address: data, byteCount: 24, flags: indirect, saying: "indirect table has 24 bytes"),
      descriptor(address: data, byteCount: .max & ~15, flags: indirect, saying: "indirect table has 4294967280 bytes"),
      Act(line: "is for reading and comes after one for writing") {
        $0.writeDescriptor(0, address: data, byteCount: 512, flags: write | next, link: 1)
        $0.writeDescriptor(1, address: data, byteCount: 16, flags: 0, link: 0)
        $0.offer(0)
      },
      Act(format: .packed, line: "or is a loop") {
        // A packed chain ends where its descriptors do: one that goes round the whole ring never does.
        for index in 0..<PlainVMM.entryCount { $0.writeDescriptor(index, address: data, byteCount: 16, flags: available | next, link: 0) }
        $0.ring()
      },
      Act(format: .packed, line: "has buffer id 64, expected one below 64") {
        $0.writeDescriptor(0, address: data, byteCount: 16, flags: available, link: 64)
        $0.ring()
      },
      Act(format: .packed, line: "is not in the guest's memory") {
        $0.writeDescriptor(0, address: .max, byteCount: .max, flags: available | write, link: 0)
        $0.ring()
      },
    ]

    @Test func aGuestThatBreaksItsRingIsStoppedWithOneLine() async throws {
      try await withTestBed(daemon: false) { bed in
        let disks = try await Disks(bed)
        for (number, act) in Self.acts.enumerated() {
          let count = disks.errorLines.count
          let guest = try PlainVMM(disks.bad, format: act.format)
          // What is written into a packed ring stands at its beginning.
          if act.format == .split { try await guest.verify(sector: 8, seed: number) }
          act.perform(guest)
          try await eventually("\(act.line)") { disks.errorLines.count > count }
          guest.hangUp()
          try await disks.checkOneLine(act.line, since: count, seed: number)
        }
      }
    }

    /// What a VMM says of a queue that runs or is to run, and what the back-end says.
    private static let moves: [(line: String, perform: @Sendable (PlainVMM) throws -> Void)] = [
      ("SET_VRING_ADDR: queue 0 is running and cannot move", { try $0.send(.setVringAddress, $0.address(descriptors: 16384)) }),
      ("SET_VRING_ADDR: queue 0 is running and cannot move", { try $0.send(.setVringAddress, $0.address(device: 12288)) }),
      ("SET_VRING_NUM: queue 0 is running", { try $0.send(.setVringNumber, $0.pair(0, 32)) }),
      ("SET_VRING_BASE: queue 0 is running", { try $0.send(.setVringBase, $0.pair(0, 7)) }),
      ("SET_VRING_NUM: there is no queue 9, only 1", { try $0.send(.setVringNumber, $0.pair(9, 64)) }),
      ("the descriptor area of queue 0, 1024 bytes at 0x7f0000400000, is not in the guest's memory", {
        try $0.tell(.setVringEnable, $0.pair(0, 0))
        try $0.send(.setVringAddress, $0.address(descriptors: 4 << 20))
        try $0.send(.setVringEnable, $0.pair(0, 1))
      }),
      ("the device area of queue 0", {
        try $0.tell(.setVringEnable, $0.pair(0, 0))
        try $0.send(.setVringAddress, $0.address(device: (4 << 20) - 8))
        try $0.send(.setVringEnable, $0.pair(0, 1))
      }),
      ("the queue's driver area is misaligned", {
        try $0.tell(.setVringEnable, $0.pair(0, 0))
        try $0.send(.setVringAddress, $0.address(driver: 4097))
        try $0.send(.setVringEnable, $0.pair(0, 1))
      }),
      ("is not in the guest's memory", {
        // The memory goes while the queue runs in it.
        try $0.send(.setMemoryTable, $0.words(1, 0x1000, 4096, 0x1000, 0), descriptors: [$0.file])
      }),
    ]

    @Test func aVMMThatMovesARunningQueueIsSentAwayWithOneLine() async throws {
      try await withTestBed(daemon: false) { bed in
        let disks = try await Disks(bed)
        for (number, move) in Self.moves.enumerated() {
          let count = disks.errorLines.count
          let vmm = try PlainVMM(disks.bad)
          try await vmm.verify(sector: 8, seed: number)
          // With requests under way.
          for sector in 0..<16 { _ = try vmm.send(.read, sector: UInt64(sector * 128), byteCount: 65536) }
          try move.perform(vmm)
          try await eventually("the back-end hangs up") { try vmm.isHungUp }
          try await disks.checkOneLine(move.line, since: count, seed: number)
        }
      }
    }

    /// Reads and writes by the kernel and by the processor, when the pages that they are about go.
    @Test(arguments: [0, 4096, 1 << 16, (1 << 16) + 100_000])
    func memoryThatIsMadeSmallerUnderIOCostsTheConnectionOnly(byteCount: Int) async throws {
      try await withTestBed(daemon: false) { bed in
        let disks = try await Disks(bed)
        for round in 0..<8 {
          let count = disks.errorLines.count
          let guest = try PlainVMM(disks.bad)
          try await guest.verify(sector: 8, seed: round)
          for request in 0..<16 {
            _ = try guest.send(request % 2 == 0 ? .read : .write, sector: UInt64(1024 + request * 128), byteCount: 65536)
            if request == round * 2 { try guest.truncateMemory(to: byteCount) }
          }
          try await eventually("the back-end hangs up") { try guest.isHungUp }
          // What the queue holds when its pages are gone may break it first, which is said as well.
          try await eventually("the back-end says why") {
            disks.errorLines.dropFirst(count).contains { $0.contains("guest memory: its file was made smaller while it was in use") }
          }
          let lines = disks.errorLines.dropFirst(count)
          #expect(lines.count <= 2 && lines.allSatisfy { $0.contains("made smaller") || $0.contains("queue 0 is broken") }, "\(lines)")
          try await disks.good.verify(sector: UInt64(round), seed: round)
        }
        let next = try PlainVMM(disks.bad)
        try await next.verify(sector: 8, seed: 99)
        #expect(disks.process.isRunning)
        disks.process.send(signal: SIGTERM)
        #expect(try await disks.process.finish() == .exited(0))
      }
    }
  }
}
