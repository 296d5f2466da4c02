import XenStoreWire

/// Elements by name, in the order of the names: the children of a node, or the watched places below a place.
///
/// A value whose copies share memory. The entries lie in chunks, so that changing a table that has a copy duplicates one chunk and the
/// list of chunks, not the whole table: a directory may have thousands of children, and a transaction shares it. Names lie apart from the
/// elements: an element that is replaced by another leaves the names as they are, and who looks for a name finds names side by side.
struct NameTable<Element> {
  struct Entry {
    let name: XenStoreName
    let element: Element
  }

  private struct Place {
    let chunk: Int
    let index: Int
  }

  /// Entries a chunk may have; one more and it is split.
  private static var chunkLimit: Int { 16 }
  /// Two neighbours that have no more than this between them become one.
  private static var mergeLimit: Int { 8 }

  /// None is empty.
  private(set) var names: [[XenStoreName]] = []
  /// The element of each name, in chunks of the same sizes.
  private(set) var elements: [[Element]] = []

  var isEmpty: Bool { names.isEmpty }
  var count: Int { names.reduce(0) { $0 + $1.count } }

  /// All entries in order.
  var entries: Entries { Entries(table: self) }

  struct Entries: Sequence, IteratorProtocol {
    fileprivate let table: NameTable
    private var chunk = 0
    private var index = 0

    fileprivate init(table: NameTable) { self.table = table }

    mutating func next() -> Entry? {
      guard chunk < table.names.count else { return nil }
      let entry = Entry(name: table.names[chunk][index], element: table.elements[chunk][index])
      index += 1
      if index == table.names[chunk].count {
        chunk += 1
        index = 0
      }
      return entry
    }
  }

  /// Appends the names in order, each with a NUL.
  func appendNames(to output: inout [UInt8]) {
    for chunk in names {
      for name in chunk {
        name.append(to: &output)
        output.append(0)
      }
    }
  }

  subscript(name: XenStoreName) -> Element? { place(of: name).map { elements[$0.chunk][$0.index] } }

  /// Lets `body` change an element where it lies; nil when there is none of this name.
  mutating func withElement<Result>(named name: XenStoreName, _ body: (inout Element) -> Result) -> Result? {
    guard let place = place(of: name) else { return nil }
    return body(&elements[place.chunk][place.index])
  }

  /// Adds an element, or replaces the one of this name.
  mutating func set(_ element: Element, named name: XenStoreName) {
    guard !names.isEmpty else {
      names = [[name]]
      elements = [[element]]
      return
    }
    let chunk = chunkIndex(for: name)
    let index = NameTable.lowerBound(of: name, in: names[chunk])
    if index < names[chunk].count, names[chunk][index] == name {
      elements[chunk][index] = element
      return
    }
    names[chunk].insert(name, at: index)
    elements[chunk].insert(element, at: index)
    if names[chunk].count > NameTable.chunkLimit { split(chunk) }
  }

  /// Takes an element out; nil when there is none of this name.
  mutating func remove(_ name: XenStoreName) -> Element? {
    guard let place = place(of: name) else { return nil }
    let chunk = place.chunk
    names[chunk].remove(at: place.index)
    let removed = elements[chunk].remove(at: place.index)
    if names[chunk].isEmpty {
      names.remove(at: chunk)
      elements.remove(at: chunk)
    } else if chunk > 0, names[chunk - 1].count + names[chunk].count <= NameTable.mergeLimit {
      names[chunk - 1].append(contentsOf: names.remove(at: chunk))
      elements[chunk - 1].append(contentsOf: elements.remove(at: chunk))
    }
    return removed
  }

  mutating func removeAll() { self = NameTable() }

  private mutating func split(_ chunk: Int) {
    // Names often come in ascending order (`0`, `1`, ...): the last chunk is then left nearly full instead of half.
    let keep = chunk == names.count - 1 ? NameTable.chunkLimit - NameTable.chunkLimit / 8 : NameTable.chunkLimit / 2
    names.insert(Array(names[chunk][keep...]), at: chunk + 1)
    names[chunk].removeSubrange(keep...)
    elements.insert(Array(elements[chunk][keep...]), at: chunk + 1)
    elements[chunk].removeSubrange(keep...)
  }

  private func place(of name: XenStoreName) -> Place? {
    guard !names.isEmpty else { return nil }
    let chunk = chunkIndex(for: name)
    guard let index = NameTable.index(of: name, in: names[chunk]) else { return nil }
    return Place(chunk: chunk, index: index)
  }

  /// The last chunk that begins at or before `name`, else the first: where it is or belongs.
  func chunkIndex(for name: XenStoreName) -> Int {
    var low = 1
    var high = names.count
    while low < high {
      let middle = low + (high - low) / 2
      if name < names[middle][0] { high = middle } else { low = middle + 1 }
    }
    return low - 1
  }

  /// Where a name is; in a function of its own, for a name that is taken out of its array costs reference counts.
  static func index(of name: XenStoreName, in names: [XenStoreName]) -> Int? {
    let index = lowerBound(of: name, in: names)
    let names = names.span
    return index < names.count && names[index] == name ? index : nil
  }

  /// The first of `names` that is not before `name`.
  private static func lowerBound(of name: XenStoreName, in names: [XenStoreName]) -> Int {
    let names = names.span
    var low = 0
    var high = names.count
    while low < high {
      let middle = low + (high - low) / 2
      if names[middle] < name { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
