import Testing
import XenInterface
import XenStoreCore
import XenStoreWire

/// The store as plainly as it can be said: dictionaries, copied for every transaction.
private struct StoreModel {
  struct Node: Equatable {
    var value: String
    /// When its value or its set of children changed last.
    var change: Int
  }

  enum Report { case silent, changed, removedWithAncestor }

  struct Transaction {
    var base: [String: Node]
    var nodes: [String: Node]
    var touched: Set<String> = []
    var reports: [String: Report] = [:]
  }

  var nodes: [String: Node] = ["/": Node(value: "", change: 0)]
  var transactions: [UInt32: Transaction] = [:]
  var changeCount = 0

  static func parent(_ path: String) -> String {
    let parent = path[..<path.lastIndex(of: "/")!]
    return parent.isEmpty ? "/" : String(parent)
  }

  static func isBelow(_ path: String, _ top: String) -> Bool { path != top && (top == "/" || path.hasPrefix(top + "/")) }

  /// Carries a request out; gives the reply and, outside transactions, what changed.
  mutating func perform(_ type: XenStoreMessageType, _ path: String, _ value: String, _ id: UInt32) -> (reply: String, reports: [String: Report]) {
    changeCount += 1
    guard id != 0 else {
      var all = Transaction(base: nodes, nodes: nodes)
      let reply = StoreModel.perform(type, path, value, &all, changeCount)
      nodes = all.nodes
      return (reply, all.reports)
    }
    return (StoreModel.perform(type, path, value, &transactions[id]!, changeCount), [:])
  }

  private static func perform(_ type: XenStoreMessageType, _ path: String, _ value: String, _ view: inout Transaction, _ change: Int) -> String {
    if type == .remove, path == "/" { return "EINVAL" }
    view.touched.insert(path)
    switch type {
    case .read: return view.nodes[path].map { "= " + $0.value } ?? "ENOENT"
    case .directory:
      guard view.nodes[path] != nil else { return "ENOENT" }
      let names = view.nodes.keys.filter { $0 != "/" && parent($0) == path }.map { $0.split(separator: "/").last! }.sorted()
      return "= " + names.map { $0 + "|" }.joined()
    case .write, .makeDirectory:
      if view.nodes[path] != nil {
        if type == .makeDirectory { return "OK" }
        view.nodes[path] = Node(value: value, change: change)
      } else {
        view.nodes[path] = Node(value: value, change: change)
        var above = parent(path)
        while view.nodes[above] == nil {
          view.nodes[above] = Node(value: "", change: change)
          view.touched.insert(above)
          view.reports[above] = view.reports[above] ?? .silent
          above = parent(above)
        }
        view.nodes[above]!.change = change
        view.touched.insert(above)
      }
      view.reports[path] = .changed
      return "OK"
    case .remove:
      view.touched.insert(parent(path))
      guard view.nodes[path] != nil else { return view.nodes[parent(path)] == nil ? "ENOENT" : "OK" }
      for below in view.nodes.keys where below == path || isBelow(below, path) {
        view.nodes[below] = nil
        view.touched.insert(below)
        view.reports[below] = below == path ? .changed : .removedWithAncestor
      }
      view.nodes[parent(path)]!.change = change
      return "OK"
    default: return "?"
    }
  }

  mutating func commit(_ id: UInt32) -> (reply: String, reports: [String: Report]) {
    let transaction = transactions.removeValue(forKey: id)!
    if transaction.touched.contains(where: { nodes[$0] != transaction.base[$0] }) { return ("EAGAIN", [:]) }
    changeCount += 1
    for path in transaction.touched { nodes[path] = transaction.nodes[path] }
    let reports = transaction.reports.filter { transaction.base[$0.key] != nil || transaction.nodes[$0.key] != nil }
    return ("OK", reports)
  }

  /// The events that a watch of `path` must get.
  static func events(_ path: String, _ reports: [String: Report]) -> Set<String> {
    Set(
      reports.compactMap { changed, report in
        switch report {
        case .silent: nil
        case .changed: changed == path || isBelow(changed, path) ? changed : nil
        case .removedWithAncestor: changed == path ? changed : nil
        }
      })
  }
}

