import ArgumentParser

@main struct Pvio: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pvio", abstract: "Xen-style paravirtual devices between processes.", subcommands: [Bench.self])
}
