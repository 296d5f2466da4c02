import ArgumentParser

/// `pvio completions`: what a shell needs to complete the commands and options.
struct CompletionsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "completions", abstract: "Print a completion script for bash, zsh or fish.")

  @Argument(help: "bash, zsh or fish.") var shell: Shell

  enum Shell: String, ExpressibleByArgument, CaseIterable { case bash, zsh, fish }

  func run() {
    let shells: [Shell: CompletionShell] = [.bash: .bash, .zsh: .zsh, .fish: .fish]
    print(Pvio.completionScript(for: shells[shell] ?? .bash))
  }
}
