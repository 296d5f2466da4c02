/// The one line a user sees when a command fails: the object and the remedy.
struct CommandFailure: Error {
  var message: String
  /// 1: it failed; 2: it was asked for wrongly.
  var exitCode: Int32 = 1

  init(_ message: String) { self.message = message }

  static func usage(_ message: String) -> CommandFailure {
    var failure = CommandFailure(message)
    failure.exitCode = 2
    return failure
  }
}
