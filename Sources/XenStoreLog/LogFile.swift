import LinuxSystem
import SystemPackage

/// One log, open for appending.
final class LogFile: @unchecked Sendable {
  // SAFETY of @unchecked: used by one thread at a time; handed from the thread that makes it to the one that writes it.

  private static let growthByteCount = 1 << 20
  private static let zeros = [UInt8](repeating: 0, count: 256 << 10)

  let path: String
  let number: UInt64
  private let identity: UInt64
  private let file: OwnedDescriptor
  private let onStep: (@Sendable (StoreLogOptions.Step) throws(Errno) -> Void)?
  /// Where the next frame goes.
  private(set) var position = FileHeader.byteCount
  /// Bytes that were written, if only with zeros, and are on disk.
  private(set) var byteCount: Int

  /// Makes a log with room for `byteCount` bytes, all on disk, under its final name. Takes as long as writing that much.
  init(number: UInt64, in directory: StateDirectory, byteCount: Int, options: StoreLogOptions) throws(StoreLogError) {
    let path = directory.log(number)
    let temporary = path + StateDirectory.unfinishedSuffix
    let header = FileHeader(kind: .log, number: number, initialByteCount: byteCount)
    onStep = options.onStep
    file = try StoreLogError.calling("create", temporary) { () throws(Errno) in
      try options.onStep?(.prepareLog)
      try StorageFile.remove(temporary)
      return try StorageFile.open(temporary, creating: true)
    }
    self.path = path
    self.number = number
    identity = header.identity
    self.byteCount = 0
    do throws(StoreLogError) {
      try StoreLogError.calling("prepare", temporary) { () throws(Errno) in
        try StorageFile.write(header.encoded, at: 0, on: file)
        try LogFile.writeZeros(from: FileHeader.byteCount, to: byteCount, on: file)
        try StorageFile.syncData(file)
        try StorageFile.rename(temporary, to: path)
        try StorageFile.syncDirectory(directory.path)
      }
    } catch {
      // What is not finished takes no room from what is.
      try? StorageFile.remove(temporary)
      throw error
    }
    self.byteCount = byteCount
  }

  /// Bytes behind the last frame that need no growing.
  var room: Int { byteCount - position }

  /// Writes one frame, whose header `bytes` have room for, and waits until it cannot be lost. The caller stops for good when this
  /// fails: nobody can say what is on the disk then.
  func append(_ bytes: consuming [UInt8], kind: Frame.Kind, sequence: UInt64, entryCount: Int) throws(StoreLogError) {
    var bytes = bytes
    Frame.complete(&bytes, identity: identity, kind: kind, sequence: sequence, entryCount: entryCount)
    if bytes.count > room { try grow(by: bytes.count - room) }
    let position = position
    try StoreLogError.calling("write", path) { () throws(Errno) in
      try onStep?(.write)
      try StorageFile.write(bytes, at: position, on: file)
    }
    try StoreLogError.calling("sync", path) { () throws(Errno) in
      try onStep?(.sync)
      try StorageFile.syncData(file)
    }
    self.position += bytes.count
  }

  /// Makes the log longer by at least `count` bytes, so that what is appended later only replaces zeros. What it had is not touched.
  func grow(by count: Int) throws(StoreLogError) {
    let end = byteCount + max(count, LogFile.growthByteCount)
    let byteCount = byteCount
    try StoreLogError.calling("extend", path) { () throws(Errno) in
      try onStep?(.grow)
      try LogFile.writeZeros(from: byteCount, to: end, on: file)
      try StorageFile.syncData(file)
    }
    self.byteCount = end
  }

  private static func writeZeros(from start: Int, to end: Int, on file: borrowing OwnedDescriptor) throws(Errno) {
    var position = start
    while position < end {
      let count = min(end - position, zeros.count)
      try StorageFile.write(count == zeros.count ? zeros : Array(zeros[..<count]), at: position, on: file)
      position += count
    }
  }
}
