/// One message: a C structure of a stated size whose every field has a stated place.
struct Record: Sendable {
  /// Swift type.
  let name: String
  /// C type in Xen's header, for example `struct blkif_request`.
  let c: String
  let doc: String
  /// Size in bytes for each ABI.
  let sizes: [ABI: Int]
  /// Width in bits of the words that a copy is made of, if the file states it.
  let statedWordBits: Int?
  let fields: [Field]
  /// The slot this message shares with another one, and when a slot holds this one.
  let overlay: Overlay?
  let location: SourceLocation

  struct Field: Sendable {
    /// Swift property.
    let name: String
    /// C member, possibly with a path (`hdr.flags`).
    let c: String
    let type: WireType
    /// Number of elements, or nil for a single value.
    let count: Int?
    let offsets: [ABI: Int]
    let unit: String?
    let doc: String
    let location: SourceLocation

    /// Last part of the C member path; an element of an array (`u.pad[0]`) is a member of its own (`pad_0`).
    fileprivate var lastCName: String { (c.split(separator: ".").last.map(String.init) ?? c).replacing("[", with: "_").replacing("]", with: "") }
  }

  struct Overlay: Sendable {
    /// Message whose slot this one shares.
    let record: String
    /// Field of the slot that tells the messages apart; it has the same offset in all of them.
    let field: String
    /// Enumeration and case, for example `BlkifOperation.discard`.
    let equals: String
    let location: SourceLocation
  }
}

extension Record {
  /// The layouts that need a type of their own: x86_64, and x86_32 when it differs.
  var distinctABIs: [ABI] {
    let stated = sizes.keys.sorted()
    guard stated.contains(.x8632), stated.contains(.x8664) else { return stated }
    let same = sizes[.x8632] == sizes[.x8664] && fields.allSatisfy { $0.offsets[.x8632] == $0.offsets[.x8664] }
    return same ? [.x8664] : stated
  }

  /// Name of a field in the structure that mirrors this record: the last part of its C path, or all of it where two members of
  /// different unions have the same name.
  func mirrorMember(_ field: Field) -> String {
    let isUnique = fields.count { $0.lastCName == field.lastCName } == 1
    return isUnique ? field.lastCName : field.c.replacing(".", with: "_").replacing("[", with: "_").replacing("]", with: "")
  }

  func swiftName(_ abi: ABI) -> String { distinctABIs.contains(abi) ? name + abi.swiftSuffix : name }

  /// Width of the words that a copy is made of: 64 bits where the layout allows it, so that a copy takes fewest loads.
  func wordBits(_ abi: ABI, in description: ProtocolDescription) -> Int {
    if let statedWordBits { return statedWordBits }
    guard let size = sizes[abi], size % 8 == 0 else { return 32 }
    let fits = fields.allSatisfy { field in
      guard let offset = field.offsets[abi], let element = field.elementByteCount(abi, in: description) else { return false }
      if case .record = field.type { return offset % 8 == 0 }
      return offset / 8 == (offset + element - 1) / 8
    }
    return fits ? 64 : 32
  }
}

extension Record.Field {
  /// Bytes of one element, or nil when the type is not known.
  func elementByteCount(_ abi: ABI, in description: ProtocolDescription) -> Int? {
    switch type {
    case .record(let name): description.record(named: name)?.sizes[abi]
    default: type.integer?.byteCount
    }
  }

  /// Bytes of the whole field, or nil when the type is not known.
  func byteCount(_ abi: ABI, in description: ProtocolDescription) -> Int? {
    elementByteCount(abi, in: description).map { $0 * (count ?? 1) }
  }
}

/// A page or structure that both sides keep open: only the places matter, it is never copied as a whole.
struct SharedLayout: Sendable {
  struct Place: Sendable {
    let name: String
    let c: String
    let offset: Int
    let type: IntegerType?
    let doc: String
    /// Why the C check cannot compare this place.
    let unchecked: String?
    let location: SourceLocation
  }

  let name: String
  let c: String
  let doc: String
  let places: [Place]
  let location: SourceLocation
}
