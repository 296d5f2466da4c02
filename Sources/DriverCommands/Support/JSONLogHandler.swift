import Foundation
public import Logging

/// One JSON object a line on stderr, for log collectors.
public struct JSONLogHandler: LogHandler {
  public let label: String
  public var logLevel: Logger.Level = .notice
  public var metadata: Logger.Metadata = [:]

  public init(label: String) { self.label = label }

  public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
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

  public func log(event: LogEvent) {
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
