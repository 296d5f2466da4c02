import Testing

extension Integration {
  @Suite struct Isolation {
    @Test(.enabled(if: Program.arePresent("pmap"), "pmap (procps) is not installed"))
    func aBackEndMapsTheMemoryOfItsOwnFrontEndAlone() async throws {
      try await withTestBed { bed in
        var backends: [Int32] = []
        var frontends: [Int32] = []
        for domain in ["7", "8"] {
          try await bed.pvio("domain", "create", "--domid", domain)
          try await bed.pvio("attach", domain, "disk", "file=\(try bed.emptyImage("\(domain).img", megabytes: 8))")
          frontends.append(try await bed.export(domain).processID)
          let device = try await bed.waitForStates(4, 4, of: "\(domain)-xvda")
          backends.append(try #require(device.backend_pid))
        }
        let frontMemory = try frontends.map { Set(try sharedMemory(of: $0).map(\.inode)) }
        #expect(frontMemory[0].isDisjoint(with: frontMemory[1]))
        let daemon = try #require(bed.daemon)
        for (index, backend) in backends.enumerated() {
          let mapped = try await memoryFiles(bed, of: backend)
          // An arena, the entries of its grants, and their status: no more, and nobody else's.
          #expect(mapped.map(\.name) == ["pvio-arena", "pvio-entries", "pvio-status"])
          #expect(Set(mapped.map(\.inode)).isSubset(of: frontMemory[index]), "domain \(7 + index)")
          #expect(mapped.first { $0.name == "pvio-entries" }?.permissions == "r--s")
        }
        // The daemon introduces them and steps aside.
        #expect(try await memoryFiles(bed, of: daemon.processID).filter { $0.name == "pvio-arena" }.isEmpty)
      }
    }

    private struct MemoryFile {
      var name: String
      var inode: String
      var permissions: String
    }

    /// The memory files that `pmap -X` shows, by name.
    private func memoryFiles(_ bed: TestBed, of process: Int32) async throws -> [MemoryFile] {
      try await bed.call("pmap", "-X", "\(process)").split(separator: "\n").compactMap { line in
        let fields = line.split(separator: " ")
        guard fields.count > 5, let name = fields.first(where: { $0.hasPrefix("memfd:") || $0.hasPrefix("/memfd:") }) else { return nil }
        return MemoryFile(name: String(name.drop { $0 != ":" }.dropFirst()), inode: String(fields[4]), permissions: String(fields[1]))
      }.sorted { $0.name < $1.name }
    }
  }
}
