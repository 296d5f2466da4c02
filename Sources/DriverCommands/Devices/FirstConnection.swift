public import Xenbus

/// Waiting for a front-end's first back-end: one may never come, and the device may be removed meanwhile.
public enum FirstConnection {
  /// How long to wait for a back-end before saying that there is none.
  public static let patience = Duration.seconds(30)

  /// False when no back-end came, or when the device's life ended first.
  public static func isMade(before ending: Task<XenbusEnding, any Error>, connected: @escaping @Sendable () async -> Bool) async -> Bool {
    let (ended, continuation) = AsyncStream<Void>.makeStream()
    Task {
      _ = await ending.result
      continuation.finish()
    }
    return await withTaskGroup(of: Bool.self) { group in
      group.addTask {
        for await _ in ended {}
        return false
      }
      group.addTask { await connected() }
      group.addTask {
        try? await Task.sleep(for: patience)
        return false
      }
      let first = await group.next() ?? false
      group.cancelAll()
      return first
    }
  }
}
