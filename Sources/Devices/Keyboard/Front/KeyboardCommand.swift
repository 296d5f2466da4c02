public import ArgumentParser
import DriverCommands
import PVDriver
import Xenbus

/// `pvio keyboard`: the events of a domain's keyboard and pointer, a line each.
public struct KeyboardCommand: AsyncParsableCommand {
  public static let configuration = CommandConfiguration(
    commandName: "keyboard", abstract: "Print the events of a domain's keyboard and pointer, as they come.")
  @OptionGroup var device: FrontendOptions
  @Option(help: "End after so many (default: go on until a signal).") var count: Int?
  public init() {}

  public func run() async throws {
    try await device.use(KeyboardDevice.kind) { session in
      let (lines, continuation) = AsyncStream<String>.makeStream(bufferingPolicy: .bufferingNewest(4096))
      let driver = await EventPageFrontendDriver(
        KeyboardDevice(), loop: session.loop, platform: session.platform, notices: session.notices, logger: session.logger
      ) { event in
        if let line = event.line { continuation.yield(line) }
      }
      let (reporter, address, logger) = (driver.reporter, session.address, session.logger)
      Task { await FrontendOptions.report(reporter.reports(), address, logger) }
      return FrontendOptions.Use(
        driver: driver, isConnected: { await reporter.waitUntilConnected() },
        body: {
          var left = count ?? .max
          for await line in lines where left > 0 {
            try StandardOutput.write(Array((line + "\n").utf8))
            left -= 1
            if left == 0 { break }
          }
        },
        close: {
          continuation.finish()
          reporter.closed()
        })
    }
  }
}
