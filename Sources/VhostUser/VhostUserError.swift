/// Why a VMM's connection was ended: what it said, and what is wrong with it. One line.
public struct VhostUserError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The message's name, or its number where it has none.
  public var message: String
  public var reason: String

  init(_ request: VhostUserRequest, _ reason: String) {
    message = request.description
    self.reason = reason
  }

  init(message: String, _ reason: String) {
    self.message = message
    self.reason = reason
  }

  public var description: String { "\(message): \(reason)" }
}
