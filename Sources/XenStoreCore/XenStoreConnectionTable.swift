/// Names one connection of a ``XenStoreCore``; never used twice.
@frozen public struct XenStoreConnectionID: Hashable, Sendable, CustomStringConvertible {
  /// Counts connections and other things of a store; never used twice.
  @usableFromInline let number: UInt64
  /// A place in tables, used again when the connection is gone.
  @usableFromInline let slot: Int32

  @usableFromInline init(number: UInt64, slot: Int32) {
    self.number = number
    self.slot = slot
  }

  public var description: String { "connection \(number)" }
}

/// Something for each of some connections of one core, found without hashing: it is asked for several times in every request.
@frozen public struct XenStoreConnectionTable<Element> {
  @usableFromInline var places: [(id: XenStoreConnectionID, element: Element)?] = []
  public private(set) var count = 0

  public init() {}

  public var isEmpty: Bool { count == 0 }

  @inlinable public subscript(id: XenStoreConnectionID) -> Element? { XenStoreConnectionTable.element(id, in: places) }

  /// In a function of its own, to which the places are lent; where they are indexed in place, they are retained first.
  @inlinable @inline(never) static func element(_ id: XenStoreConnectionID, in places: [(id: XenStoreConnectionID, element: Element)?]) -> Element? {
    guard id.slot < places.count, let place = places[Int(id.slot)], place.id == id else { return nil }
    return place.element
  }

  /// Enters what belongs to a connection. A connection of the same slot must have been removed before.
  public mutating func insert(_ element: Element, for id: XenStoreConnectionID) {
    while places.count <= Int(id.slot) { places.append(nil) }
    precondition(places[Int(id.slot)] == nil, "\(id) takes the place of one that is still there")
    places[Int(id.slot)] = (id, element)
    count += 1
  }

  /// Takes out what belongs to a connection; nil when there is nothing.
  public mutating func remove(_ id: XenStoreConnectionID) -> Element? {
    guard let element = self[id] else { return nil }
    places[Int(id.slot)] = nil
    count -= 1
    return element
  }

  /// All elements, by slot.
  public var elements: [Element] { places.compactMap { $0?.element } }

  /// A slot that is free.
  func freeSlot() -> Int32 { Int32(places.firstIndex { $0 == nil } ?? places.count) }
}
