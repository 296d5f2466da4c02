/// The result of one benchmark: the JSON object, the table and the plot are made from it.
struct BenchReport {
  /// Name of the benchmark: `ring`, `block`, and so on.
  var benchmark: String
  var machine: MachineDescription
  var rows: [Row]

  /// Which direction is better.
  enum Better: String { case higher, lower }

  /// One case, measured `rounds` times.
  struct Row {
    var name: String
    var unit: String
    var better: Better
    var ours: Series
    var peer: (name: String, series: Series)?

    /// Median of ours ÷ median of the peer's.
    var ratio: Double? {
      guard let peer, peer.series.median > 0 else { return nil }
      return ours.median / peer.series.median
    }
  }

  /// One figure of a case that gives several; what is added to the case's name is empty for the main one.
  typealias Column<Figures> = (suffix: String, unit: String, better: Better, value: (Figures) -> Double)

  /// A row for each column, from all rounds of one case and one peer.
  static func rows<Figures>(
    _ name: String, _ columns: [Column<Figures>], ours: [Figures], peer: (name: String, figures: [Figures])?
  ) -> [Row] {
    columns.map { column in
      Row(
        name: name + column.suffix, unit: column.unit, better: column.better, ours: Series(values: ours.map(column.value)),
        peer: peer.map { ($0.name, Series(values: $0.figures.map(column.value))) })
    }
  }

  /// What the rounds gave.
  struct Series {
    var values: [Double]

    var median: Double {
      let sorted = values.sorted()
      let middle = sorted.count / 2
      return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
    }
    var minimum: Double { values.min() ?? 0 }
    var maximum: Double { values.max() ?? 0 }
  }
}

extension BenchReport {
  /// `bench --json`, as docs and scripts know it.
  var json: JSONValue {
    .object([
      ("benchmark", .string(benchmark)),
      ("machine", machine.json),
      ("rows", .array(rows.map(\.json))),
    ])
  }

  /// For people.
  var table: String {
    let header = ["case", "unit", "ours", "min … max", "peer", "min … max", "ratio"]
    let cells = rows.map { row in
      [
        row.name, row.unit, grouped(row.ours.median), "\(grouped(row.ours.minimum)) … \(grouped(row.ours.maximum))",
        row.peer.map { "\(grouped($0.series.median)) \($0.name)" } ?? "-",
        row.peer.map { "\(grouped($0.series.minimum)) … \(grouped($0.series.maximum))" } ?? "-",
        row.ratio.map { "\(($0 * 100).rounded() / 100)" + (row.better == .lower ? " (lower is better)" : "") } ?? "-",
      ]
    }
    let widths = header.indices.map { column in ([header] + cells).map { $0[column].count }.max() ?? 0 }
    let lines = ([header] + cells).map { line in
      zip(line, widths).map { cell, width in cell + String(repeating: " ", count: width - cell.count) }.joined(separator: "  ")
    }
    return "\(machine.summary)\n\n" + lines.joined(separator: "\n")
  }
}

extension BenchReport.Row {
  var json: JSONValue {
    .object([
      ("case", .string(name)),
      ("unit", .string(unit)),
      ("better", .string(better.rawValue)),
      ("ours", .object(ours.members)),
      ("peer", peer.map { .object([("name", .string($0.name))] + $0.series.members) } ?? .null),
      ("ratio", ratio.map { .number($0) } ?? .null),
    ])
  }
}

extension BenchReport.Series {
  fileprivate var members: [(String, JSONValue)] {
    [("median", .number(median)), ("min", .number(minimum)), ("max", .number(maximum)), ("rounds", .number(Double(values.count)))]
  }
}

/// A number with its thousands apart: 31 456 789.
func grouped(_ value: Double) -> String {
  var digits = String(Int64(value.rounded()))
  let sign = digits.hasPrefix("-") ? String(digits.removeFirst()) : ""
  var groups: [Substring] = []
  var rest = Substring(digits)
  while rest.count > 3 {
    groups.insert(rest.suffix(3), at: 0)
    rest = rest.dropLast(3)
  }
  return sign + ([rest] + groups).joined(separator: " ")
}
