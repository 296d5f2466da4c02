import LinuxSystem
import SystemPackage

/// Answers 9P2000.L requests for one share. Knows no rings; synchronous.
///
/// The guest is not trusted: places are reached from the share's root without links, names are single entries, files and lengths are
/// bounded. A request that breaks a rule is answered with an error, and nothing else happens.
public final class NinePSession {
  /// Longest message that is agreed on.
  public static let maximumMessageByteCount = 512 << 10
  /// Length, type and tag.
  public static let headerByteCount = 7

  let share: NinePShare
  /// Longest message, as agreed on.
  public private(set) var messageByteCount = maximumMessageByteCount
  private(set) var fids: [UInt32: NinePFid] = [:]
  public private(set) var answerCount: UInt64 = 0
  public private(set) var errorCount: UInt64 = 0

  public init(_ share: NinePShare) { self.share = share }

  /// Forgets everything that the guest holds.
  public func reset() {
    fids = [:]
    messageByteCount = Self.maximumMessageByteCount
  }

  /// Appends the answer to the message in the first `byteCount` bytes of `request`, whose length field says so, to `answer`.
  public func answer(_ request: [UInt8], byteCount: Int, into answer: inout [UInt8]) {
    precondition(byteCount >= Self.headerByteCount, "a message shorter than its header")
    let start = answer.count
    var reader = NinePReader(request, from: 4, to: byteCount)
    let type = (try? reader.u8()) ?? 0
    let tag = (try? reader.u16()) ?? 0
    var writer = NinePWriter(bytes: answer)
    answer = []
    func begin(_ type: UInt8) {
      writer.bytes.removeLast(writer.bytes.count - start)
      writer.u32(0)
      writer.u8(type)
      writer.u16(tag)
    }
    do throws(NinePFailure) {
      guard let kind = NinePRequestType(rawValue: type) else { throw .unsupported }
      begin(kind.answer)
      try handle(kind, &reader, &writer, request)
    } catch {
      begin(NinePRequestType.error)
      writer.u32(error.number)
      errorCount &+= 1
    }
    answerCount &+= 1
    writer.setU32(UInt32(writer.bytes.count - start), at: start)
    answer = writer.bytes
  }

  private func handle(_ kind: NinePRequestType, _ reader: inout NinePReader, _ writer: inout NinePWriter, _ request: [UInt8]) throws(NinePFailure) {
    switch kind {
    case .version: try version(&reader, &writer)
    // No error number: there is nothing to prove.
    case .auth: throw .system(.init(rawValue: 0))
    case .attach: try attach(&reader, &writer)
    // Requests are answered in order: what is flushed has been answered.
    case .flush: break
    case .walk: try walk(&reader, &writer)
    case .clunk: try clunk(&reader)
    case .remove: try remove(&reader)
    case .getattr: try attributes(&reader, &writer)
    case .setattr: try setAttributes(&reader)
    case .statfs: try fileSystem(&reader, &writer)
    case .readlink: writer.string(try answering(try fid(&reader).file.linkTarget))
    case .lopen: try open(&reader, &writer)
    case .lcreate: try create(&reader, &writer)
    case .read: try read(&reader, &writer)
    case .write: try write(&reader, &writer, request)
    case .readdir: try list(&reader, &writer)
    case .fsync: try synchronize(&reader)
    case .mkdir: try makeDirectory(&reader, &writer)
    case .symlink: try makeSymbolicLink(&reader, &writer)
    case .link: try makeLink(&reader)
    case .unlinkat: try unlink(&reader)
    case .rename: try rename(&reader)
    case .renameat: try renameEntry(&reader)
    // One guest: whoever asks for a lock has it. Success, and for a question: nobody has one.
    case .lock:
      _ = try fid(&reader)
      writer.u8(0)
    case .getlock: try unlocked(&reader, &writer)
    case .xattrwalk, .xattrcreate, .mknod: throw .unsupported
    }
  }

  // MARK: Fids

  func fid(_ reader: inout NinePReader) throws(NinePFailure) -> NinePFid {
    guard let fid = fids[try reader.u32()] else { throw .unknownFid }
    return fid
  }

  func setFid(_ number: UInt32, _ fid: NinePFid) throws(NinePFailure) {
    guard fids[number] != nil || fids.count < share.fidLimit else { throw .tooManyFids }
    fids[number] = fid
  }

  func demandWritable() throws(NinePFailure) { if share.isReadOnly { throw .readOnly } }

  // MARK: The session

  private func version(_ reader: inout NinePReader, _ writer: inout NinePWriter) throws(NinePFailure) {
    let wanted = Int(clamping: try reader.u32())
    let name = try reader.string()
    guard wanted >= 4096 else { throw .malformed }
    reset()
    messageByteCount = min(wanted, Self.maximumMessageByteCount)
    writer.u32(UInt32(messageByteCount))
    writer.string(name == "9P2000.L" ? name : "unknown")
  }

  private func attach(_ reader: inout NinePReader, _ writer: inout NinePWriter) throws(NinePFailure) {
    let number = try reader.u32()
    guard fids[number] == nil else { throw .fidInUse }
    let root = try answering { () throws(Errno) in try ShareFile([], below: share.root) }
    try setFid(number, NinePFid([], root))
    writer.qid(root.status)
  }

  private func walk(_ reader: inout NinePReader, _ writer: inout NinePWriter) throws(NinePFailure) {
    let start = try fid(&reader)
    let number = try reader.u32()
    let count = try reader.u16()
    guard count <= 16 else { throw .malformed }
    guard fids[number] == nil || fids[number] === start else { throw .fidInUse }
    // The text forbids to walk from an open file; diod's clients do it, and there is nothing wrong with it here.
    var path = start.path
    var reached = start.file
    let place = writer.bytes.count
    writer.u16(0)
    for step in 0..<count {
      do throws(NinePFailure) {
        let name = try reader.string()
        if name == ".." { path = Array(path.dropLast()) } else {
          guard !name.isEmpty, name != ".", !name.utf8.contains(UInt8(ascii: "/")), name.utf8.count <= 255 else { throw .invalidName }
          guard reached.status.isDirectory else { throw .system(.notDirectory) }
          path.append(name)
        }
        let next = path
        reached = try answering { () throws(Errno) in try ShareFile(next, below: share.root) }
      } catch {
        // What was reached so far is told; the new fid is not made.
        if step == 0 { throw error }
        return
      }
      writer.qid(reached.status)
      writer.bytes[place] = UInt8(step + 1)
    }
    // A clone looks anew, so that it does not hold what the other one has open.
    if count == 0 {
      let same = path
      reached = try answering { () throws(Errno) in try ShareFile(same, below: share.root) }
    }
    try setFid(number, NinePFid(path, reached))
  }

  private func clunk(_ reader: inout NinePReader) throws(NinePFailure) {
    guard fids.removeValue(forKey: try reader.u32()) != nil else { throw .unknownFid }
  }

  private func remove(_ reader: inout NinePReader) throws(NinePFailure) {
    let number = try reader.u32()
    guard let fid = fids.removeValue(forKey: number) else { throw .unknownFid }
    try demandWritable()
    guard let name = fid.path.last else { throw .system(.resourceBusy) }
    let parent = try directory(fid.path.dropLast())
    try answering { () throws(Errno) in try parent.remove(name, isDirectory: fid.file.status.isDirectory) }
  }

  /// The directory at a path, looked up anew.
  func directory(_ path: some Collection<String>) throws(NinePFailure) -> ShareFile {
    let components = Array(path)
    return try answering { () throws(Errno) in try ShareFile(components, below: share.root) }
  }
}
