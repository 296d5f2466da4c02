/// Who is told that a request has ended. A class to be overridden, so that the data path calls through a table slot.
open class BlockEngineClient {
  public init() {}

  /// Request `tag` has ended; its memory is not touched any more. Called on the engine's loop, possibly before
  /// ``BlockEngine/submit(_:_:sector:tag:)`` returns. May not submit requests.
  open func completed(tag: UInt64, status: BlockStatus) {}
}
