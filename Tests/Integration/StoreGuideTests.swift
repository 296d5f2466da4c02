import Foundation
import LinuxSystem
import Testing

extension Integration {
  /// `docs/store.md`, run as it stands.
  @Suite struct StoreGuide {
    /// A command of a `console` block, and what the page says it prints: `*` is any text, a line `...` any lines.
    struct Step {
      var line: Int
      var command: String
      var output: [String] = []

      func isShown(by printed: String) -> Bool {
        // How wide a column is depends on what is in it.
        func words(_ line: some StringProtocol) -> String { line.split(separator: " ").joined(separator: " ") }
        // The shell's own remarks on jobs come when it gets to it.
        let lines = printed.split(separator: "\n").filter { !$0.contains("Terminated") }
        let printed = lines.map(words).joined(separator: "\n")
        let patterns = output.map { line in
          line == "..."
            ? "(?:[^\\n]*\\n)*?[^\\n]*"
            : words(line).components(separatedBy: "*").map(NSRegularExpression.escapedPattern(for:)).joined(separator: "[^\\n]*")
        }
        return printed.range(of: "^" + patterns.joined(separator: "\\n") + "$", options: .regularExpression) != nil
      }
    }

    private static let page = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "../../docs/store.md").standardized

    private func steps() throws -> [Step] {
      var steps: [Step] = []
      var isInBlock = false
      for (index, line) in try String(contentsOf: Self.page, encoding: .utf8).components(separatedBy: "\n").enumerated() {
        if line.hasPrefix("```") {
          isInBlock = line == "```console"
        } else if isInBlock, line.hasPrefix("$ ") {
          steps.append(Step(line: index + 1, command: String(line.dropFirst(2))))
        } else if isInBlock {
          try #require(!steps.isEmpty, "line \(index + 1) is no command and nothing's output")
          steps[steps.count - 1].output.append(line)
        }
      }
      return steps
    }

    @Test(.enabled(if: Program.arePresent("bash", "xenstore-ls"), "bash or xenstore-utils is not installed"))
    func everyCommandPrintsWhatThePageSays() async throws {
      try await withTestBed(daemon: false) { bed in
        let steps = try steps()
        #expect(steps.count > 40)
        let programs = Program.pvio.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        let mark = "=== step"
        // One shell, as the reader's; an unexpected failure does not end it.
        let script = """
          exec 2>&1
          cd '\(bed.directory)'
          PATH='\(programs)':/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

          """ + steps.map { "printf '\(mark)\\n'\n\($0.command)\n" }.joined()
        let path = "\(bed.directory)/guide.sh"
        try Data(script.utf8).write(to: URL(fileURLWithPath: path))
        let shell = try bed.start("bash", [path])
        let ending = try await shell.finish()
        let outputs = shell.output.components(separatedBy: mark + "\n").dropFirst()
        #expect(outputs.count == steps.count, "the shell ended with \(ending) after \(outputs.count) steps\n\(shell.output)\(shell.errors)")
        for (step, output) in zip(steps, outputs) {
          #expect(step.isShown(by: output), "docs/store.md:\(step.line): \(step.command)\n\(output)")
        }
      }
    }
  }
}
