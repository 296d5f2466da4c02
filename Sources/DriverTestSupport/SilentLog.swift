import Logging

/// What a hostile peer makes a back-end say is not for the tests' output.
let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
