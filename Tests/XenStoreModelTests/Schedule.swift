import XenInterface
import XenStoreWire
import TestSupport

/// One thing that happens to a store. Transactions are named by slots of their client, so that an operation means the same whatever
/// numbers a store gives them, and whatever operations before it are left out.
struct Operation: CustomStringConvertible {
  enum Kind {
    case connect, disconnect
    /// `slot` 0 is outside transactions; one that is empty stands for a number that nobody has.
    case request(XenStoreMessageType, slot: Int, payload: [UInt8])
  }

  var client: Int
  var kind: Kind

  var description: String {
    switch kind {
    case .connect: "client \(client): connect"
    case .disconnect: "client \(client): disconnect"
    case .request(let type, let slot, let payload):
      "client \(client): \(type) \(Operation.text(payload))" + (slot == 0 ? "" : " in transaction \(slot)")
    }
  }

  /// Bytes with `|` for NUL.
  static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes.map { $0 == 0 ? UInt8(ascii: "|") : $0 }, as: UTF8.self) }
}

/// Random operations of several clients on few nodes, so that they meet.
struct Schedule {
  /// Domains of the clients; those of domain 0 are privileged.
  static let domains = [0, 0, 5, 5, 6, 7]

  var operations: [Operation]

  /// `isPrivilegedOnly` leaves out guests, and what a store without a hypervisor cannot do.
  init(seed: UInt64, count: Int, isPrivilegedOnly: Bool = false) {
    var generator = Generator(random: SeededGenerator(seed: seed), clients: isPrivilegedOnly ? 2 : Schedule.domains.count)
    generator.isPrivilegedOnly = isPrivilegedOnly
    operations = isPrivilegedOnly ? [] : Schedule.preparation
    while operations.count < count { operations.append(generator.next()) }
  }

  /// Homes and a common ground, so that guests have something to write to.
  private static let preparation: [Operation] =
    [5, 6, 7].map { request(.introduce, "\($0)|1|1|") }
    + [5, 6, 7].flatMap { [request(.makeDirectory, "/local/domain/\($0)|"), request(.setPermissions, "/local/domain/\($0)|n\($0)|r6|")] }
    + [request(.makeDirectory, "/a|"), request(.setPermissions, "/a|n0|b5|b6|r7|"), request(.setPermissions, "/|r0|")]

  private static func request(_ type: XenStoreMessageType, _ text: String) -> Operation {
    Operation(client: 0, kind: .request(type, slot: 0, payload: text.utf8.map { $0 == UInt8(ascii: "|") ? 0 : $0 }))
  }

  private struct Generator {
    var random: SeededGenerator
    let clients: Int
    var isPrivilegedOnly = false

    mutating func pick<Element>(_ choices: [Element]) -> Element { choices[Int.random(in: 0..<choices.count, using: &random)] }
    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

    mutating func next() -> Operation {
      let client = Int.random(in: 0..<clients, using: &random)
      let number = Int.random(in: 0..<100, using: &random)
      switch number {
      case 0: return Operation(client: client, kind: .disconnect)
      // Connecting again does nothing to a client that is there.
      case 1..<5: return Operation(client: client, kind: .connect)
      case 5..<7 where !isPrivilegedOnly: return administer(client)
      default: break
      }
      let slot = chance(55) ? Int.random(in: 1...2, using: &random) : 0
      let (type, text) = request(number)
      let inSlot = type == .transactionStart || type == .transactionEnd ? max(slot, 1) : slot
      return Operation(client: client, kind: .request(type, slot: inSlot, payload: text.utf8.map { $0 == UInt8(ascii: "|") ? 0 : $0 }))
    }

    private mutating func request(_ number: Int) -> (XenStoreMessageType, String) {
      let path = path()
      switch number {
      case ..<14: return (.transactionStart, "|")
      case ..<26: return (.transactionEnd, pick(["T|", "T|", "T|", "F|", chance(10) ? "X|" : "T|"]))
      case ..<32: return (.watch, "\(chance(10) ? special() : path)|\(pick(["s", "t"]))|" + (isPrivilegedOnly || chance(80) ? "" : pick(["0|", "1|", "2|"])))
      case ..<36: return (.unwatch, "\(path)|\(pick(["s", "t"]))|")
      case ..<37: return chance(30) ? (.resetWatches, "") : (.getDomainPath, "5|")
      case ..<50: return (.read, "\(path)|")
      case ..<56: return (.directory, "\(path)|")
      case ..<58: return (.directoryPart, "\(path)|\(pick(["0", "2", "4", "99"]))|")
      case ..<61: return (.getPermissions, "\(!isPrivilegedOnly && chance(10) ? special() : path)|")
      case ..<67: return (.setPermissions, "\(!isPrivilegedOnly && chance(5) ? special() : path)|" + permissions())
      case ..<82: return (.write, "\(path)|\(Int.random(in: 0..<100, using: &random))")
      case ..<88: return (.makeDirectory, "\(path)|")
      default: return (.remove, "\(path)|")
      }
    }

    private mutating func administer(_ client: Int) -> Operation {
      let domain = pick([5, 6, 7])
      let (type, text): (XenStoreMessageType, String) =
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<2: (.release, "\(domain)|")
        case 2..<6: (.introduce, "\(domain)|1|1|")
        case 6: (.setTarget, "\(domain)|\(pick([5, 6, 7]))|")
        case 7: (.resume, "\(domain)|")
        default: (.isDomainIntroduced, "\(domain)|")
        }
      return Operation(client: client, kind: .request(type, slot: 0, payload: text.utf8.map { $0 == UInt8(ascii: "|") ? 0 : $0 }))
    }

    private mutating func path() -> String {
      if chance(2) { return pick(["", "/", "//", "/a/", "/a b", "@releaseDomain", "/a..", "/b"]) }
      var names: [String] = []
      for _ in 0..<Int.random(in: 0...3, using: &random) { names.append(pick(["a", "a", "b", "a-b"])) }
      let below = names.joined(separator: "/")
      switch Int.random(in: 0..<10, using: &random) {
      case 0..<6: return "/" + below
      case 6..<8: return below.isEmpty ? "a" : below
      default: return "/local/domain/\(pick(isPrivilegedOnly ? [0, 5] : [0, 5, 6]))" + (below.isEmpty ? "" : "/" + below)
      }
    }

    private mutating func special() -> String { pick(["@releaseDomain", "@introduceDomain", "@releaseDomain/5", "@other"]) }

    private mutating func permissions() -> String {
      if chance(3) { return pick(["", "x0|", "n|", "n0"]) }
      let domains = isPrivilegedOnly ? [0] : [0, 5, 5, 6, 7]
      var text = ""
      for _ in 0..<(chance(5) && !isPrivilegedOnly ? 6 : Int.random(in: 1...3, using: &random)) { text += "\(pick(["n", "r", "w", "b"]))\(pick(domains))|" }
      return text
    }
  }
}
