/// The one line a user sees when a command fails: the object and the remedy.
public struct CommandFailure: Error, CustomStringConvertible {
  public var message: String
  /// 1: it failed; 2: it was asked for wrongly.
  public var exitCode: Int32 = 1

  public var description: String { message }

  public init(_ message: String) { self.message = message }

  public static func usage(_ message: String) -> CommandFailure {
    var failure = CommandFailure(message)
    failure.exitCode = 2
    return failure
  }
}
