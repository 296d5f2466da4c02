import XenInterface
import XenStoreWire

/// A command of CONTROL that the core does not know itself.
public struct XenStoreControlCommand {
  /// What stands behind the name in `help`.
  public let parameters: String
  /// Gets what stands behind the command, gives the text of the reply; cut when it does not fit a packet.
  public let run: ([String]) -> String

  public init(parameters: String, run: @escaping ([String]) -> String) {
    self.parameters = parameters
    self.run = run
  }
}

extension XenStoreCore {
  /// The core's own commands with what `help` says of them; names and forms are those of `xenstore-control` of Xen 4.17, and `audit`.
  private static let commands: [(name: String, parameters: String)] = [
    ("check", ""),
    ("log", "on|off"),
    ("logfile", "<file>"),
    ("memreport", ""),
    ("print", "<string>"),
    ("quota", "[set <name> <val>|<domid>|max [-r]|refusals [<skip>]|domains [<skip>]]"),
    ("quota-soft", "[set <name> <val>]"),
    ("help", ""),
    ("audit", "[<after-sequence>|on|off]"),
  ]

  func control(_ request: StoreRequest) throws(XenStoreError) -> [UInt8] {
    guard let strings = XenStorePayload.strings(request.payload), let name = strings.first else { throw .invalidArgument }
    let command = String(decoding: name, as: UTF8.self)
    let arguments = strings.dropFirst().map { String(decoding: $0, as: UTF8.self) }
    if command == XenStoreCore.liveUpdateCommand.name, let onLiveUpdate {
      return controlLiveUpdate(arguments, request, onLiveUpdate).payload
    }
    if let further = controlCommands[command] { return ControlReply(further.run(arguments)).payload }
    let reply = try run(command, arguments)
    if command == "quota" || command == "quota-soft", arguments.first == "set" { audit(.setQuota, .root, request) }
    return reply.payload
  }

  private func run(_ command: String, _ arguments: [String]) throws(XenStoreError) -> ControlReply {
    switch command {
    case "audit": return try controlAudit(arguments)
    case "check": return try controlCheck(arguments)
    case "help": return try controlHelp(arguments)
    case "log": return try controlLog(arguments)
    case "logfile": return try controlLogFile(arguments)
    case "memreport": return try controlMemoryReport(arguments)
    case "print": return try controlPrint(arguments)
    case "quota": return try controlQuota(arguments)
    case "quota-soft": return try controlSoftQuota(arguments)
    default: throw .invalidArgument
    }
  }

  // MARK: Commands

  private func controlHelp(_ arguments: [String]) throws(XenStoreError) -> ControlReply {
    guard arguments.isEmpty else { throw .invalidArgument }
    var further = controlCommands.sorted { $0.key < $1.key }.map { ($0.key, $0.value.parameters) }
    if onLiveUpdate != nil { further.append(XenStoreCore.liveUpdateCommand) }
    return ControlReply(lines: (XenStoreCore.commands + further).map { "\($0.0)\t\($0.1)" })
  }

  private func controlCheck(_ arguments: [String]) throws(XenStoreError) -> ControlReply {
    guard arguments.isEmpty else { throw .invalidArgument }
    let findings = checkConsistency()
    return findings.isEmpty ? .acknowledgement : ControlReply(lines: findings)
  }

  private func controlPrint(_ arguments: [String]) throws(XenStoreError) -> ControlReply {
    guard arguments.count == 1 else { throw .invalidArgument }
    onPrint?(arguments[0])
    return .acknowledgement
  }

  private func controlLog(_ arguments: [String]) throws(XenStoreError) -> ControlReply {
    switch arguments {
    case ["on"]: isTracing = true
    case ["off"]: isTracing = false
    default: throw .invalidArgument
    }
    return .acknowledgement
  }

  private func controlLogFile(_ arguments: [String]) throws(XenStoreError) -> ControlReply {
    guard arguments.count == 1 else { throw .invalidArgument }
    return ControlReply("logfile is not supported: a client must not make the daemon write files; `log on` sends the trace to the daemon's log")
  }

  // MARK: memreport

  /// `memreport`: one `<name>: <number>` a line, over the whole store.
  private func controlMemoryReport(_ arguments: [String]) throws(XenStoreError) -> ControlReply {
    guard arguments.count <= 1 else { throw .invalidArgument }
    guard arguments.isEmpty else {
      return ControlReply("memreport to a file is not supported: a client must not make the daemon write files; without one it is the reply")
    }
    var nodes = NodeCharge()
    for charge in chargesOfAllNodes(ownedByControl: true).values { nodes += charge }
    let connections = connections.elements
    let numbers: [(String, Int)] = [
      ("nodes", nodes.nodeCount),
      ("node-bytes", nodes.byteCount),
      ("watches", connections.reduce(0) { $0 + $1.watches.count }),
      ("transactions", connections.reduce(0) { $0 + $1.transactions.count }),
      ("connections", connections.count),
      ("domains", introducedDomains.count),
      ("queued-replies", connections.reduce(0) { $0 + $1.output.replyCount }),
      ("queued-event-bytes", connections.reduce(0) { $0 + $1.output.eventByteCount }),
      ("unhandled-request-bytes", connections.reduce(0) { $0 + $1.parser.bufferedByteCount }),
      ("audit-entries", audit?.count ?? 0),
      ("refusals", Int(clamping: refusals.reduce(0) { $0 + $1.count })),
    ]
    return ControlReply(lines: numbers.map { "\($0.0): \($0.1)" })
  }

