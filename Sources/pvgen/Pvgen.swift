import ArgumentParser
import Foundation

/// The generator: reads `Protocols/`, writes what the architecture derives from it.
@main
struct Pvgen: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pvgen",
    abstract: "Writes Swift, C and reference pages from the protocol descriptions in Protocols/.",
    subcommands: [Generate.self, Check.self],
    defaultSubcommand: Generate.self)
}

struct PackageOptions: ParsableArguments {
  @Option(help: "The package root: the folder that holds Protocols/.")
  var root = "."

  var folder: ProtocolFolder { ProtocolFolder(root: URL(fileURLWithPath: root, isDirectory: true)) }

  /// Loads the protocols; mistakes in them go to standard error, one a line.
  func load() throws -> [ProtocolDescription] {
    do {
      return try folder.load()
    } catch let error as InvalidProtocol {
      printError(error.description)
      throw ExitCode.failure
    }
  }
}

extension Pvgen {
  struct Generate: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Write every generated file that is missing or stale.")

    @OptionGroup var package: PackageOptions

    func run() throws {
      let changed = try package.folder.write(Outputs(package.load()))
      for path in changed { print(path) }
    }
  }

  struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List generated files that are stale; exit with 1 if there is one.")

    @OptionGroup var package: PackageOptions

    func run() throws {
      let stale = try package.folder.staleFiles(Outputs(package.load()))
      guard stale.isEmpty else {
        for path in stale { printError("\(path): stale, run 'swift run pvgen generate'") }
        throw ExitCode.failure
      }
    }
  }
}

private func printError(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }
