import SharedMemory
import XenInterface

/// The core's state that each request touches, by name. It belongs to one thread, as the core does.
extension XenStoreCore {
  /// The live tree. Before it changes, those that follow it get copies; ``treeUnderFollowers`` is for changes that they may see.
  var tree: XenStoreTree {
    @inline(__always) _read { yield treeCell.value }
    _modify {
      takeSnapshotsForFollowers()
      yield &treeCell.value
    }
  }

  /// The live tree, for a change that followers need not be kept from: of a value, with ``noteOldValue(of:at:)`` just before it.
  var treeUnderFollowers: XenStoreTree {
    @inline(__always) _read { yield treeCell.value }
    @inline(__always) _modify { yield &treeCell.value }
  }

  var followers: Followers {
    @inline(__always) _read { yield followersCell.value }
    @inline(__always) _modify { yield &followersCell.value }
  }

  var connections: XenStoreConnectionTable<StoreConnection> {
    @inline(__always) _read { yield connectionsCell.value }
    @inline(__always) _modify { yield &connectionsCell.value }
  }

  var watches: WatchIndex {
    @inline(__always) _read { yield watchesCell.value }
    @inline(__always) _modify { yield &watchesCell.value }
  }

  var journal: CommitJournal {
    @inline(__always) _read { yield journalCell.value }
    @inline(__always) _modify { yield &journalCell.value }
  }

  var reservations: CommitReservations {
    @inline(__always) _read { yield reservationsCell.value }
    @inline(__always) _modify { yield &reservationsCell.value }
  }

  var usage: UsageTable {
    @inline(__always) _read { yield usageCell.value }
    @inline(__always) _modify { yield &usageCell.value }
  }

  var quotaState: QuotaState {
    @inline(__always) _read { yield quotaStateCell.value }
    @inline(__always) _modify { yield &quotaStateCell.value }
  }

  /// Who changed what; nil while nobody wants to know.
  public internal(set) var audit: XenStoreAudit? {
    get { auditCell.value }
    @inline(__always) _modify { yield &auditCell.value }
  }
}

/// The connections that have something to be sent, first come first served.
struct ReadyQueue {
  private var ids: [XenStoreConnectionID] = []
  private var head = 0

  mutating func append(_ id: XenStoreConnectionID) { ids.append(id) }

  mutating func next() -> XenStoreConnectionID? {
    guard head < ids.count else { return nil }
    let id = ids[head]
    head += 1
    if head == ids.count {
      ids.removeAll(keepingCapacity: true)
      head = 0
    }
    return id
  }
}
