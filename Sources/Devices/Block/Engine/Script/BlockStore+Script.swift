import BlockInterface
import SystemPackage

extension BlockStore {
  /// How long one call of a script may take. Nothing else waits for it meanwhile.
  static let scriptPatienceNanoseconds: UInt64 = 60_000_000_000

  static func openScript(
    _ path: String, _ spec: BlockStoreSpec, patienceNanoseconds: UInt64 = scriptPatienceNanoseconds
  ) throws(BlockOpenError) -> sending BlockStore {
    var script = DiskScript(path: path, patienceNanoseconds: patienceNanoseconds)
    let abilities: DiskScript.Abilities
    do throws(DiskScript.Failure) { abilities = try script.open(isReadOnly: spec.isReadOnly) } catch {
      switch error {
      case .missing: throw .script(path: path, problem: "has nothing that can be asked of it (exit code 2)")
      case .failed(let problem): throw .script(path: path, problem: problem)
      }
    }
    var spec = spec
    var notices: [String] = []
    if !spec.isReadOnly, !abilities.canWrite {
      spec.isReadOnly = true
      notices.append("\(path) has no 'write' (exit code 2): the disk is read-only")
    }
    let sectorByteCount = spec.sectorByteCount ?? 512
    let geometry = try geometry(of: path, byteCount: abilities.byteCount, sectorByteCount: sectorByteCount, spec: spec)
    if geometry.byteCount != abilities.byteCount {
      notices.append("\(path) has \(abilities.byteCount) bytes, which is no multiple of \(sectorByteCount); the last \(abilities.byteCount - geometry.byteCount) are not used")
    }
    do {
      return BlockStore(
        kind: .script(try ScriptWorker(script)), geometry: geometry, supportsDiscard: abilities.canDiscard, notices: notices)
    } catch {
      throw .system(operation: "start a thread for", path: path, error)
    }
  }
}
