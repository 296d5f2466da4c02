/// Something that a loop serves at its own pace: the queues of a device, an event channel, a descriptor.
///
/// All methods are called on the loop's thread. A class to be overridden, so that the data path calls through a table
/// slot and not through an existential.
open class LoopSource {
  /// What a source did in its turn.
  public enum Service: Sendable {
    /// There was nothing to do.
    case idle
    /// Something was done; look again before sleeping.
    case worked
    /// The budget ran out with work left.
    case moreToDo
  }

  /// The loop this source is attached to; nil before `attach` and after `detach`.
  public internal(set) var loop: EventLoop!
  /// Its number there: operations prepared with it come back to this source.
  public internal(set) var id: UInt32 = .max

  public init() {}

  /// Whether the loop calls more than ``completed(tag:result:)``. A source that only reacts to completions says no: a loop has
  /// a thousand of those, and would ask each of them in every turn. Asked once, when the source is attached.
  open var takesTurns: Bool { true }

  /// An operation that this source prepared has completed. `tag` is what it was prepared with.
  open func completed(tag: UInt64, result: Int32) {}

  /// The same, with whether more completions of this operation will come. Overridden by who prepares operations that complete many times.
  open func completed(tag: UInt64, result: Int32, isLast: Bool) { completed(tag: tag, result: result) }

  /// Does a bounded amount of work. Called each turn.
  open func service() -> Service { .idle }

  /// Whether the peer has produced something: one look at shared memory, while the loop is spinning.
  open func hasWork() -> Bool { false }

  /// Whether to keep looking instead of sleeping, at time `now` in nanoseconds.
  open func wantsPolling(now: UInt64) -> Bool { false }

  /// The last call before the loop sleeps: ask the peer for an event, then look once more. True when work has come meanwhile.
  open func prepareToSleep() -> Bool { false }
}
