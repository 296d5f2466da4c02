public import LinuxSystem
import SharedMemory
public import XenInterface

/// Finds the memory behind a grant reference: the slow path of ``SharedForeignGrants``.
public protocol ForeignArenaSource: AnyObject, Sendable {
  /// The arena of `granter` that holds `reference` and is meant for this domain, or nil when there is none.
  func openArena(containing reference: GrantReference, of granter: DomainID) throws(PlatformError) -> ForeignArena?
}

/// One arena of another domain, opened in this process.
public struct ForeignArena: Sendable {
  let memory: ArenaMemory
  let access: GrantAccess
  let file: SharedDescriptor

  /// For platforms. `file` is the arena's data file, needed to map scattered pages side by side.
  public init(memory: ArenaMemory, access: GrantAccess, file: SharedDescriptor) {
    self.memory = memory
    self.access = access
    self.file = file
  }

  /// The entry of `reference` in this arena, or nil when it is not one of its references.
  @inline(__always) func slot(of reference: GrantReference) -> Int? {
    let slot = reference.rawValue &- memory.firstReference.rawValue
    return slot < UInt32(truncatingIfNeeded: memory.pageCount) ? Int(slot) : nil
  }
}
