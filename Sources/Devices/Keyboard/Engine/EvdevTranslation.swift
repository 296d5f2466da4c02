public import XenInterface

/// Turns the kernel's input events (`struct input_event`, linux/input.h) into those of the ring.
///
/// The kernel says what belongs together with a synchronising event: movements are collected until then.
public struct EvdevTranslation: Sendable {
  /// `struct input_event` on a 64-bit machine: 16 bytes of time, type, code, value.
  public static let recordByteCount = 24

  private var pending: [UInt8] = []
  private var motion: (x: Int32, y: Int32) = (0, 0)
  private var wheel: Int32 = 0
  private var position: (x: Int32, y: Int32) = (0, 0)
  private var hasPosition = false

  public init() {}

  /// What `bytes` of the device, cut anywhere, complete.
  public mutating func events(from bytes: [UInt8]) -> [KeyboardEvent] {
    pending += bytes
    var events: [KeyboardEvent] = []
    var start = 0
    while pending.count - start >= Self.recordByteCount {
      let record = pending[start + 16..<start + Self.recordByteCount]
      let type = UInt16(record[start + 16]) | UInt16(record[start + 17]) << 8
      let code = UInt16(record[start + 18]) | UInt16(record[start + 19]) << 8
      let value = (0..<4).reduce(UInt32(0)) { $0 | UInt32(record[start + 20 + $1]) << UInt32(8 * $1) }
      take(type, code, Int32(bitPattern: value), &events)
      start += Self.recordByteCount
    }
    pending.removeFirst(start)
    return events
  }

  private mutating func take(_ type: UInt16, _ code: UInt16, _ value: Int32, _ events: inout [KeyboardEvent]) {
    switch (type, code) {
    case (0x00, 0): synchronise(&events)  // EV_SYN, SYN_REPORT
    case (0x01, _):  // EV_KEY; 2 is the kernel's own repetition, which a front-end makes itself
      if value == 0 || value == 1 { events.append(.key(UInt32(code), isPressed: value == 1)) }
    case (0x02, 0): motion.x &+= value  // EV_REL, REL_X
    case (0x02, 1): motion.y &+= value
    case (0x02, 8): wheel &-= value  // REL_WHEEL is away from the user; Xen's is down
    case (0x03, 0):  // EV_ABS, ABS_X
      position.x = value
      hasPosition = true
    case (0x03, 1):
      position.y = value
      hasPosition = true
    default: break
    }
  }

  private mutating func synchronise(_ events: inout [KeyboardEvent]) {
    if hasPosition {
      events.append(.position(x: position.x, y: position.y, wheel: wheel))
    } else if motion != (0, 0) || wheel != 0 {
      events.append(.motion(x: motion.x, y: motion.y, wheel: wheel))
    }
    (motion, wheel, hasPosition) = ((0, 0), 0, false)
  }
}