@Suite struct TreeModelTests {
  @Test(arguments: 1...24 as ClosedRange<UInt64>)
  func theStoreAgreesWithDictionariesUnderRandomRequests(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    var model = StoreModel()
    let core = XenStoreCore()
    let clients = [core.connect(domain: .control, privileged: true), core.connect(domain: .control, privileged: true)]
    let watcher = core.connect(domain: .control, privileged: true)
    var watched: Set<String> = []
    var open: [[UInt32]] = [[], []]

    func randomPath() -> String {
      let names = (0..<Int.random(in: 0...4, using: &random)).map { _ in ["a", "b", "a-b"].randomElement(using: &random)! }
      return "/" + names.joined(separator: "/")
    }
    func exchange(_ client: XenStoreConnectionID, _ packet: XenStorePacket) throws -> String {
      core.handle(packet, from: client)
      var parser = XenStorePacketParser()
      parser.feed(try #require(core.nextOutput(for: client)))
      guard case .packet(let reply) = parser.next() else { return "malformed" }
      #expect(!core.hasOutput(for: client), "seed \(seed)")
      if reply.type == .error { return XenStoreError(payload: reply.payload)?.rawValue ?? "?" }
      return reply.payload == StoreScript.bytes("OK|") ? "OK" : "= " + StoreScript.text(reply.payload)
    }
    func takeEvents() -> [String] {
      var events: [String] = []
      while let bytes = core.nextOutput(for: watcher) {
        let text = StoreScript.text(Array(bytes.dropFirst(16)))
        if text != "OK|" { events.append(text) }
      }
      return events
    }

    for step in 0..<600 {
      let who = Int.random(in: 0...1, using: &random)
      let client = clients[who]
      let context = "seed \(seed), step \(step)"
      let id = Bool.random(using: &random) ? open[who].randomElement(using: &random) ?? 0 : 0
      var reports: [String: StoreModel.Report] = [:]
      switch Int.random(in: 0..<100, using: &random) {
      case 0..<5:
        let path = randomPath()
        if watched.insert(path).inserted {
          core.handle(XenStorePacket(.watch, strings: [path, "t" + path]), from: watcher)
          #expect(takeEvents() == ["\(path)|t\(path)|"], "\(context)")
        }
      case 5..<12 where open[who].count < 4:
        let reply = try exchange(client, XenStorePacket(.transactionStart, payload: [0]))
        let new = try #require(UInt32(reply.dropFirst(2).dropLast()))
        open[who].append(new)
        model.transactions[new] = StoreModel.Transaction(base: model.nodes, nodes: model.nodes)
      case 12..<22 where id != 0:
        open[who].removeAll { $0 == id }
        if Bool.random(using: &random) {
          let expected = model.commit(id)
          let reply = try exchange(client, XenStorePacket(.transactionEnd, transactionID: id, strings: ["T"]))
          #expect(reply == expected.reply, "\(context): commit")
          reports = expected.reports
        } else {
          model.transactions[id] = nil
          #expect(try exchange(client, XenStorePacket(.transactionEnd, transactionID: id, strings: ["F"])) == "OK", "\(context): abort")
        }
      default:
        let types: [XenStoreMessageType] = [.read, .directory, .write, .write, .makeDirectory, .remove]
        let type = types.randomElement(using: &random)!
        let path = randomPath()
        let value = type == .write ? String(step) : ""
        let payload = StoreScript.bytes(path + "|" + value)
        let expected = model.perform(type, path, value, id)
        let reply = try exchange(client, XenStorePacket(type, transactionID: id, payload: payload))
        #expect(reply == expected.reply, "\(context): \(type) \(path) in \(id)")
        reports = expected.reports
      }
      let events = takeEvents()
      let expectedEvents = Set(watched.flatMap { path in StoreModel.events(path, reports).map { "\($0)|t\(path)|" } })
      #expect(Set(events) == expectedEvents, "\(context)")
      #expect(events.count == expectedEvents.count, "\(context): an event twice")
    }

    for (path, node) in model.nodes {
      #expect(try exchange(clients[0], XenStorePacket(.read, strings: [path])) == "= " + node.value, "seed \(seed): \(path)")
    }
    #expect(try exchange(clients[0], XenStorePacket(.control, strings: ["check"])) == "OK", "seed \(seed)")
  }
}
