import DriverCommands
import NetEngine

/// What went through what an interface, or a switch, is connected to: as it stands in status files.
struct PortTraffic: Codable, Equatable {
  struct Recording: Codable, Equatable {
    var frames: UInt64
    var missed: UInt64
    var failure: String?
  }

  /// From the guest, or the switch.
  var taken_frames: UInt64
  var taken_bytes: UInt64
  /// To it.
  var delivered_frames: UInt64
  var delivered_bytes: UInt64
  /// Frames that were lost, by reason.
  var drops: [String: UInt64]
  var recording: Recording?
}

extension PortTraffic {
  init(_ traffic: NetPortTraffic) {
    self.init(
      taken_frames: traffic.taken.frames, taken_bytes: traffic.taken.bytes, delivered_frames: traffic.delivered.frames,
      delivered_bytes: traffic.delivered.bytes, drops: traffic.drops,
      recording: traffic.recording.map { Recording(frames: $0.frames, missed: $0.missed, failure: $0.failure) })
  }

  /// For people.
  func lines(_ title: String) -> [String] {
    var lines = [
      "\(title)took \(taken_frames) frames (\(ByteCount(taken_bytes).text)), gave \(delivered_frames) (\(ByteCount(delivered_bytes).text))"
    ]
    if !drops.isEmpty {
      let reasons = drops.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key.replacing("_", with: " "))" }
      lines.append("  lost:      at the port: \(reasons.joined(separator: ", "))")
    }
    if let recording {
      lines.append(
        "  recorded:  \(recording.frames) frames, \(recording.missed) missed\(recording.failure.map { "; nothing more is written: \($0)" } ?? "")")
    }
    return lines
  }
}
