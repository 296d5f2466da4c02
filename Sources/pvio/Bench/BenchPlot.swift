/// Draws a report as an SVG: one pair of bars a case, each pair on a scale of its own.
struct BenchPlot {
  private let report: BenchReport
  init(_ report: BenchReport) { self.report = report }

  private static let labelWidth = 230.0
  private static let barWidth = 420.0
  private static let rowHeight = 64.0

  var svg: String {
    let height = 70 + Self.rowHeight * Double(report.rows.count)
    var text = """
      <svg xmlns="http://www.w3.org/2000/svg" width="900" height="\(Int(height))" font-family="sans-serif" font-size="13">
      <rect width="100%" height="100%" fill="white"/>
      <text x="16" y="26" font-size="17" font-weight="bold">pvio bench \(Self.escaped(report.benchmark))</text>
      <text x="16" y="46" fill="#666" font-size="11">\(Self.escaped(report.machine.summary))</text>

      """
    for (index, row) in report.rows.enumerated() { text += draw(row, top: 64 + Self.rowHeight * Double(index)) }
    return text + "</svg>\n"
  }

  private func draw(_ row: BenchReport.Row, top: Double) -> String {
    let scale = Self.barWidth / max(row.ours.maximum, row.peer?.series.maximum ?? 0, .leastNormalMagnitude)
    var text = """
      <text x="16" y="\(top + 20)" font-weight="bold">\(Self.escaped(row.name))</text>
      <text x="16" y="\(top + 38)" fill="#666" font-size="11">\(Self.escaped(row.unit)), \(row.better.rawValue) is better\(row.ratio.map { ", × \(($0 * 100).rounded() / 100)" } ?? "")</text>

      """
    text += bar(row.ours, name: "pvio", color: "#2f6fb4", top: top + 6, scale: scale)
    if let peer = row.peer { text += bar(peer.series, name: peer.name, color: "#b4b4b4", top: top + 28, scale: scale) }
    return text
  }

  /// The bar is the median; the line across its end goes from the smallest to the largest round.
  private func bar(_ series: BenchReport.Series, name: String, color: String, top: Double, scale: Double) -> String {
    let left = Self.labelWidth
    let middle = top + 9
    return """
      <rect x="\(left)" y="\(top)" width="\(series.median * scale)" height="18" fill="\(color)"/>
      <line x1="\(left + series.minimum * scale)" x2="\(left + series.maximum * scale)" y1="\(middle)" y2="\(middle)" stroke="black"/>
      <text x="\(left + Self.barWidth + 12)" y="\(top + 14)">\(grouped(series.median)) \(Self.escaped(name))</text>

      """
  }

  private static func escaped(_ text: String) -> String {
    String(text.flatMap { character -> [Character] in
      switch character {
      case "<": Array("&lt;")
      case ">": Array("&gt;")
      case "&": Array("&amp;")
      default: [character]
      }
    })
  }
}
