/// The VLANs that a trunk carries.
///
/// As text: numbers and ranges with `+` between them, and `untagged` for frames without a tag: `10+20-29+untagged`.
public struct VLANSet: Sendable, Equatable {
  /// A bit for each VLAN, the first of all for untagged frames.
  private var words = [UInt64](repeating: 0, count: 64)

  public init() {}

  /// Nil when the text is no such list, or empty.
  public init?(_ text: String) {
    for part in text.split(separator: "+", omittingEmptySubsequences: false) {
      if part == "untagged" {
        insert(0)
        continue
      }
      let bounds = part.split(separator: "-", omittingEmptySubsequences: false).map { UInt16($0) ?? 0 }
      guard (1...2).contains(bounds.count), let first = bounds.first, let last = bounds.last, first >= 1, first <= last, last <= 4094
      else { return nil }
      for vlan in first...last { insert(vlan) }
    }
  }

  /// Whether frames of the VLAN pass; 0 stands for those without a tag.
  func contains(_ vlan: UInt16) -> Bool { words[Int(vlan >> 6) & 63] & (1 << UInt64(vlan & 63)) != 0 }

  private mutating func insert(_ vlan: UInt16) { words[Int(vlan >> 6) & 63] |= 1 << UInt64(vlan & 63) }
}
