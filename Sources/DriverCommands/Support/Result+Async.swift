extension Result where Failure == any Error {
  /// What `body` returns or throws: for what has to be done in either case.
  public static func of(_ body: () async throws -> Success) async -> Result {
    do { return .success(try await body()) } catch { return .failure(error) }
  }
}
