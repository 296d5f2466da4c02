import DriverCommands
import Testing

@Suite struct PrometheusTextTests {
  @Test func samplesOfOneNameComeTogetherBehindWhatTheyMean() {
    var text = PrometheusText()
    text.add("a_total", .counter, "What a is.", 1, ["id": "x"])
    text.add("b", .gauge, "What b is.", 2.5, ["id": "x", "reason": "none"])
    text.add("a_total", .counter, "What a is.", UInt64.max, ["id": "y"])
    #expect(
      text.text == """
        # HELP a_total What a is.
        # TYPE a_total counter
        a_total{id="x"} 1
        a_total{id="y"} 18446744073709551615
        # HELP b What b is.
        # TYPE b gauge
        b{id="x",reason="none"} 2.5

        """)
  }

  @Test func aValueCannotBreakItsLine() {
    var text = PrometheusText()
    text.add("a", .gauge, "A.", 0, ["path": "x\"} 1\nb{y=\"\\"])
    #expect(text.text.hasSuffix(#"a{path="x\"} 1\nb{y=\"\\"} 0"# + "\n"))
  }

  @Test func nothingIsEmpty() { #expect(PrometheusText().text == "") }
}
