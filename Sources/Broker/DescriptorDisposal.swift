import Dispatch
import Glibc
import Synchronization

/// Closes descriptors that a domain's clients should not have sent, on a thread of its own.
///
/// Closing a file of a file system that the sender serves itself (FUSE) takes as long as the sender likes. The broker must not wait
/// for that, and must not collect such files either: a domain with too many of them gets no more connections.
final class DescriptorDisposal: Sendable {
  private static let limit = 64
  private let pending = Mutex(0)
  private let queue: DispatchQueue

  init(label: String) { queue = DispatchQueue(label: label) }

  /// Whether so many descriptors wait to be closed that no more should be taken.
  var isClogged: Bool { pending.withLock { $0 >= Self.limit } }

  /// Whether any descriptor waits to be closed.
  var isBusy: Bool { pending.withLock { $0 > 0 } }

  func close(_ descriptor: Int32) {
    pending.withLock { $0 += 1 }
    queue.async { [self] in
      _ = Glibc.close(descriptor)
      pending.withLock { $0 -= 1 }
    }
  }
}
