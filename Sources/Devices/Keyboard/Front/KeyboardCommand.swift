public import ArgumentParser
public import DriverCommands
import PVDriver

/// `pvio keyboard`: the events of a domain's keyboard and pointer, a line each.
public struct KeyboardCommand: AsyncParsableCommand {
  public static let configuration = CommandConfiguration(
    commandName: "keyboard", abstract: "Print the events of a domain's keyboard and pointer, as they come.")
  @OptionGroup var device: FrontendOptions
  @Option(help: "End after so many (default: go on until a signal).") var count: Int?
  public init() {}

  public func run() async throws {
    try await device.use(KeyboardDevice()) { client in
      var left = count ?? .max
      for await event in client.events where left > 0 {
        guard let line = event.line else { continue }
        try StandardOutput.write(Array((line + "\n").utf8))
        left -= 1
        if left == 0 { break }
      }
    }
  }
}

extension DriverRegistration {
  /// Keyboards and pointers.
  public static let keyboard = DriverRegistration(engine: KeyboardEngine.self, commands: [KeyboardCommand.self])
}
