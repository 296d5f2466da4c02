/// A set of C layout rules a message can have: the values of the `protocol` store key that we support.
enum ABI: String, CaseIterable, Hashable, Sendable, Comparable {
  /// Natural alignment. Every other 64-bit machine has the same layouts.
  case x8664 = "x86_64"
  /// As on x86_64, but 64-bit integers are aligned to four bytes only.
  case x8632 = "x86_32"

  /// Ending of a Swift type whose layout differs from the x86_64 one.
  var swiftSuffix: String {
    switch self {
    case .x8664: ""
    case .x8632: "X8632"
    }
  }

  /// Macro that C compilers define when they follow these rules.
  var compilerMacro: String {
    switch self {
    case .x8664: "__x86_64__"
    case .x8632: "__i386__"
    }
  }

  /// Alignment of an integer of `byteCount` bytes inside a structure.
  func alignment(ofIntegerWith byteCount: Int) -> Int {
    self == .x8632 ? min(byteCount, 4) : byteCount
  }

  static func < (left: ABI, right: ABI) -> Bool { left == .x8664 && right == .x8632 }
}
