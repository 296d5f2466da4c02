public import EventLoop

extension EventLoopThread {
  /// Starts the thread of a device. Throws the line that the user sees.
  /// - Parameter processor: the processor (0-based) that it keeps to; nil: any.
  public static func started(_ name: String, processor: Int? = nil) throws -> EventLoopThread {
    do { return try start(name: name, processor: processor) } catch { throw CommandFailure("\(error)") }
  }
}
