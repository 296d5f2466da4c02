public import EventLoop
public import Logging

/// What the engines of all transports have in common: what a driver's author writes for the back-end.
///
/// Made on the device's loop and called there only, so it needs no locks; a call must not block for longer than the device
/// may stand still. One engine lives as long as its back-end, over any number of connections.
public protocol DriverEngine: AnyObject, SendableMetatype {
  /// Keys that a user can give for a device, `key=value,key=value`; others are refused before the engine is made.
  static var optionKeys: [String] { get }

  /// What the engine counts, by the names of the protocol file's `counters`: for the status file. Asked twice a second.
  var metrics: [String: UInt64] { get }
}

extension DriverEngine {
  public static var optionKeys: [String] { [] }
  public var metrics: [String: UInt64] { [:] }
}

/// What an engine is made from.
public struct EngineSetup: Sendable {
  /// What the user gave, by key.
  public var options: [String: String]
  /// The device's loop, which the engine may use for its own I/O and timers.
  public var loop: EventLoop
  public var logger: Logger

  public init(options: [String: String] = [:], loop: EventLoop, logger: Logger) {
    self.options = options
    self.loop = loop
    self.logger = logger
  }
}

/// Why an engine cannot be opened, in the line that the user sees.
public struct EngineFailure: Error, Sendable, Equatable, CustomStringConvertible {
  public var description: String
  public init(_ description: String) { self.description = description }
}

/// A key that a device's driver does not know.
public struct EngineOptionError: Error, Sendable, Equatable, CustomStringConvertible {
  public var key: String
  public var known: [String]

  public init(key: String, known: [String]) {
    self.key = key
    self.known = known
  }

  public var description: String {
    "unknown key '\(key)'; expected \(known.isEmpty ? "none but id" : known.sorted().joined(separator: ", ") + " or id")"
  }

  /// Throws for the first of `options` that is none of `known`.
  static func check(_ options: [String: String], known: [String]) throws(EngineOptionError) {
    for key in options.keys.sorted() where !known.contains(key) { throw EngineOptionError(key: key, known: known) }
  }
}
