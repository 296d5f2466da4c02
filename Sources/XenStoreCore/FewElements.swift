/// Elements, each once and with something that is known of it, in the order in which they came. Most transactions know a handful of paths:
/// to compare those costs less than to hash them.
struct FewElements<Element: Hashable, Detail> {
  struct Entry {
    let element: Element
    var detail: Detail
  }

  /// Elements that are compared one by one.
  private static var scanLimit: Int { 8 }

  private(set) var entries: [Entry] = []
  /// Where each is, once there are more than ``scanLimit``.
  private var places: [Element: Int]?

  var count: Int { entries.count }
  var isEmpty: Bool { entries.isEmpty }
  /// All elements.
  var all: [Element] { entries.map(\.element) }

  /// Where in ``entries`` an element is.
  func index(of element: Element) -> Int? {
    guard let places else { return entries.firstIndex { $0.element == element } }
    return places[element]
  }

  func contains(_ element: Element) -> Bool { index(of: element) != nil }

  subscript(detailAt index: Int) -> Detail {
    get { entries[index].detail }
    set { entries[index].detail = newValue }
  }

  /// False, and its detail stays as it is, when the element is there already.
  @discardableResult mutating func insert(_ element: Element, _ detail: Detail) -> Bool {
    guard !contains(element) else { return false }
    entries.append(Entry(element: element, detail: detail))
    if places != nil {
      places?[element] = entries.count - 1
    } else if entries.count > FewElements.scanLimit {
      places = Dictionary(uniqueKeysWithValues: entries.enumerated().map { ($1.element, $0) })
    }
    return true
  }
}

extension FewElements where Detail == Void {
  mutating func insert(_ element: Element) { insert(element, ()) }
}
