import BlockInterface
import LinuxSystem
import SystemPackage

extension BlockStore {
  static func openFile(_ path: String, _ spec: BlockStoreSpec) throws(BlockOpenError) -> sending BlockStore {
    let isBlockDevice = try isBlockDevice(path, spec)
    var notices: [String] = []
    var openedDirect = spec.isDirect
    let descriptor = try openDescriptor(path, spec, isBlockDevice: isBlockDevice, direct: &openedDirect)
    let file = try measure(descriptor, path)
    do {
      try DiskFile.lock(descriptor, shared: spec.isReadOnly)
    } catch .wouldBlock {
      throw .locked(path: path, forWriting: !spec.isReadOnly)
    } catch {
      throw .system(operation: "lock", path: path, error)
    }

    let smallest = max(file.sectorByteCount, 512)
    if let asked = spec.sectorByteCount, asked < smallest { throw .sectorSizeTooSmall(path: path, asked: asked, needed: smallest) }
    var sector = spec.sectorByteCount ?? smallest
    var isDirect = openedDirect && file.directOffsetAlignment > 0 && file.directMemoryAlignment <= 512 && file.directOffsetAlignment <= 4096
    if isDirect, file.directOffsetAlignment > sector {
      // Smaller transfers than the file system's unit would have to go through the page cache.
      if spec.sectorByteCount == nil { sector = file.directOffsetAlignment } else { isDirect = false }
    }
    if spec.isDirect, !isDirect { notices.append("\(path): direct I/O is not possible here, using the page cache") }
    if openedDirect, !isDirect { try leaveDirect(descriptor, path) }

    let physical = min(max(file.physicalSectorByteCount, sector), 4096)
    let geometry = try geometry(of: path, byteCount: file.byteCount, sectorByteCount: sector, physicalSectorByteCount: physical, spec: spec)
    if geometry.byteCount != file.byteCount {
      notices.append("\(path) has \(file.byteCount) bytes, which is no multiple of \(sector); the last \(file.byteCount - geometry.byteCount) are not used")
    }
    let discards = !spec.isReadOnly && (isBlockDevice || DiskFile.canPunchHoles(descriptor, behind: file.byteCount))
    return BlockStore(
      kind: .file(OwnedFile(descriptor: SharedDescriptor(descriptor), path: path, isBlockDevice: isBlockDevice)),
      geometry: geometry, supportsDiscard: discards, discardGranularity: isBlockDevice ? 0 : UInt32(physical), isDirect: isDirect,
      notices: notices)
  }

  /// Looks before it opens: opening a pipe or a device can block or do something.
  private static func isBlockDevice(_ path: String, _ spec: BlockStoreSpec) throws(BlockOpenError) -> Bool {
    let found: DiskFile
    do throws(Errno) { found = try DiskFile(at: path) } catch { throw openError(error, path, spec) }
    switch found.kind {
    case .regular: return false
    case .blockDevice: return true
    case .directory: throw .directory(path: path)
    case .other: throw .notADisk(path: path)
    }
  }

  private static func openDescriptor(
    _ path: String, _ spec: BlockStoreSpec, isBlockDevice: Bool, direct: inout Bool
  ) throws(BlockOpenError) -> OwnedDescriptor {
    let exclusive = isBlockDevice && !spec.isReadOnly
    do throws(Errno) {
      if direct {
        do throws(Errno) {
          return try DiskFile.open(path, forWriting: !spec.isReadOnly, direct: true, exclusive: exclusive)
        } catch {
          // EINVAL is how a file system says that it has no direct I/O (open(2)).
          guard error == .invalidArgument else { throw error }
          direct = false
        }
      }
      return try DiskFile.open(path, forWriting: !spec.isReadOnly, direct: false, exclusive: exclusive)
    } catch {
      throw openError(error, path, spec)
    }
  }

  private static func openError(_ errno: Errno, _ path: String, _ spec: BlockStoreSpec) -> BlockOpenError {
    switch errno {
    case .noSuchFileOrDirectory, .notDirectory: .missing(path: path)
    case .permissionDenied, .notPermitted: .permissionDenied(path: path, forWriting: !spec.isReadOnly)
    case .readOnlyFileSystem: .writeProtected(path: path)
    case .resourceBusy: .inUse(path: path)
    case .isDirectory: .directory(path: path)
    default: .system(operation: "open", path: path, errno)
    }
  }

  private static func measure(_ descriptor: borrowing OwnedDescriptor, _ path: String) throws(BlockOpenError) -> DiskFile {
    do { return try DiskFile(measuring: descriptor) } catch { throw .system(operation: "measure", path: path, error) }
  }

  private static func leaveDirect(_ descriptor: borrowing OwnedDescriptor, _ path: String) throws(BlockOpenError) {
    do { try DiskFile.setDirect(false, descriptor) } catch { throw .system(operation: "use the page cache for", path: path, error) }
  }
}
