/// The value of an `error` node: a number and a text (`xenbus_va_dev_error` in Linux).
enum XenbusErrorNode {
  /// Linux writes its errno; ours is EIO (5) throughout, because the text says what the number cannot.
  static func value(_ text: String) -> String { "5 \(XenbusKeyError.printable(text, limit: 512))" }
}
