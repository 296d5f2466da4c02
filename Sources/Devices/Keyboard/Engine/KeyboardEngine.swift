import Logging
public import PVDriver
public import XenInterface

/// Serves a keyboard and pointer whose events come from lines of text or a device of the kernel.
public final class KeyboardEngine: EventRingEngine {
  public typealias Device = KeyboardDevice

  /// `events=PATH` (lines such as `key 30 1`) or `evdev=PATH` (/dev/input/eventN); `width=`, `height=` for positions.
  public static var optionKeys: [String] { ["events", "evdev", "width", "height"] }

  public let device: KeyboardDevice

  public init(_ setup: EngineSetup, _ events: EventSender<KeyboardEvent>) throws {
    let source: KeyboardSource
    switch (setup.options["events"], setup.options["evdev"]) {
    case (let path?, nil): source = .text(path: path)
    case (nil, let path?): source = .evdev(path: path)
    default: throw EngineFailure("expected one of events=PATH and evdev=PATH")
    }
    device = KeyboardDevice(area: try Self.area(setup.options))
    source.start(event: { events.send($0) }) { [logger = setup.logger] failure in
      if let failure { logger.error("no more events: \(failure)") } else { logger.notice("no more events: the source has ended") }
    }
  }

  private static func area(_ options: [String: String]) throws(EngineFailure) -> (width: UInt32, height: UInt32)? {
    if options["width"] == nil && options["height"] == nil { return nil }
    func number(_ key: String) throws(EngineFailure) -> UInt32 {
      guard let value = options[key].flatMap({ UInt32($0) }), (1...32767).contains(value) else { throw EngineFailure("expected \(key)=1 to 32767") }
      return value
    }
    return (try number("width"), try number("height"))
  }
}
