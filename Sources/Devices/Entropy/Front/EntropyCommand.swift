public import ArgumentParser
public import DriverCommands
import PVDriver

/// `pvio entropy`: random bytes of another domain's kernel, on standard output.
public struct EntropyCommand: AsyncParsableCommand {
  public static let configuration = CommandConfiguration(commandName: "entropy", abstract: "Print random bytes from a domain's entropy device.")
  @OptionGroup var device: FrontendOptions
  @Option(help: "How many.") var bytes = 32
  public init() {}

  public func run() async throws {
    try await device.use(EntropyInterface.self) { client in
      for start in stride(from: 0, to: bytes, by: client.maximumDataByteCount) {
        let reply = try await client.call(EntropyRequest(), receiving: min(bytes - start, client.maximumDataByteCount))
        try StandardOutput.write(reply.data)
      }
    }
  }
}

extension DriverRegistration {
  /// Random bytes.
  public static let entropy = DriverRegistration(engine: EntropyEngine.self, commands: [EntropyCommand.self])
}
