import SharedMemory
import XenInterface
import XenPlatform

/// Pages that frames are copied to for the back-end, which can only read them. A page's number is the identifier of its request.
struct TransmitPages: ~Copyable {
  private let firstReference: GrantReference
  /// Keeps the pages mapped.
  private let bytes: SharedBytes
  private let firstAddress: UInt
  private let inFlight: FixedTable<Bool>
  /// Those that are free, from ``firstFree`` on, around the end.
  private let free: FixedTable<UInt16>
  private let firstFree = FixedCell(0)
  private let freePages: FixedCell<Int>

  /// Takes `count` pages that lie side by side, and grants them.
  init(_ arena: GrantArena, count: Int) {
    precondition(count > 0 && count <= 1 << 16, "as many pages as there are identifiers, at most")
    guard let first = arena.allocatePages(contiguous: count) else { preconditionFailure("the arena was made too small") }
    for page in first..<first + count { arena.grant(page: page, readOnly: true) }
    bytes = arena.bytes.slice(at: first * pageByteCount, byteCount: count * pageByteCount)
    firstAddress = bytes.address
    firstReference = arena.reference(ofPage: first)
    inFlight = FixedTable(repeating: false, count: count)
    // All of them in turns. The one used last would be in this processor's cache, if it were not in the back-end's.
    free = FixedTable(count: count) { UInt16($0) }
    freePages = FixedCell(count)
  }

  var freeCount: Int { @inline(__always) get { freePages.value } }
  var inFlightCount: Int { inFlight.count - freePages.value }

  /// How many frames ahead the pages of frames of more than one line are fetched.
  private static var fetchDistance: Int { 8 }

  /// Asks for what a frame of `count` bytes will be written to, if it is the one that comes ``fetchDistance`` frames later: the back-end has read
  /// it, and all of its lines have to come from there. The first line is on its way since ``putBack(_:)``.
  @inline(__always) func prefetchAhead(byteCount count: Int) {
    guard count > 64, freePages.value > Self.fetchDistance else { return }
    let place = firstFree.value + Self.fetchDistance
    spreadVector(free[place < free.count ? place : place - free.count], byteCount: count).prefetchForWriting()
  }

  /// Takes a free page. There must be one.
  @inline(__always) func take() -> UInt16 {
    freePages.value -= 1
    let identifier = free[firstFree.value]
    firstFree.value = firstFree.value + 1 == free.count ? 0 : firstFree.value + 1
    inFlight[Int(identifier)] = true
    return identifier
  }

  /// Takes the page of a response back. False when there is no such page in flight.
  @inline(__always) func putBack(_ identifier: UInt16) -> Bool {
    guard Int(identifier) < inFlight.count, inFlight[Int(identifier)] else { return false }
    inFlight[Int(identifier)] = false
    // It will be written to soon, and the back-end has read it: its line comes from the other processor's cache meanwhile.
    bytes.prefetchForWriting(at: spreadOffset(identifier) + Int(identifier) * pageByteCount)
    let place = firstFree.value + freePages.value
    free[place < free.count ? place : place - free.count] = identifier
    freePages.value += 1
    return true
  }

  @inline(__always) func reference(_ identifier: UInt16) -> GrantReference { GrantReference(rawValue: firstReference.rawValue + UInt32(identifier)) }

  /// Room for `count` bytes in the page, not at the same place in every page: a cache keeps only a few lines whose addresses are a multiple
  /// of a page apart.
  @inline(__always) func spreadVector(_ identifier: UInt16, byteCount count: Int) -> SharedVector {
    let offset = count <= pageByteCount / 2 ? spreadOffset(identifier) : 0
    return SharedVector(address: firstAddress + UInt(Int(identifier) * pageByteCount + offset), byteCount: count)
  }

  @inline(__always) private func spreadOffset(_ identifier: UInt16) -> Int { Int(identifier) * 64 % (pageByteCount / 2) }

  /// The start of the page, by address: the arena is mapped as long as this lives, and a copy there counts no references.
  func vector(_ identifier: UInt16, byteCount count: Int) -> SharedVector {
    SharedVector(address: firstAddress + UInt(Int(identifier) * pageByteCount), byteCount: count)
  }

  /// All pages, as they are granted.
  var references: [GrantReference] { firstReference.run(of: inFlight.count) }
}
