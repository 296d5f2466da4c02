import Foundation
import LinuxSystem
import Testing

extension Integration {
  /// What the toolstack writes, and who may do what to it.
  @Suite struct StoreAdvisories {
    private struct Node: Decodable {
      var path: String
      var permissions: [String]
    }

    private func permissions(_ bed: TestBed, _ top: String) async throws -> [String: [String]] {
      let text = try await bed.pvio("store", "tree", "-p", "--json", top)
      let nodes = try JSONDecoder().decode([Node].self, from: Data(text.utf8))
      return Dictionary(uniqueKeysWithValues: nodes.map { ($0.path, $0.permissions) })
    }

    @Test("XSA-57: a guest can write to its own areas and its side of its devices, and to nothing else that domain create and attach make")
    func permissionsOfWhatTheToolstackWrites() async throws {
      try await withTestBed { bed in
        try await bed.pvio("domain", "create", "--domid", "7")
        let home = "/local/domain/7"
        let readable = ["n0", "r7"]
        #expect(try await bed.pvio("store", "tree", "-p", home).split(separator: "\n").count == 5)
        let created = try await permissions(bed, home)
        let expected = [
          home + "/name": readable, home + "/domid": readable, home + "/device": readable, home + "/error": ["n7"], home + "/data": ["n7"],
        ]
        #expect(created.filter { $0.key != home } == expected)
        #expect(try await bed.pvio("store", "dump", home).contains(#""permissions":["n0","r7"]"#))

        try await bed.pvio("attach", "7", "disk", "ram=1M")
        for (path, permissions) in try await permissions(bed, "/") {
          // Everything that a guest may change: its own areas, and the device's directory of its side.
          let isGuests = ["\(home)/error", "\(home)/data", TestBed.frontendPath].contains { path == $0 || path.hasPrefix($0 + "/") }
          let mayWrite = permissions[0].hasSuffix("7") || permissions[0].hasPrefix("w") || permissions[0].hasPrefix("b")
            || permissions.dropFirst().contains { $0 == "w7" || $0 == "b7" }
          #expect(mayWrite == isGuests, "\(path) \(permissions)")
        }
        let backend = try await permissions(bed, TestBed.backendPath)
        #expect(!backend.isEmpty && backend.allSatisfy { $0.value == readable })
        for path in ["name", "domid", "device/vbd/1", "console/limit", TestBed.backendPath + "/params", "/libxl/7/device/vbd/51712/backend"] {
          let outcome = try await bed.run(Program.pvio, ["store", "write", "--domain", "7", path, "mine"])
          #expect(outcome.ending == .exited(1) && outcome.errors.contains("EACCES"), "\(path): \(outcome.errors)")
        }
        try await bed.pvio("store", "write", "--domain", "7", "data/mine", "1")
      }
    }
  }
}
