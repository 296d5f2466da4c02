import XenStoreWire

/// Elements by name, in the order of the names: the children of a node, or the watched places below a place.
///
/// A value whose copies share memory. The entries lie in chunks, so that changing a table that has a copy duplicates one chunk and the
/// list of chunks, not the whole table: a directory may have thousands of children, and a transaction shares it.
struct NameTable<Element> {
  struct Entry {
    let name: XenStoreName
    var element: Element
  }

  /// Entries a chunk may have; one more and it is split.
  private static var chunkLimit: Int { 16 }
  /// Two neighbours that have no more than this between them become one.
  private static var mergeLimit: Int { 8 }

  /// None is empty.
  private var chunks: [[Entry]] = []

  var isEmpty: Bool { chunks.isEmpty }
  var count: Int { chunks.reduce(0) { $0 + $1.count } }

  /// All entries in order.
  var entries: FlattenSequence<[[Entry]]> { chunks.joined() }

  /// Appends the names in order, each with a NUL.
  func appendNames(to output: inout [UInt8]) {
    for chunk in chunks {
      // By index: an entry that is copied out of its array costs two reference counts.
      for index in chunk.indices {
        chunk[index].name.append(to: &output)
        output.append(0)
      }
    }
  }

  subscript(name: XenStoreName) -> Element? {
    guard let place = place(of: name) else { return nil }
    return chunks[place.chunk][place.index].element
  }

  /// Lets `body` change an element where it lies; nil when there is none of this name.
  mutating func withElement<Result>(named name: XenStoreName, _ body: (inout Element) -> Result) -> Result? {
    guard let place = place(of: name) else { return nil }
    return body(&chunks[place.chunk][place.index].element)
  }

  /// Adds an element, or replaces the one of this name.
  mutating func set(_ element: Element, named name: XenStoreName) {
    guard !chunks.isEmpty else {
      chunks = [[Entry(name: name, element: element)]]
      return
    }
    let chunk = chunkIndex(for: name)
    let index = NameTable.lowerBound(of: name, in: chunks[chunk])
    if index < chunks[chunk].count, chunks[chunk][index].name == name {
      chunks[chunk][index].element = element
      return
    }
    chunks[chunk].insert(Entry(name: name, element: element), at: index)
    if chunks[chunk].count > NameTable.chunkLimit { split(chunk) }
  }

  /// Takes an element out; nil when there is none of this name.
  mutating func remove(_ name: XenStoreName) -> Element? {
    guard let place = place(of: name) else { return nil }
    let removed = chunks[place.chunk].remove(at: place.index).element
    if chunks[place.chunk].isEmpty {
      chunks.remove(at: place.chunk)
    } else if place.chunk > 0, chunks[place.chunk - 1].count + chunks[place.chunk].count <= NameTable.mergeLimit {
      chunks[place.chunk - 1].append(contentsOf: chunks.remove(at: place.chunk))
    }
    return removed
  }

  mutating func removeAll() { chunks = [] }

  private mutating func split(_ chunk: Int) {
    // Names often come in ascending order (`0`, `1`, ...): the last chunk is then left nearly full instead of half.
    let keep = chunk == chunks.count - 1 ? NameTable.chunkLimit - NameTable.chunkLimit / 8 : NameTable.chunkLimit / 2
    let tail = Array(chunks[chunk][keep...])
    chunks[chunk].removeSubrange(keep...)
    chunks.insert(tail, at: chunk + 1)
  }

  private func place(of name: XenStoreName) -> (chunk: Int, index: Int)? {
    guard !chunks.isEmpty else { return nil }
    let chunk = chunkIndex(for: name)
    let index = NameTable.lowerBound(of: name, in: chunks[chunk])
    return index < chunks[chunk].count && chunks[chunk][index].name == name ? (chunk, index) : nil
  }

  /// The last chunk that begins at or before `name`, else the first: where it is or belongs.
  private func chunkIndex(for name: XenStoreName) -> Int {
    var low = 1
    var high = chunks.count
    while low < high {
      let middle = low + (high - low) / 2
      if name < chunks[middle][0].name { high = middle } else { low = middle + 1 }
    }
    return low - 1
  }

  /// The first entry that is not before `name`.
  private static func lowerBound(of name: XenStoreName, in entries: [Entry]) -> Int {
    var low = 0
    var high = entries.count
    while low < high {
      let middle = low + (high - low) / 2
      if entries[middle].name < name { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
