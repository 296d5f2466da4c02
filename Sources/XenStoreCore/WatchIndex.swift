import XenStoreWire

/// What a watch waits for.
enum WatchTarget: Hashable {
  /// A node, whether it exists or not, and all below it.
  case node(XenStorePath)
  /// An occasion that is no node, such as `@releaseDomain`.
  case special(String)
}

/// One watch of one connection.
final class Watch {
  let connection: StoreConnection
  let target: WatchTarget
  /// The path as the client gave it, which a watched node below it may be reported in terms of.
  let givenPath: [UInt8]
  let isRelative: Bool
  let token: [UInt8]
  /// How many levels below its node the watch reaches: 0 for the node itself alone, nil for all there are.
  let depth: UInt32?
  /// The same as the greatest depth of a path that concerns it.
  let maximumPathDepth: Int
  /// Orders the watches of a store by age.
  let serial: UInt64

  init(
    connection: StoreConnection, target: WatchTarget, givenPath: [UInt8], isRelative: Bool, token: [UInt8], depth: UInt32? = nil,
    serial: UInt64
  ) {
    self.depth = depth
    maximumPathDepth =
      switch (depth, target) {
      case (let depth?, .node(let path)): path.depth + Int(depth)
      default: .max
      }
    self.connection = connection
    self.target = target
    self.givenPath = givenPath
    self.isRelative = isRelative
    self.token = token
    self.serial = serial
  }
}

/// All watches by what they wait for, so that a change looks only at the nodes on its own path.
struct WatchIndex {
  private final class Place {
    var below = NameTable<Place>()
    /// Oldest first.
    var watches: [Watch] = []

    deinit {
      var pending = below.entries.map(\.element)
      below.removeAll()
      while let place = pending.popLast() {
        pending.append(contentsOf: place.below.entries.map(\.element))
        place.below.removeAll()
      }
    }
  }

  private let root = Place()
  private var special: [String: [Watch]] = [:]

  mutating func insert(_ watch: Watch) {
    switch watch.target {
    case .special(let name): special[name, default: []].append(watch)
    case .node(let path):
      var place = root
      for name in path.names {
        if let next = place.below[name] {
          place = next
        } else {
          let next = Place()
          place.below.set(next, named: name)
          place = next
        }
      }
      place.watches.append(watch)
    }
  }

  /// Takes a watch out, and every place that then holds nothing: what a client adds and removes leaves no trace (XSA-330).
  mutating func remove(_ watch: Watch) {
    switch watch.target {
    case .special(let name):
      special[name]?.removeAll { $0 === watch }
      if special[name]?.isEmpty == true { special[name] = nil }
    case .node(let path):
      var trail: [(place: Place, name: XenStoreName)] = []
      var place = root
      for name in path.names {
        guard let next = place.below[name] else { return }
        trail.append((place, name))
        place = next
      }
      place.watches.removeAll { $0 === watch }
      while place.watches.isEmpty, place.below.isEmpty, let (parent, name) = trail.popLast() {
        _ = parent.below.remove(name)
        place = parent
      }
    }
  }

  /// Watches that a change of `path` concerns: those of it and of every node above it, oldest first.
  func watches(concerning path: XenStorePath) -> [Watch] {
    var found = root.watches
    guard !root.below.isEmpty else { return found }
    var isFromOnePlace = true
    var place = root
    path.forEachName { name in
      guard let next = place.below[name] else { return false }
      place = next
      if found.isEmpty {
        // Shared, not copied: there may be thousands.
        found = place.watches
      } else if !place.watches.isEmpty {
        isFromOnePlace = false
        found.append(contentsOf: place.watches)
      }
      return true
    }
    return isFromOnePlace ? found : found.sorted { $0.serial < $1.serial }
  }

  /// Whether a change of `path` concerns any watch.
  func isWatched(_ path: XenStorePath) -> Bool { !watches(concerning: path).isEmpty }

  /// Watches of exactly `path`, oldest first.
  func watches(at path: XenStorePath) -> [Watch] { place(of: path)?.watches ?? [] }

  func watches(ofSpecial name: String) -> [Watch] { special[name] ?? [] }

  /// The watched paths strictly below `path`, deepest first.
  func watchedPaths(below path: XenStorePath) -> [XenStorePath] {
    guard let top = place(of: path) else { return [] }
    var found: [XenStorePath] = []
    var pending = [(path, top)]
    while let (path, place) = pending.popLast() {
      for entry in place.below.entries {
        let path = path.appending(entry.name)
        if !entry.element.watches.isEmpty { found.append(path) }
        pending.append((path, entry.element))
      }
    }
    return found.sorted(by: >)
  }

  private func place(of path: XenStorePath) -> Place? {
    var place = root
    for name in path.names {
      guard let next = place.below[name] else { return nil }
      place = next
    }
    return place
  }
}
