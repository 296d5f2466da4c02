import Foundation

/// Which random tests run.
public enum Seeds {
  /// The seed that `PVIO_SEED` names.
  public static let named = ProcessInfo.processInfo.environment["PVIO_SEED"].flatMap { UInt64($0) }

  /// The seeds of part `part`: the same ones each time, or the one that `PVIO_SEED` names (in part 0).
  public static func chosen(part: Int, count: Int) -> [UInt64] {
    if let seed = named { return part == 0 ? [seed] : [] }
    return (0..<count).map { UInt64(part * count + $0) }
  }
}
