/// Remembers who waits for which operation: a bounded table whose slots carry a generation, so that a completion that
/// comes late, twice, or from a cancelled operation can never be taken for another one's.
///
/// Confined to the ring's thread. No allocation after `init`.
public struct InFlightTable {
  /// Who gets the completion, and the number it gave the operation.
  @frozen public struct Entry: Sendable {
    public var owner: UInt32
    public var tag: UInt64

    @inlinable public init(owner: UInt32, tag: UInt64) {
      self.owner = owner
      self.tag = tag
    }
  }

  @usableFromInline struct Slot {
    @usableFromInline var entry: Entry
    /// Odd while in use: a freed slot never matches a handed-out generation.
    @usableFromInline var generation: UInt32
    @usableFromInline var nextFree: UInt32
    @inlinable init(entry: Entry, generation: UInt32, nextFree: UInt32) {
      self.entry = entry
      self.generation = generation
      self.nextFree = nextFree
    }
  }

  @usableFromInline var slots: [Slot]
  @usableFromInline var firstFree: UInt32
  /// Operations in flight now.
  public private(set) var count = 0
  @usableFromInline static var none: UInt32 { .max }

  public init(capacity: Int) {
    precondition(capacity > 0 && capacity < Int(UInt32.max))
    slots = (0..<capacity).map {
      Slot(entry: Entry(owner: 0, tag: 0), generation: 0, nextFree: $0 + 1 < capacity ? UInt32($0 + 1) : Self.none)
    }
    firstFree = 0
  }

  public var capacity: Int { slots.count }

  /// Takes a slot and returns the user data to submit with, or nil when the table is full.
  public mutating func begin(_ entry: Entry) -> UInt64? {
    guard firstFree != Self.none else { return nil }
    let index = firstFree
    firstFree = slots[Int(index)].nextFree
    slots[Int(index)].generation &+= 1
    slots[Int(index)].entry = entry
    count += 1
    return UInt64(slots[Int(index)].generation) << 32 | UInt64(index)
  }

  /// The entry that `userData` stands for, or nil when it is stale. `isLast` frees the slot.
  public mutating func complete(_ userData: UInt64, isLast: Bool) -> Entry? {
    let index = Int(userData & 0xFFFF_FFFF)
    guard index < slots.count, slots[index].generation == UInt32(userData >> 32), slots[index].generation & 1 == 1 else { return nil }
    let entry = slots[index].entry
    if isLast {
      slots[index].generation &+= 1
      slots[index].nextFree = firstFree
      firstFree = UInt32(index)
      count -= 1
    }
    return entry
  }
}
