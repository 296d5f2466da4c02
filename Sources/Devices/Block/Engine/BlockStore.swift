public import BlockInterface
public import EventLoop
import LinuxSystem
import SharedMemory
import SystemPackage
import XenInterface

/// What backs a disk, opened: where its bytes are, and how large it is.
///
/// A class that belongs to one engine; `kind` is looked at once a request, by a switch.
public final class BlockStore {
  enum Kind {
    case file(OwnedFile)
    case memory
    case null
    case script(ScriptWorker)
  }

  /// An open file, closed with the store.
  struct OwnedFile {
    let descriptor: SharedDescriptor
    let path: String
    let isBlockDevice: Bool
  }

  let kind: Kind
  private let state: FixedCell<State>

  /// What can change; looked at with each request.
  private struct State {
    var memory: SharedBytes?
    var geometry: BlockGeometry
    var supportsDiscard: Bool
  }

  /// The disk's bytes when they are memory.
  var memory: SharedBytes? {
    get { state.value.memory }
    set { state.value.memory = newValue }
  }
  /// Size in bytes and access. The size is a multiple of the sector size.
  public internal(set) var geometry: BlockGeometry {
    @inline(__always) _read { yield state.value.geometry }
    @inline(__always) _modify { yield &state.value.geometry }
  }
  /// Whether discards can be done; becomes false when the file turns out not to.
  public internal(set) var supportsDiscard: Bool {
    get { state.value.supportsDiscard }
    set { state.value.supportsDiscard = newValue }
  }
  /// Unit of discards in bytes.
  public let discardGranularity: UInt32
  /// The page cache is not used.
  public let isDirect: Bool
  /// How much may be done with it.
  public internal(set) var rate = BlockRate()
  /// Told, in one line, why a request failed in what backs the disk, where that has words of its own. On the loop.
  public var onFailure: ((String) -> Void)?
  /// What a user should be told: where what was asked for could not be done as asked. One line each.
  public internal(set) var notices: [String]

  init(
    kind: Kind, memory: SharedBytes? = nil, geometry: BlockGeometry, supportsDiscard: Bool, discardGranularity: UInt32 = 0,
    isDirect: Bool = false, notices: [String] = []
  ) {
    self.kind = kind
    state = FixedCell(State(memory: memory, geometry: geometry, supportsDiscard: supportsDiscard))
    self.discardGranularity = discardGranularity
    self.isDirect = isDirect
    self.notices = notices
  }

  /// Opens what `spec` names. Blocks for as long as the file system does: not on a loop that serves others.
  public static func open(_ spec: BlockStoreSpec) throws(BlockOpenError) -> sending BlockStore {
    if let size = spec.sectorByteCount, size != 512, size != 4096 { throw .unsupportedSectorSize(size) }
    let store = try openBacking(spec)
    store.rate = spec.rate
    return store
  }

  private static func openBacking(_ spec: BlockStoreSpec) throws(BlockOpenError) -> sending BlockStore {
    switch spec.backing {
    case .file(let path): return try openFile(path, spec)
    case .memory(let byteCount): return try makeMemory(byteCount, spec)
    case .script(let path): return try openScript(path, spec)
    case .null(let byteCount):
      let geometry = try geometry(of: "null disk", byteCount: byteCount, sectorByteCount: spec.sectorByteCount ?? 512, spec: spec)
      return BlockStore(kind: .null, geometry: geometry, supportsDiscard: !spec.isReadOnly)
    }
  }

  private static func makeMemory(_ byteCount: UInt64, _ spec: BlockStoreSpec) throws(BlockOpenError) -> sending BlockStore {
    let geometry = try geometry(of: "memory disk", byteCount: byteCount, sectorByteCount: spec.sectorByteCount ?? 512, spec: spec)
    do {
      let region = try SharedRegion(anonymousByteCount: Int(geometry.byteCount))
      return BlockStore(
        kind: .memory, memory: region.bytes, geometry: geometry, supportsDiscard: !spec.isReadOnly, discardGranularity: UInt32(pageByteCount))
    } catch {
      throw .noMemory(byteCount: byteCount, error)
    }
  }

  /// Size and access of a disk of `byteCount` bytes, rounded down to whole sectors.
  static func geometry(
    of name: String, byteCount: UInt64, sectorByteCount: Int, physicalSectorByteCount: Int = 512, spec: BlockStoreSpec
  ) throws(BlockOpenError) -> BlockGeometry {
    let sectors = min(byteCount / UInt64(sectorByteCount) * UInt64(sectorByteCount) / 512, BlockLimits.sectorCount / 8 * 8)
    guard sectors > 0 else { throw .tooSmall(path: name, byteCount: byteCount, sectorByteCount: sectorByteCount) }
    return BlockGeometry(
      sectorCount: sectors, sectorByteCount: sectorByteCount, physicalSectorByteCount: max(sectorByteCount, physicalSectorByteCount),
      info: spec.isReadOnly ? .readOnly : [])
  }
}
