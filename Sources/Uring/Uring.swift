public import CLiburing
import Glibc
public import SystemPackage

/// One owned io_uring: prepare operations, submit them in one call, take completions.
///
/// Confined to the thread that made it (single issuer). Buffers, iovec tables and time values given to an operation must
/// stay valid until it completes; that is the caller's promise, which is why preparing is in the hands of few modules.
@safe public struct Uring: ~Copyable {
  /// What the kernel granted of what was asked for.
  public struct Features: Sendable, Equatable {
    /// Completions are processed only when asked for (`IORING_SETUP_DEFER_TASKRUN`, Linux 6.1): saves a fifth of the cost.
    public var defersTaskRun: Bool
  }

  public let features: Features
  // SAFETY of every use in this file: allocated and set up in `init` before anybody can see it, at this address until
  // `deinit`, which is the only place that frees it; the type is not copyable, so there is one user, on one thread.
  @usableFromInline let ring: UnsafeMutablePointer<io_uring>
  private let ownsQueues: Bool

  /// Sets up queues for `entries` submissions and twice as many completions (rounded up to powers of two).
  public init(entries: UInt32) throws(UringError) {
    guard let ring = unsafe pvio_uring_allocate() else { throw .noMemory }
    let common = UInt32(IORING_SETUP_CLAMP)
    let deferred = common | UInt32(IORING_SETUP_SINGLE_ISSUER) | UInt32(IORING_SETUP_DEFER_TASKRUN) | UInt32(IORING_SETUP_TASKRUN_FLAG)
    var result = unsafe io_uring_queue_init(entries, ring, deferred)
    var features = Features(defersTaskRun: true)
    if result == -EINVAL {
      features.defersTaskRun = false
      result = unsafe io_uring_queue_init(entries, ring, common)
    }
    if result < 0 {
      unsafe free(ring)
      throw UringError.setup(Errno(rawValue: -result))
    }
    unsafe self.ring = ring
    self.features = features
    self.ownsQueues = true
    // Saves looking up the ring's descriptor at each call; older kernels do without.
    _ = unsafe io_uring_register_ring_fd(ring)
  }

  deinit {
    unsafe io_uring_queue_exit(ring)
    unsafe free(ring)
  }

  /// Submissions prepared and not yet given to the kernel.
  @inlinable public var preparedCount: Int { unsafe Int(io_uring_sq_ready(ring)) }

  /// Submissions that can still be prepared before ``submit(waitingFor:timeoutNanoseconds:)`` must be called.
  @inlinable public var freeSubmissionCount: Int { unsafe Int(io_uring_sq_space_left(ring)) }

  /// Gives everything prepared to the kernel, and waits for `count` completions when it is above zero.
  /// `timeoutNanoseconds` limits the wait; negative waits without limit. A timeout is not an error.
  @inlinable public mutating func submit(waitingFor count: UInt32 = 0, timeoutNanoseconds: Int64 = -1) throws(Errno) {
    let result = unsafe pvio_uring_submit(ring, count, timeoutNanoseconds)
    // EBUSY and EAGAIN: the completion queue must be drained first, which the caller does next anyway.
    if result < 0, result != -EBUSY, result != -EAGAIN { throw Errno(rawValue: -result) }
  }

  /// Whether a completion can be had, looking only at shared memory (no call).
  @inlinable public var hasCompletions: Bool { unsafe pvio_uring_ready(ring) > 0 || pvio_uring_needs_enter(ring) != 0 }

  /// Runs deferred work that is due, so that ``takeCompletion()`` sees it. A call only when the kernel asked for one.
  @inlinable public mutating func fetchCompletions() {
    if unsafe pvio_uring_needs_enter(ring) != 0 { _ = unsafe io_uring_get_events(ring) }
  }

  /// Takes the oldest completion, or nil.
  @inlinable public mutating func takeCompletion() -> UringCompletion? {
    var userData: UInt64 = 0
    var result: Int32 = 0
    var flags: UInt32 = 0
    // SAFETY: the entry is copied to local variables before it is given back to the kernel.
    guard unsafe pvio_uring_take(ring, &userData, &result, &flags) != 0 else { return nil }
    return UringCompletion(userData: userData, result: result, flags: flags)
  }
}

/// What the kernel says of a finished operation (`struct io_uring_cqe`).
@frozen public struct UringCompletion: Sendable {
  public var userData: UInt64
  /// Bytes moved or another count; `-errno` when negative.
  public var result: Int32
  public var flags: UInt32

  @inlinable public init(userData: UInt64, result: Int32, flags: UInt32) {
    self.userData = userData
    self.result = result
    self.flags = flags
  }

  /// More completions will come for the same submission (`IORING_CQE_F_MORE`).
  @inlinable public var hasMore: Bool { flags & UInt32(IORING_CQE_F_MORE) != 0 }
}
