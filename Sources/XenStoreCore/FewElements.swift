/// Elements, each once, in the order in which they came. Most transactions know a handful of paths: to compare those costs less than to hash
/// them.
struct FewElements<Element: Hashable> {
  /// Elements that are compared one by one.
  private static var scanLimit: Int { 8 }

  /// All of them.
  private(set) var all: [Element] = []
  /// Where each is, once there are more than ``scanLimit``.
  private var places: [Element: Int]?

  var count: Int { all.count }
  var isEmpty: Bool { all.isEmpty }

  /// Where in ``all`` an element is.
  func index(of element: Element) -> Int? {
    guard let places else { return all.firstIndex(of: element) }
    return places[element]
  }

  func contains(_ element: Element) -> Bool { index(of: element) != nil }

  /// False when it is there already.
  @discardableResult mutating func insert(_ element: Element) -> Bool {
    guard !contains(element) else { return false }
    all.append(element)
    if places != nil {
      places?[element] = all.count - 1
    } else if all.count > FewElements.scanLimit {
      places = Dictionary(uniqueKeysWithValues: all.enumerated().map { ($1, $0) })
    }
    return true
  }
}
