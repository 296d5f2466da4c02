import SystemPackage

/// Why a request is answered with an error: always with a number of Linux's (`Rlerror`).
enum NinePFailure: Error, Equatable {
  /// The message ends too early.
  case malformed
  /// A name that is none: empty, `.`, `..`, with a slash or a zero byte.
  case invalidName
  case unknownFid
  case fidInUse
  case tooManyFids
  case readOnly
  case unsupported
  case notOpen
  case system(Errno)

  var number: UInt32 {
    switch self {
    case .malformed: 22
    case .invalidName: 22
    case .unknownFid, .notOpen: 9
    case .fidInUse: 17
    case .tooManyFids: 24
    case .readOnly: 30
    case .unsupported: 95
    case .system(let errno): UInt32(errno.rawValue)
    }
  }
}

/// Runs a call of the system, and turns what it throws into an answer.
func answering<Result: ~Copyable>(_ call: () throws(Errno) -> Result) throws(NinePFailure) -> Result {
  do throws(Errno) { return try call() } catch { throw .system(error) }
}
