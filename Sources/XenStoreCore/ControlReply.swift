import XenStoreWire

/// The text of a reply to CONTROL. It always fits a packet: what does not is cut between lines.
struct ControlReply {
  let text: [UInt8]

  static let acknowledgement = ControlReply("OK")

  /// One text, cut when it is too long.
  init(_ text: String) { self.text = Array(text.utf8.prefix(ControlReply.byteLimit)) }

  /// The lines, each with its newline, and a last line that says how many were left out when not all of them fit.
  init(lines: [String]) {
    var text: [UInt8] = []
    var rest = lines[...]
    while let line = rest.first, text.count + line.utf8.count + 1 <= ControlReply.byteLimit - ControlReply.remarkByteCount {
      text.append(contentsOf: line.utf8)
      text.append(UInt8(ascii: "\n"))
      rest = rest.dropFirst()
    }
    if !rest.isEmpty { text.append(contentsOf: "(\(rest.count) more lines)\n".utf8) }
    self.text = text
  }

  /// As many of the lines as fit, each with its newline: the reader asks for the rest.
  static func page(_ lines: some Sequence<String>) -> ControlReply {
    var text: [UInt8] = []
    for line in lines {
      guard text.count + line.utf8.count + 1 <= byteLimit else { break }
      text.append(contentsOf: line.utf8)
      text.append(UInt8(ascii: "\n"))
    }
    return ControlReply(bytes: text)
  }

  private init(bytes: [UInt8]) { text = bytes }

  /// The reply's payload, which ends with a NUL.
  var payload: [UInt8] { text + [0] }

  private static let byteLimit = XenStoreProtocol.maximumPayloadByteCount - 1
  private static let remarkByteCount = 40
}

extension String {
  /// This text with blanks behind or before it, up to `width` characters.
  func padded(to width: Int, atEnd: Bool) -> String {
    let padding = String(repeating: " ", count: max(0, width - count))
    return atEnd ? self + padding : padding + self
  }
}
