/// A value that only its loop's thread may touch, in a box that every thread may hold: how control code keeps hold of a data plane.
public struct LoopConfined<Value>: @unchecked Sendable {
  // SAFETY of @unchecked: the value is reached only through `value`, which traps on any other thread than the loop's. Its
  // last reference may be dropped elsewhere; what must end on the loop is ended there explicitly.

  public let loop: EventLoop
  private let confined: Value

  public init(_ value: sending Value, on loop: EventLoop) {
    self.loop = loop
    self.confined = value
  }

  /// The value. Traps when called on another thread than the loop's.
  public var value: Value {
    precondition(loop.isCurrent, "a value of loop \(loop.name) was touched on another thread")
    return confined
  }
}
