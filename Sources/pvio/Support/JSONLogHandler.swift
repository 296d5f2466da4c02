import Foundation
import Logging

/// One JSON object a line on stderr, for log collectors.
struct JSONLogHandler: LogHandler {
  let label: String
  var logLevel: Logger.Level = .notice
  var metadata: Logger.Metadata = [:]

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  private struct Line: Encodable {
    var time: Date
    var level: String
    var label: String
    var message: String
    var metadata: [String: String]?
  }

  func log(event: LogEvent) {
    let all = metadata.merging(event.metadata ?? [:]) { _, new in new }
    let line = Line(
      time: Date(), level: event.level.rawValue, label: label, message: event.message.description,
      metadata: all.isEmpty ? nil : all.mapValues(\.description))
    let encoder = JSONEncoder()
    encoder.dateEncodingStrategy = .iso8601
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    guard let bytes = try? encoder.encode(line) else { return }
    Process.writeError(String(decoding: bytes, as: UTF8.self) + "\n")
  }
}