  // MARK: quota

  private func controlQuota(_ arguments: [String]) throws(XenStoreError) -> ControlReply {
    switch arguments.first {
    case nil: return quotaSettings(XenStoreQuota.limits)
    case "set": return try setQuota(named: XenStoreQuota.limits, arguments)
    case "max": return try quotaPeaks(arguments)
    case "refusals": return try quotaRefusals(arguments)
    case "domains": return try quotaDomains(arguments)
    case let domain?:
      guard arguments.count == 1 else { throw .invalidArgument }
      return try quotaUsage(of: try self.domain(Array(domain.utf8)[...]))
    }
  }

  /// Warning levels have the names of the limits that they go with.
  private func controlSoftQuota(_ arguments: [String]) throws(XenStoreError) -> ControlReply {
    guard arguments.isEmpty else {
      guard arguments.count == 3, arguments[1] == "memory" else { throw .invalidArgument }
      return try setQuota(named: [.memoryWarning], [arguments[0], XenStoreQuota.memoryWarning.rawValue, arguments[2]])
    }
    return quotaSettings([.memoryWarning])
  }

  private func quotaSettings(_ quotas: [XenStoreQuota]) -> ControlReply {
    ControlReply(
      lines: ["Quota settings:"]
        + quotas.map { quota in
          let name = quota == .memoryWarning ? XenStoreQuota.memory.rawValue : quota.rawValue
          return "\(XenStoreCore.column(name)): \(XenStoreCore.column(self.quotas[quota])) \(quota.summary)"
        })
  }

  private func setQuota(named quotas: [XenStoreQuota], _ arguments: [String]) throws(XenStoreError) -> ControlReply {
    guard arguments.count == 3, arguments[0] == "set", let quota = XenStoreQuota(name: arguments[1]), quotas.contains(quota),
      let value = UInt32(arguments[2]), value > 0
    else { throw .invalidArgument }
    setQuota(quota, of: nil, to: Int(value))
    return .acknowledgement
  }

  /// `quota <domid>`: what a domain holds.
  private func quotaUsage(of domain: DomainID) throws(XenStoreError) -> ControlReply {
    var usage = usage[domain] ?? DomainUsage()
    guard isIntroduced(domain) || usage != DomainUsage() || connections.elements.contains(where: { $0.domain == domain }) else {
      throw .noEntry
    }
    // Its nodes are not counted as they come and go, because no quota binds it.
    if domain == .control { usage.nodes = chargesOfAllNodes(ownedByControl: true)[.control] ?? NodeCharge() }
    let outstanding = connections.elements.reduce(0) { $1.domain == domain ? max($0, $1.output.replyCount) : $0 }
    let numbers: [(XenStoreQuota, Int)] = [
      (.nodes, usage.nodes.nodeCount), (.watches, usage.watchCount), (.transactions, usage.transactionCount), (.outstanding, outstanding),
      (.memory, usage.memoryByteCount),
    ]
    return ControlReply(
      lines: ["Domain \(domain):"]
        + numbers.map { "\($0.0.rawValue.padded(to: 16, atEnd: true)): \(XenStoreCore.column($0.1))" })
  }

  /// `quota max [-r]`, as newer daemons have it: the most that any domain held; `-r` begins anew with what they hold now.
  private func quotaPeaks(_ arguments: [String]) throws(XenStoreError) -> ControlReply {
    guard arguments.count == 1 || arguments == ["max", "-r"] else { throw .invalidArgument }
    if arguments.count == 2 {
      quotaState.peaks = QuotaPeaks()
      for domain in usage.keys where domain != .control { quotaState.peaks.note(usage[domain] ?? DomainUsage()) }
    }
    return ControlReply(
      lines: ["Max. seen accounting values:"]
        + XenStoreQuota.limits.map { "\(XenStoreCore.column($0.rawValue)): \(XenStoreCore.column(quotaState.peaks[$0]))" })
  }

  /// `quota refusals [<skip>]`: one line `<quota> <domid> <limit> <value> <count>` for each quota of a domain that refused something,
  /// by domain and quota, from the line behind the first `skip`; none means that there are no more.
  private func quotaRefusals(_ arguments: [String]) throws(XenStoreError) -> ControlReply {
    guard arguments.count <= 2, let skip = arguments.count == 2 ? UInt32(arguments[1]) : 0 else { throw .invalidArgument }
    return .page(refusals.dropFirst(Int(skip)).lazy.map(\.line))
  }

  /// `quota domains [<skip>]`: the numbers of all domains that are known or hold anything, one a line, from the line behind the first
  /// `skip`; none means that there are no more.
  private func quotaDomains(_ arguments: [String]) throws(XenStoreError) -> ControlReply {
    guard arguments.count <= 2, let skip = arguments.count == 2 ? UInt32(arguments[1]) : 0 else { throw .invalidArgument }
    let domains = introducedDomains.union(usage.keys).union(connections.elements.map(\.domain)).sorted()
    return .page(domains.dropFirst(Int(skip)).lazy.map(\.description))
  }

  private static func column(_ name: String) -> String { name.padded(to: 17, atEnd: true) }
  private static func column(_ number: Int) -> String { String(number).padded(to: 8, atEnd: false) }
}
