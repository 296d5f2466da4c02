/// Figures in Prometheus' text format (version 0.0.4), which most systems that watch others read.
///
/// Samples may be added in any order: those of one name come together, as the format demands.
/// ```swift
/// var text = PrometheusText()
/// text.add("pvio_disk_reads_total", .counter, "Reads that were served.", 17, ["id": "7-xvda"])
/// print(text.text)
/// ```
public struct PrometheusText {
  public enum Kind: String, Sendable {
    /// Only grows; begins at zero again when what counts is started anew.
    case counter
    case gauge
  }

  /// The media type that HTTP names it by.
  public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

  private struct Family {
    var name: String
    var head: String
    var samples: [String]
  }

  private var families: [Family] = []
  private var places: [String: Int] = [:]

  public init() {}

  /// Adds one sample. `name` and the labels' names are letters, digits and `_`; a label's value may be any text. What one name means is
  /// said once: later calls with the same name only add samples.
  public mutating func add(_ name: String, _ kind: Kind, _ help: String, _ value: some Numeric, _ labels: KeyValuePairs<String, String>) {
    let place = places[name] ?? families.count
    if place == families.count {
      families.append(Family(name: name, head: "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n", samples: []))
      places[name] = place
    }
    let list = labels.map { "\($0)=\"\(PrometheusText.escaped($1))\"" }.joined(separator: ",")
    families[place].samples.append("\(name){\(list)} \(value)\n")
  }

  /// Everything that was added, in the order in which its names came first.
  public var text: String { families.map { $0.head + $0.samples.joined() }.joined() }

  private static func escaped(_ value: String) -> String {
    value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
  }
}
