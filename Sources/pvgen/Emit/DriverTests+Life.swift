/// What a driver's two ends do with a back-end, without one, and with the next one, by transport.
extension DriverTests {
  func requestLife() -> String {
    let sending = driver.dataPageCount > 0 && driver.dataDirection != .toFrontend ? "sending: [1, 2, 3, 4]" : nil
    let receiving = driver.dataPageCount > 0 && driver.dataDirection != .toBackend ? "receiving: 64" : nil
    let call = (["\(prefix)Request()"] + [sending, receiving].compactMap { $0 }).joined(separator: ", ")
    return swiftFile(description) { file in
      file.line("import DriverTestSupport")
      file.line("import PVDriver")
      file.line("import Testing")
      file.line("import \(prefix)Driver")
      file.line()
      file.comment("The driver's calls through a real store and real rings.")
      file.block("@Suite struct \(prefix)LifeTests") { body in
        body.comment("Makes a call. An engine that needs more than an empty request may refuse it; it has to answer.", marker: "///")
        body.block("private func call(_ pair: DriverPair<\(prefix)Engine>) async throws") { body in
          body.line("do throws(RequestRingError) {")
          body.line("  _ = try await pair.client.call(\(call))")
          body.line("} catch {")
          body.line("  guard case .failed = error else { throw error }")
          body.line("}")
        }
        body.line()
        body.block("@Test func callsAreAnsweredAndNothingIsLeft() async throws") { body in
          body.line("let pair = try await DriverPair<\(prefix)Engine>()")
          body.line("try await pair.startBackend()")
          body.line("for _ in 0..<100 { try await call(pair) }")
          body.line("#expect(await pair.counters()?.requests == 100)")
          body.line("#expect(await pair.finish() == \"\")")
        }
        body.line()
        body.block("@Test func callsWaitForABackEndAndGoOnWithTheNextOne() async throws") { body in
          body.line("let pair = try await DriverPair<\(prefix)Engine>()")
          body.line("async let early: Void = call(pair)")
          body.line("try await pair.startBackend()")
          body.line("try await early")
          body.line("await pair.killBackend()")
          body.line("async let between: Void = call(pair)")
          body.line("try await pair.startBackend()")
          body.line("try await between")
          body.line("try await call(pair)")
          body.line("#expect(await pair.finish() == \"\")")
        }
        body.line()
        body.block("@Test func manyCallsAtOnceAllEnd() async throws") { body in
          body.line("let pair = try await DriverPair<\(prefix)Engine>()")
          body.line("try await pair.startBackend()")
          body.line("try await withThrowingTaskGroup(of: Void.self) { group in")
          body.line("  for _ in 0..<500 { group.addTask { try await call(pair) } }")
          body.line("  try await group.waitForAll()")
          body.line("}")
          body.line("#expect(await pair.finish() == \"\")")
        }
      }
    }
  }

  func eventLife() -> String {
    let toFrontend = description.record(named: prefix + "ToFrontend") != nil
    let fromFrontend = description.record(named: prefix + "FromFrontend") != nil
    return suite("The driver's events through a real store and a real page.") { body in
      body.comment("Sends events both ways, as far as the driver has any, until the other end has them.")
      body.block("private func exchange(_ pair: EventDriverPair<\(prefix)Engine>, _ count: Int) async throws") { body in
        if toFrontend {
          body.line("for _ in 0..<count { pair.driver?.send(\(prefix)ToFrontend()) }")
          body.line("try await pair.receive(count)")
        }
        if fromFrontend {
          body.line("let before = await pair.counters()?.counters[\"events_received\"] ?? 0")
          body.line("for _ in 0..<count { pair.client.send(\(prefix)FromFrontend()) }")
          body.line("try await pair.wait { $0.counters[\"events_received\"] ?? 0 >= before + UInt64(count) }")
        }
      }
      body.line()
      body.block("@Test func eventsArriveAndNothingIsLeft() async throws") { body in
        body.line("let pair = try await EventDriverPair<\(prefix)Engine>()")
        body.line("try await pair.startBackend()")
        body.line("for _ in 0..<10 { try await exchange(pair, 100) }")
        body.line("#expect(await pair.finish() == \"\")")
      }
      body.line()
      body.block("@Test func eventsGoOnWithTheNextBackEnd() async throws") { body in
        body.line("let pair = try await EventDriverPair<\(prefix)Engine>()")
        body.line("for _ in 0..<2 {")
        body.line("  try await pair.startBackend()")
        body.line("  try await exchange(pair, 50)")
        body.line("  await pair.killBackend()")
        body.line("}")
        body.line("#expect(await pair.finish() == \"\")")
      }
    }
  }

  func streamLife() -> String {
    suite("The driver's bytes through a real store and real rings.") { body in
      body.block("@Test func bytesArriveAndNothingIsLeft() async throws") { body in
        body.line("let pair = try await StreamDriverPair<\(prefix)Engine>()")
        body.line("try await pair.startBackend()")
        body.line("let drain = pair.drain()")
        body.line("try await pair.client.send([UInt8](repeating: 10, count: 200_000))")
        body.line("try await pair.wait { $0.counters[\"bytes_from_guest\"] == 200_000 }")
        body.line("#expect(await pair.finish() == \"\")")
        body.line("await drain.value")
      }
      body.line()
      body.block("@Test func theNextBackEndBeginsANewStream() async throws") { body in
        body.line("let pair = try await StreamDriverPair<\(prefix)Engine>()")
        body.line("let drain = pair.drain()")
        body.line("for _ in 0..<2 {")
        body.line("  try await pair.startBackend()")
        body.line("  try await pair.client.send([UInt8](repeating: 10, count: 1000))")
        body.line("  try await pair.wait { $0.counters[\"bytes_from_guest\"] == 1000 }")
        body.line("  await pair.killBackend()")
        body.line("}")
        body.line("#expect(await pair.finish() == \"\")")
        body.line("await drain.value")
      }
    }
  }

  private func suite(_ doc: String, _ body: (inout SourceText) -> Void) -> String {
    swiftFile(description) { file in
      file.line("import DriverTestSupport")
      file.line("import PVDriver")
      file.line("import Testing")
      file.line("import \(prefix)Driver")
      file.line()
      file.comment(doc)
      file.block("@Suite struct \(prefix)LifeTests", body)
    }
  }
}
