import XenStoreWire

/// Paths, each once, in the order in which they came. Most transactions know a handful: to compare those costs less than to hash them.
struct FewPaths {
  /// Paths that are compared one by one.
  private static let scanLimit = 8

  /// All of them.
  private(set) var all: [XenStorePath] = []
  /// Where each is, once there are more than ``scanLimit``.
  private var places: [XenStorePath: Int]?

  var count: Int { all.count }
  var isEmpty: Bool { all.isEmpty }

  /// Where in ``all`` a path is.
  func index(of path: XenStorePath) -> Int? {
    guard let places else { return all.firstIndex(of: path) }
    return places[path]
  }

  func contains(_ path: XenStorePath) -> Bool { index(of: path) != nil }

  /// False when it is there already.
  mutating func insert(_ path: XenStorePath) -> Bool {
    guard !contains(path) else { return false }
    all.append(path)
    if places != nil {
      places?[path] = all.count - 1
    } else if all.count > FewPaths.scanLimit {
      places = Dictionary(uniqueKeysWithValues: all.enumerated().map { ($1, $0) })
    }
    return true
  }
}
