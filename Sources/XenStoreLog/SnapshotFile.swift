import LinuxSystem
import SystemPackage
import XenStoreCore

/// The whole store in a file.
enum SnapshotFile {
  /// A frame is closed when it has this many bytes, so that writing a large store needs little memory.
  private static let frameByteCount = 256 << 10

  /// Writes `image` under its final name, in one step that a crash does not divide. Returns its size in bytes. Any thread.
  static func write(_ image: XenStoreImage, number: UInt64, in directory: StateDirectory, options: StoreLogOptions) throws(StoreLogError) -> Int {
    let path = directory.snapshot(number)
    let temporary = path + StateDirectory.unfinishedSuffix
    do throws(StoreLogError) {
      return try StoreLogError.calling("write", temporary) { () throws(Errno) in
        try options.onStep?(.writeSnapshot)
        try StorageFile.remove(temporary)
        let file = try StorageFile.open(temporary, creating: true)
        let byteCount = try write(image, number: number, to: file)
        try StorageFile.syncData(file)
        try StorageFile.rename(temporary, to: path)
        try StorageFile.syncDirectory(directory.path)
        return byteCount
      }
    } catch {
      try? StorageFile.remove(temporary)
      throw error
    }
  }

  private static func write(_ image: XenStoreImage, number: UInt64, to file: borrowing OwnedDescriptor) throws(Errno) -> Int {
    let header = FileHeader(kind: .snapshot, number: number, initialByteCount: 0)
    var frames = FrameWriter(identity: header.identity)
    try StorageFile.write(header.encoded, at: 0, on: file)
    try image.forEachChange { (change) throws(Errno) in
      ChangeCoding.append(change, to: &frames.bytes)
      frames.entryCount += 1
      if frames.bytes.count >= frameByteCount { try frames.write(.changes, to: file) }
    }
    if frames.entryCount > 0 { try frames.write(.changes, to: file) }
    frames.bytes.append(number: image.generation)
    frames.sequence = image.sequence
    try frames.write(.snapshotEnd, to: file)
    return frames.position
  }

  private struct FrameWriter {
    let identity: UInt64
    var bytes = [UInt8](repeating: 0, count: Frame.headerByteCount)
    var entryCount = 0
    var sequence: UInt64 = 0
    var position = FileHeader.byteCount

    init(identity: UInt64) { self.identity = identity }

    mutating func write(_ kind: Frame.Kind, to file: borrowing OwnedDescriptor) throws(Errno) {
      Frame.complete(&bytes, identity: identity, kind: kind, sequence: sequence, entryCount: entryCount)
      try StorageFile.write(bytes, at: position, on: file)
      position += bytes.count
      sequence += 1
      entryCount = 0
      bytes = [UInt8](repeating: 0, count: Frame.headerByteCount)
    }
  }

  /// What a snapshot ends with.
  struct End {
    var sequence: UInt64
    var generation: UInt64
    /// Bytes of the file.
    var byteCount: Int
  }

  /// Reads a snapshot into an empty store. A snapshot was whole before it got its name, so whatever is wrong with it is damage.
  static func read(number: UInt64, in directory: StateDirectory, into core: XenStoreCore) throws(StoreLogError) -> End {
    let path = directory.snapshot(number)
    let bytes = try StoreLogError.calling("read", path) { () throws(Errno) in try StorageFile.read(path) }
    let header = try readHeader(bytes, kind: .snapshot, number: number, path: path)
    var offset = FileHeader.byteCount
    var index: UInt64 = 0
    while true {
      func damage(_ what: String) -> StoreLogError { .damagedSnapshot(path: path, offset: offset, what: what) }
      guard let frame = Frame(in: bytes, at: offset, identity: header.identity) else { throw damage("a record of the snapshot is not as it was written") }
      var reader = RecordReader(bytes, in: frame.payload)
      switch frame.kind {
      case .changes:
        guard frame.sequence == index else { throw damage("a record of the snapshot is missing") }
        for _ in 0..<frame.entryCount {
          guard let change = ChangeCoding.change(from: &reader), core.restore(change) else { throw damage("a record makes no sense") }
        }
        guard reader.isAtEnd else { throw damage("a record makes no sense") }
        index += 1
        offset = frame.end
      case .snapshotEnd:
        guard let generation = reader.number(UInt64.self), reader.isAtEnd else { throw damage("a record makes no sense") }
        return End(sequence: frame.sequence, generation: generation, byteCount: frame.end)
      case .commits, .end: throw damage("a record makes no sense")
      }
    }
  }

  /// Reads and checks a file's header.
  static func readHeader(_ bytes: [UInt8], kind: FileHeader.Kind, number: UInt64, path: String) throws(StoreLogError) -> FileHeader {
    func damage(_ offset: Int, _ what: String) -> StoreLogError {
      kind == .snapshot ? .damagedSnapshot(path: path, offset: offset, what: what) : .damaged(path: path, offset: offset, commit: 0, what: what)
    }
    let header: FileHeader
    do throws(FileHeader.Problem) {
      header = try FileHeader(bytes, kind: kind)
    } catch {
      switch error {
      case .version(let version): throw .unknownVersion(path: path, version: version)
      case .unreadable: throw damage(0, "its header is not as it was written")
      }
    }
    guard header.number == number else { throw damage(0, "it is another file of the store") }
    guard bytes.count >= Int(clamping: header.initialByteCount) else { throw damage(bytes.count, "the file was cut off") }
    return header
  }
}
