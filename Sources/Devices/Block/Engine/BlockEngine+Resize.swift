public import BlockInterface
import LinuxSystem
import SharedMemory
public import SystemPackage

extension BlockEngine {
  /// Looks at the file's size again. Requests under way go on; later ones are checked against what is returned.
  /// Throws when the file cannot be looked at, or has less than one sector left.
  public func refreshSize() throws(Errno) -> BlockGeometry {
    if case .file(let opened) = store.kind {
      let measured = try DiskFile(measuring: opened.descriptor.descriptor)
      try setByteCount(measured.byteCount)
    }
    return store.geometry
  }

  /// Changes the size of a disk that is no file. Throws `EINVAL` for a file, or a size of less than one sector.
  public func resize(byteCount: UInt64) throws(Errno) -> BlockGeometry {
    switch store.kind {
    case .file, .script: throw .invalidArgument
    case .null: break
    case .memory: try moveMemory(byteCount: Int(clamping: byteCount / 512 * 512))
    }
    try setByteCount(byteCount)
    return store.geometry
  }

  private func setByteCount(_ byteCount: UInt64) throws(Errno) {
    let sector = UInt64(store.geometry.sectorByteCount)
    let sectors = min(byteCount / sector * sector / 512, BlockLimits.sectorCount / 8 * 8)
    guard sectors > 0 else { throw .invalidArgument }
    store.geometry.sectorCount = sectors
  }

  /// Nothing of a disk in memory is ever under way between two calls, so its bytes may move.
  private func moveMemory(byteCount: Int) throws(Errno) {
    guard let old = store.memory, byteCount > 0 else { throw .invalidArgument }
    let new = try SharedRegion(anonymousByteCount: byteCount).bytes
    new.copy(from: old, sourceOffset: 0, to: 0, byteCount: min(old.byteCount, byteCount))
    store.memory = new
  }
}
