public import XenInterface

extension KeyboardEvent {
  /// A key (or button) that is pressed or released; codes are those of linux/input-event-codes.h.
  public static func key(_ code: UInt32, isPressed: Bool) -> KeyboardEvent {
    var key = KeyboardKey()
    key.type = KeyboardEventType.key.rawValue
    key.pressed = isPressed ? 1 : 0
    key.keyCode = code
    return KeyboardEvent(key)
  }

  /// The pointer moved by so many pixels, the wheel by so many notches.
  public static func motion(x: Int32, y: Int32, wheel: Int32) -> KeyboardEvent {
    var motion = KeyboardMotion()
    motion.type = KeyboardEventType.motion.rawValue
    (motion.x, motion.y, motion.wheel) = (x, y, wheel)
    return KeyboardEvent(motion)
  }

  /// The pointer is at a place.
  public static func position(x: Int32, y: Int32, wheel: Int32) -> KeyboardEvent {
    var position = KeyboardPosition()
    position.type = KeyboardEventType.position.rawValue
    (position.x, position.y, position.wheel) = (x, y, wheel)
    return KeyboardEvent(position)
  }

  /// The event as a line: `key 30 1`, `motion 3 -2 0`, `position 100 200 0`; nil for a type that has none.
  public var line: String? {
    switch KeyboardEventType(rawValue: type) {
    case .key:
      let key = KeyboardKey(slot: self)
      return "key \(key.keyCode) \(key.pressed)"
    case .motion:
      let motion = KeyboardMotion(slot: self)
      return "motion \(motion.x) \(motion.y) \(motion.wheel)"
    case .position:
      let position = KeyboardPosition(slot: self)
      return "position \(position.x) \(position.y) \(position.wheel)"
    case .touch, .reserved, nil: return nil
    }
  }

  /// The event that ``line`` spells; nil when it spells none.
  public init?(line: some StringProtocol) {
    let words = line.split(separator: " ")
    let numbers = words.dropFirst().compactMap { Int32($0) }
    guard numbers.count == words.count - 1 else { return nil }
    switch (words.first, numbers.count) {
    case ("key", 2):
      guard let code = UInt32(exactly: numbers[0]), (0...1).contains(numbers[1]) else { return nil }
      self = .key(code, isPressed: numbers[1] == 1)
    case ("motion", 3): self = .motion(x: numbers[0], y: numbers[1], wheel: numbers[2])
    case ("position", 3): self = .position(x: numbers[0], y: numbers[1], wheel: numbers[2])
    default: return nil
    }
  }
}
