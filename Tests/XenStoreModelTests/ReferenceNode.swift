import XenStoreWire

/// One node of the reference store.
struct ReferenceNode: Equatable {
  var value: [UInt8]
  var permissions: [ReferencePermission]
  /// When its value, its permissions or its set of children changed last.
  var change: Int
}

/// One entry of a permission list: a letter and a domain.
struct ReferencePermission: Equatable {
  var letter: Character
  var domain: Int

  var text: String { "\(letter)\(domain)" }
  var mayRead: Bool { letter == "r" || letter == "b" }
  var mayWrite: Bool { letter == "w" || letter == "b" }

  /// Reads a list, each entry with its NUL; nil when it is none.
  static func list(_ payload: ArraySlice<UInt8>) -> [ReferencePermission]? {
    guard payload.last == 0 else { return nil }
    var list: [ReferencePermission] = []
    for part in payload.dropLast().split(separator: 0, omittingEmptySubsequences: false) {
      let text = String(decoding: part, as: UTF8.self)
      guard let letter = text.first, "nrwb".contains(letter), let domain = UInt16(text.dropFirst()),
        text.dropFirst().allSatisfy(\.isNumber)
      else { return nil }
      list.append(ReferencePermission(letter: letter, domain: Int(domain)))
    }
    return list.isEmpty ? nil : list
  }
}

/// Paths as text; the root is `/`.
enum ReferencePath {
  static func parent(_ path: String) -> String {
    let end = path.utf8.lastIndex(of: UInt8(ascii: "/"))!
    return end == path.startIndex ? "/" : String(path[..<end])
  }

  static func isBelow(_ path: String, _ top: String) -> Bool {
    path != top && (top == "/" || path.utf8.starts(with: (top + "/").utf8))
  }

  static func depth(_ path: String) -> Int { path == "/" ? 0 : path.utf8.count { $0 == UInt8(ascii: "/") } }

  /// The order in which a walk comes by, parents first and children by name.
  static func comesBefore(_ left: String, _ right: String) -> Bool {
    let left = left.utf8.split(separator: UInt8(ascii: "/"))
    let right = right.utf8.split(separator: UInt8(ascii: "/"))
    return left.lexicographicallyPrecedes(right) { $0.lexicographicallyPrecedes($1) }
  }

  /// An absolute path as a client of `domain` means `text`; nil when it is malformed.
  static func absolute(_ text: ArraySlice<UInt8>, for domain: Int) -> String? {
    guard text.first != UInt8(ascii: "@") else { return nil }
    let allowed = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-/_@".utf8)
    guard text.allSatisfy(allowed.contains) else { return nil }
    let given = String(decoding: text, as: UTF8.self)
    let path = given.hasPrefix("/") ? given : "/local/domain/\(domain)/" + given
    guard path == "/" || !path.hasSuffix("/"), !path.contains("//") else { return nil }
    return path
  }
}
