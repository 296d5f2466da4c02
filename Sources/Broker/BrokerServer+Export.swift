import EventLoop
import LinuxSystem
import SystemPackage
public import XenInterface
import XenPlatform
public import XenStoreMigration

extension BrokerServer {
  /// A domain whose processes have sent files that could not be closed yet: while there is one, the broker cannot stop, because a program
  /// that ends waits for them too.
  public var domainWithUnclosedFiles: DomainID? { disposals.filter { $0.value.isBusy }.keys.min() }

  /// Writes everything that the broker knows, for ``BrokerImport``, and adds the files that the next broker must find open to
  /// `descriptors`. The broker goes on as before.
  public func export(to stream: inout MigrationStreamWriter, descriptors: inout Set<Int32>) {
    precondition(loop.isCurrent, "called from another thread than the loop's")
    stream.append(.brokerState) { body in
      body.put(state.lastConnection)
      body.put(state.lastAssignedDomain)
    }
    let lastPorts = Dictionary(uniqueKeysWithValues: state.channels.lastPorts.map { ($0.domain, $0.port) })
    let nextReferences = Dictionary(uniqueKeysWithValues: state.arenas.nextReferences.map { ($0.domain, $0.reference) })
    for domain in Set(lastPorts.keys).union(nextReferences.keys).sorted() {
      stream.append(.brokerNumbers) { body in
        body.put(domain)
        body.put(lastPorts[domain] ?? 0)
        body.put(nextReferences[domain] ?? 0)
      }
    }
    for domain in state.domains.keys.sorted() {
      guard let listener = listeners[domain] else { preconditionFailure("domain \(domain) has no socket") }
      descriptors.insert(listener.socket.rawValue)
      stream.append(.brokerDomain) { body in
        body.put(domain)
        body.put(listener.socket.rawValue)
        body.put(state.domains[domain]!.name)
      }
    }
    for holder in connections.keys.sorted(by: { $0.rawValue < $1.rawValue }) { exportConnection(holder, &stream, &descriptors) }
    for domain in state.domains.keys.sorted() {
      for arena in state.arenas.arenas(of: domain) { export(arena, &stream, &descriptors) }
      // The daemon's own ends are not handed over: the next one binds to their peers again.
      for end in state.channels.ends(of: domain) where end.holder != BrokerState.ownHolder { export(unboundFromUs(end), &stream, &descriptors) }
    }
  }

  /// The end as it will be when the daemon's own end at its other side is closed.
  private func unboundFromUs(_ end: EventChannelTable.End) -> EventChannelTable.End {
    guard case .interdomain(.control, let port) = end.state, state.channels.end(port, of: .control)?.holder == BrokerState.ownHolder else {
      return end
    }
    var end = end
    end.state = .unbound(remote: .control)
    return end
  }

  private func exportConnection(_ holder: HolderID, _ stream: inout MigrationStreamWriter, _ descriptors: inout Set<Int32>) {
    guard let connection = connections[holder], let known = state.connections[holder] else { return }
    descriptors.insert(connection.socket.rawValue)
    for message in connection.outgoing { descriptors.formUnion(message.descriptors.map(\.rawValue)) }
    stream.append(.brokerConnection) { body in
      body.put(holder.rawValue)
      body.put(connection.socket.rawValue)
      body.put(known.domain)
      body.put(known.credentials.processID)
      body.put(known.credentials.userID)
      body.put(known.credentials.groupID)
      body.put(known.saidHello)
      body.put(UInt32(connection.outgoing.count))
      for message in connection.outgoing {
        body.put(counted: message.bytes)
        body.put(UInt8(message.descriptors.count))
        for descriptor in message.descriptors { body.put(descriptor.rawValue) }
      }
    }
  }

  private func export(_ arena: ArenaTable.Arena, _ stream: inout MigrationStreamWriter, _ descriptors: inout Set<Int32>) {
    let files = arena.files.map { [$0.data.rawValue, $0.entries.rawValue, $0.status.rawValue] }
    descriptors.formUnion(files ?? [])
    stream.append(.brokerArena) { body in
      body.put(arena.granter)
      body.put(arena.peer)
      body.put(arena.holder.rawValue)
      body.put(arena.access == .readOnly)
      body.put(UInt32(arena.pageCount))
      body.put(arena.firstReference.rawValue)
      for file in files ?? [-1, -1, -1] { body.put(file) }
    }
  }

  private func export(_ end: EventChannelTable.End, _ stream: inout MigrationStreamWriter, _ descriptors: inout Set<Int32>) {
    descriptors.formUnion([end.wait.rawValue, end.signal.rawValue])
    stream.append(.brokerChannelEnd) { body in
      body.put(end.domain)
      body.put(end.port.rawValue)
      body.put(end.holder.rawValue)
      switch end.state {
      case .unbound(let remote):
        body.put(UInt8(0))
        body.put(remote)
        body.put(UInt32(0))
      case .interdomain(let remote, let port):
        body.put(UInt8(1))
        body.put(remote)
        body.put(port.rawValue)
      case .orphaned(let remote):
        body.put(UInt8(2))
        body.put(remote)
        body.put(UInt32(0))
      }
      body.put(end.wait.rawValue)
      body.put(end.signal.rawValue)
    }
  }
}

/// Descriptors of the broker before this one, each taken over once however often it is named: two ends of a channel share its counters.
struct InheritedDescriptors {
  private var taken: [Int32: SharedDescriptor] = [:]

  mutating func take(_ number: Int32) throws(Errno) -> SharedDescriptor {
    if let descriptor = taken[number] { return descriptor }
    let descriptor = SharedDescriptor(try OwnedDescriptor(inherited: number))
    taken[number] = descriptor
    return descriptor
  }
}

extension BrokerState {
  /// Becomes the state that `handedOver` describes; this one must be new.
  mutating func restore(_ handedOver: BrokerImport, _ descriptors: inout InheritedDescriptors) throws(Errno) {
    lastConnection = handedOver.lastConnection
    lastAssignedDomain = handedOver.lastAssignedDomain
    for domain in handedOver.domains { domains[domain.domain] = Domain(name: domain.name) }
    for connection in handedOver.connections {
      connections[connection.holder] = Connection(
        domain: connection.domain, credentials: connection.credentials, saidHello: connection.saidHello)
      domains[connection.domain]!.connections.insert(connection.holder)
    }
    for numbers in handedOver.numbers {
      if numbers.lastPort > 0 { channels.restore(lastPort: numbers.lastPort, of: numbers.domain) }
      if numbers.nextReference > 0 { arenas.restore(nextReference: numbers.nextReference, of: numbers.domain) }
    }
    for arena in handedOver.arenas {
      var files: ArenaFiles?
      if let numbers = arena.files {
        files = ArenaFiles(
          data: try descriptors.take(numbers.0), entries: try descriptors.take(numbers.1), status: try descriptors.take(numbers.2))
      }
      arenas.restore(
        ArenaTable.Arena(
          granter: arena.granter, holder: arena.holder, peer: arena.peer, access: arena.isReadOnly ? .readOnly : .readWrite,
          pageCount: Int(arena.pageCount), firstReference: arena.firstReference, files: files))
    }
    for end in handedOver.ends {
      channels.restore(
        EventChannelTable.End(
          domain: end.domain, port: end.port, holder: end.holder, state: end.state, wait: try descriptors.take(end.wait),
          signal: try descriptors.take(end.signal)))
    }
  }
}
