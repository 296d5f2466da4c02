import LinuxSystem
import SystemPackage
public import XenInterface

/// Where a keyboard's events come from: lines of text, or a device of the kernel. A thread of its own reads it.
public enum KeyboardSource: Sendable, Equatable {
  /// A file or FIFO of lines such as `key 30 1`, for tests and scripts.
  case text(path: String)
  /// `/dev/input/eventN`, or anything that says the same.
  case evdev(path: String)

  private var path: String {
    switch self {
    case .text(let path), .evdev(let path): path
    }
  }

  /// Begins to read. Opening is done by the reading thread, because a FIFO waits for its writer.
  /// - Parameters:
  ///   - event: called on the thread for each event.
  ///   - ended: called on the thread, once, with what went wrong; nil at the end of the file.
  public func start(event: @escaping @Sendable (KeyboardEvent) -> Void, ended: @escaping @Sendable (String?) -> Void) {
    let start: Void? = try? SystemThread.start(name: "keyboard") {
      do throws(Errno) {
        let file = try OwnedDescriptor.open(path, flags: 0)
        switch self {
        case .evdev:
          var translation = EvdevTranslation()
          while let bytes = try file.read(upTo: 64 * EvdevTranslation.recordByteCount) { translation.events(from: bytes).forEach(event) }
          ended(nil)
        case .text: ended(try Self.readLines(file, event))
        }
      } catch {
        ended("\(path): \(error)")
      }
    }
    if start == nil { ended("there are no more threads") }
  }

  /// Nil at the end of the file; else the line that says nothing.
  private static func readLines(_ file: borrowing OwnedDescriptor, _ event: (KeyboardEvent) -> Void) throws(Errno) -> String? {
    var pending: [UInt8] = []
    while let bytes = try file.read(upTo: 4096) {
      pending += bytes
      while let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
        let line = String(decoding: pending[..<end], as: UTF8.self)
        pending.removeSubrange(...end)
        if line.isEmpty || line.hasPrefix("#") { continue }
        guard let parsed = KeyboardEvent(line: line) else { return "'\(line)' is no event: expected key CODE 0|1, motion X Y WHEEL or position X Y WHEEL" }
        event(parsed)
      }
      if pending.count > 4096 { return "a line of more than 4096 bytes" }
    }
    return nil
  }
}
