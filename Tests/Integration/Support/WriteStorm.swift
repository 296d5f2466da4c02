import XenInterface
import XenStoreWire
import TestSupport

/// One client of a write storm: what it was acknowledged, and what it had asked for when the daemon died.
struct StormClient: Sendable {
  let number: Int
  var acknowledged = StormModel()
  /// Not acknowledged: in order, each wholly done or wholly not, and none without those before it.
  var pending: [StormModel.Operation] = []
  var acknowledgedCount = 0
  /// Replies that nothing in the storm explains.
  var surprises: [String] = []

  var top: String { "/storm/\(number)" }

  init(number: Int) { self.number = number }

  /// What the store may look like after a restart.
  var allowed: [StormModel] {
    var models = [acknowledged]
    for operation in pending {
      var next = models[models.count - 1]
      next.apply(operation)
      models.append(next)
    }
    return models
  }

  /// Writes as fast as it can until the daemon is gone.
  mutating func run(socket: String, seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    do {
      let client = try RawStoreClient(socket)
      while true {
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<3: try runTransaction(client, &random)
        case 3..<5: try runSteps(client, (0..<Int.random(in: 2...6, using: &random)).map { _ in step(&random) })
        default: try runSteps(client, [step(&random)])
        }
      }
    } catch {}
  }

  /// Sends changes one behind the other, then waits for the replies.
  private mutating func runSteps(_ client: RawStoreClient, _ steps: [StormModel.Step]) throws(RawStoreClient.Gone) {
    pending = steps.map { StormModel.Operation(steps: [$0], isTransaction: false) }
    for step in steps { try send(step, client) }
    for step in steps {
      let reply = try client.receive()
      let operation = pending.removeFirst()
      if reply.type == .error { noteRefusal(reply, of: step) } else { acknowledged.apply(operation) }
      acknowledgedCount += 1
    }
  }

  private mutating func runTransaction(_ client: RawStoreClient, _ random: inout SeededGenerator) throws(RawStoreClient.Gone) {
    let start = try client.call(.transactionStart, [0])
    guard let id = XenStorePayload.onlyString(start.payload).flatMap({ XenStorePayload.number($0, as: UInt32.self) }) else {
      return surprises.append("a transaction was not started: \(start)")
    }
    let steps = (0..<Int.random(in: 1...8, using: &random)).map { _ in step(&random) }
    let commits = Int.random(in: 0..<6, using: &random) > 0
    let operation = StormModel.Operation(steps: steps, isTransaction: true)
    for step in steps {
      try send(step, client, in: id)
      let reply = try client.receive()
      if reply.type == .error { noteRefusal(reply, of: step) }
    }
    if commits { pending = [operation] }
    let reply = try client.call(.transactionEnd, XenStorePayload.join([commits ? "T" : "F"]), in: id)
    pending = []
    if reply.type == .error { surprises.append("a transaction was refused: \(reply)") } else if commits { acknowledged.apply(operation) }
    acknowledgedCount += 1
  }

  private func send(_ step: StormModel.Step, _ client: RawStoreClient, in transaction: UInt32 = 0) throws(RawStoreClient.Gone) {
    switch step {
    case .write(let path, let value): try client.send(.write, XenStorePayload.join(["\(top)/\(path)"]) + value, in: transaction)
    case .makeDirectory(let path): try client.send(.makeDirectory, XenStorePayload.join(["\(top)/\(path)"]), in: transaction)
    case .remove(let path): try client.send(.remove, XenStorePayload.join(["\(top)/\(path)"]), in: transaction)
    }
  }

  /// Only what is not there can be refused: its removal when its parent is missing too.
  private mutating func noteRefusal(_ reply: XenStorePacket, of step: StormModel.Step) {
    if case .remove = step, reply.payload == Array("ENOENT".utf8) + [0] { return }
    surprises.append("\(step) was refused: \(String(decoding: reply.payload, as: UTF8.self))")
  }

  private func step(_ random: inout SeededGenerator) -> StormModel.Step {
    let paths = ["a", "b", "c", "d/a", "d/b", "d/e/a", "d/e/b", "f/g/h/i"]
    let path = paths[Int.random(in: 0..<paths.count, using: &random)]
    switch Int.random(in: 0..<12, using: &random) {
    case 0: return .makeDirectory(path)
    case 1: return .remove(path)
    case 2: return .remove(["d", "d/e", "f", "f/g/h"][Int.random(in: 0..<4, using: &random)])
    case 3: return .write(path, [UInt8](repeating: UInt8(ascii: "x"), count: Int.random(in: 0...3000, using: &random)))
    default: return .write(path, Array("\(number)-\(UInt32.random(in: 0...UInt32.max, using: &random))".utf8))
    }
  }
}

/// A counter that one client writes and another reads: what was read cannot be lost either.
struct StormCounter: Sendable {
  static let path = "/storm/counter"
  /// The highest number that was read, or whose write was acknowledged.
  var highestSeen: UInt64 = 0
  /// The next number to write.
  var next: UInt64 = 1

  mutating func write(socket: String) {
    do {
      let client = try RawStoreClient(socket)
      while true {
        next += 1
        let reply = try client.call(.write, XenStorePayload.join([StormCounter.path]) + Array("\(next)".utf8))
        if reply.type == .write { highestSeen = next }
      }
    } catch {}
  }

  mutating func read(socket: String) {
    do {
      let client = try RawStoreClient(socket)
      while true {
        let reply = try client.call(.read, XenStorePayload.join([StormCounter.path]))
        if reply.type == .read { highestSeen = max(highestSeen, StormCounter.number(reply.payload)) }
      }
    } catch {}
  }

  static func number(_ payload: [UInt8]) -> UInt64 { UInt64(String(decoding: payload, as: UTF8.self)) ?? 0 }
}
