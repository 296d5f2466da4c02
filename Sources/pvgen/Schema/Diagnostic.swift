/// Where in a protocol file something was said.
struct SourceLocation: Hashable, Sendable, CustomStringConvertible {
  /// Path of the file, as the user gave it.
  let file: String
  /// Line, counted from 1.
  let line: Int

  var description: String { "\(file):\(line)" }
}

/// One mistake in a protocol file: where it is and what is wrong.
struct Diagnostic: Hashable, Sendable, CustomStringConvertible {
  let location: SourceLocation
  let reason: String

  var description: String { "\(location): \(reason)" }
}

/// Everything that is wrong with the protocol files, in the order it was found.
struct InvalidProtocol: Error, CustomStringConvertible {
  let diagnostics: [Diagnostic]

  init(_ diagnostics: [Diagnostic]) { self.diagnostics = diagnostics }

  init(_ location: SourceLocation, _ reason: String) {
    self.init([Diagnostic(location: location, reason: reason)])
  }

  var description: String { diagnostics.map(\.description).joined(separator: "\n") }
}
