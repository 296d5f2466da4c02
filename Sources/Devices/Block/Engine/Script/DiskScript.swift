import LinuxSystem
import SystemPackage

/// A program that serves a disk: each sub-command is one call of it (the protocol of nbdkit's sh plugin, with fewer and shorter names).
///
/// The first argument says what to do, the second is what `open` printed. Exit code 0: done; 1: failed, with the reason on standard error;
/// 2: there is no such sub-command here.
struct DiskScript: Sendable {
  /// What a script can be asked.
  enum Request: Sendable, Equatable {
    case open(isReadOnly: Bool)
    case size
    case read(byteCount: Int, offset: UInt64)
    case write(byteCount: Int, offset: UInt64)
    case flush
    case discard(byteCount: UInt64, offset: UInt64)

    var name: String {
      switch self {
      case .open: "open"
      case .size: "size"
      case .read: "read"
      case .write: "write"
      case .flush: "flush"
      case .discard: "discard"
      }
    }
  }

  enum Failure: Error, Equatable {
    /// Exit code 2.
    case missing
    /// One line that says what went wrong, without the script's name.
    case failed(String)
  }

  let path: String
  /// What `open` printed.
  private(set) var handle = ""
  let patienceNanoseconds: UInt64

  init(path: String, patienceNanoseconds: UInt64) {
    self.path = path
    self.patienceNanoseconds = patienceNanoseconds
  }

  /// Calls the script and returns what it printed. Blocks until it has ended.
  func call(_ request: Request, input: [UInt8] = []) throws(Failure) -> [UInt8] {
    let expected: Int? = if case .read(let byteCount, _) = request { byteCount } else { nil }
    let call = ProgramCall(path, outputLimit: (expected ?? 4096) + 1, patienceNanoseconds: patienceNanoseconds)
    let outcome: ProgramCall.Outcome
    do throws(Errno) { outcome = try call.run(arguments(request), input: input) } catch { throw .failed(Self.startFailure(error)) }
    // Nobody reads more than that, and a script may fail because of it.
    if let expected, outcome.output.count > expected { throw .failed("printed more than \(expected) bytes for 'read'") }
    guard let ending = outcome.ending else {
      throw .failed("did not answer '\(request.name)' within \(patienceNanoseconds / 1_000_000_000) s, and was ended")
    }
    if ending == .exited(2) { throw .missing }
    guard ending == .exited(0) else {
      let words = String(decoding: outcome.errors, as: UTF8.self).split(whereSeparator: \.isNewline).first.map { ": \($0)" } ?? ""
      throw .failed("failed at '\(request.name)' (\(ending))\(words)")
    }
    if let expected, outcome.output.count != expected {
      throw .failed("printed \(outcome.output.count) bytes for 'read', expected \(expected)")
    }
    return outcome.output
  }

  private func arguments(_ request: Request) -> [String] {
    switch request {
    case .open(let isReadOnly): ["open", isReadOnly ? "ro" : "rw"]
    case .size: ["size", handle]
    case .read(let byteCount, let offset), .write(let byteCount, let offset): [request.name, handle, "\(byteCount)", "\(offset)"]
    case .flush: ["flush", handle]
    case .discard(let byteCount, let offset): ["discard", handle, "\(byteCount)", "\(offset)"]
    }
  }

  private static func startFailure(_ errno: Errno) -> String {
    switch errno {
    case .noSuchFileOrDirectory, .notDirectory: "does not exist, or names an interpreter in its first line that does not"
    case .permissionDenied: "may not be run; make it executable, for example with chmod +x"
    case .execFormatError: "is no program; its first line should be an interpreter such as #!/bin/sh"
    default: "cannot be run: \(errno)"
    }
  }

  // MARK: Opening

  /// What a script can do, as it says itself.
  struct Abilities: Sendable, Equatable {
    var byteCount: UInt64
    var canWrite: Bool
    var canDiscard: Bool
  }

  /// Asks for a handle, the size, and whether writes and discards are there: both with zero bytes.
  mutating func open(isReadOnly: Bool) throws(Failure) -> Abilities {
    // Without `open` there is nothing to tell connections apart by.
    if let printed = try optional(.open(isReadOnly: isReadOnly)) { handle = Self.text(printed) }
    guard let printed = try optional(.size) else { throw .failed("has no 'size' (exit code 2), which says how large the disk is") }
    guard let byteCount = UInt64(Self.text(printed)) else {
      throw .failed("printed '\(Self.text(printed).prefix(40))' for 'size', expected a number of bytes")
    }
    guard !isReadOnly else { return Abilities(byteCount: byteCount, canWrite: false, canDiscard: false) }
    let canWrite = try optional(.write(byteCount: 0, offset: 0)) != nil
    return Abilities(byteCount: byteCount, canWrite: canWrite, canDiscard: try canWrite && optional(.discard(byteCount: 0, offset: 0)) != nil)
  }

  /// Nil when the script has no such sub-command.
  private func optional(_ request: Request) throws(Failure) -> [UInt8]? {
    do throws(Failure) { return try call(request) } catch {
      if error == .missing { return nil }
      throw error
    }
  }

  /// What was printed, up to the end of its first line.
  private static func text(_ bytes: [UInt8]) -> String {
    String(String(decoding: bytes, as: UTF8.self).prefix { !$0.isNewline })
  }
}
