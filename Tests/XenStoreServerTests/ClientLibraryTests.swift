import Testing

/// Client libraries of others, unmodified, against a store of this process.
@Suite(.timeLimit(.minutes(5)))
struct ClientLibraryTests {
  @Test(.enabled(if: ClientProgram.hasXenstoreLibrary, "libxenstore's header (libxen-dev) or gcc is not installed"))
  func libxenstoreDoesAllThatItOffers() async throws {
    try await withDaemon { daemon in
      let outcome = try ClientProgram.runLibxenstore(daemon)
      #expect(outcome == .success("all steps done\n"))
    }
  }

  @Test(.enabled(if: ClientProgram.hasPip, "python3 or its pip is not installed"))
  func pyxsReadsWritesWatchesAndCommits() async throws {
    try await withDaemon { daemon in
      let outcome = try ClientProgram.runPyxs(daemon)
      #expect(outcome == .success("all steps done\n"))
    }
  }
}
