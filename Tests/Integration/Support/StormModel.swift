/// What the part of the store that one client writes to must look like.
struct StormModel: Equatable, Sendable {
  /// One change.
  enum Step: Sendable {
    case write(String, [UInt8])
    case makeDirectory(String)
    case remove(String)
  }

  /// What is acknowledged at once: one change, or the changes of a transaction.
  struct Operation: Sendable {
    var steps: [Step]
    var isTransaction: Bool
  }

  /// Values by path; each node's parents are there too.
  private(set) var nodes: [String: [UInt8]]

  init(_ nodes: [String: [UInt8]] = [:]) { self.nodes = nodes }

  mutating func apply(_ operation: Operation) { for step in operation.steps { apply(step) } }

  private mutating func apply(_ step: Step) {
    switch step {
    case .write(let path, let value):
      makeParents(of: path)
      nodes[path] = value
    case .makeDirectory(let path):
      makeParents(of: path)
      if nodes[path] == nil { nodes[path] = [] }
    case .remove(let path):
      nodes[path] = nil
      nodes = nodes.filter { !$0.key.hasPrefix(path + "/") }
    }
  }

  private mutating func makeParents(of path: String) {
    var parts = path.split(separator: "/").dropLast()
    while !parts.isEmpty {
      let parent = parts.joined(separator: "/")
      if nodes[parent] == nil { nodes[parent] = [] }
      parts = parts.dropLast()
    }
  }

  /// Where this and another differ, in a few words.
  func difference(from other: StormModel) -> String {
    let paths = Set(nodes.keys).union(other.nodes.keys).sorted().filter { nodes[$0] != other.nodes[$0] }
    func text(_ value: [UInt8]?) -> String { value.map { String(decoding: $0.prefix(24), as: UTF8.self) } ?? "nothing" }
    return paths.prefix(5).map { "\($0) is '\(text(nodes[$0]))' and should be '\(text(other.nodes[$0]))'" }.joined(separator: "; ")
  }
}
