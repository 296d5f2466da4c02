import Glibc
import LinuxSystem
import SystemPackage

/// Opening, reading, writing and listing.
extension NinePSession {
  /// What an answer has room for, behind its header and a count.
  private var payloadByteCount: Int { messageByteCount - 11 }

  func open(_ reader: inout NinePReader, _ writer: inout NinePWriter) throws(NinePFailure) {
    let fid = try fid(&reader)
    let flags = try flags(&reader)
    guard fid.open == nil else { throw .fidInUse }
    fid.open = SharedDescriptor(try answering { () throws(Errno) in try fid.file.open(flags: flags) })
    writer.qid(fid.file.status)
    writer.u32(0)
  }

  func create(_ reader: inout NinePReader, _ writer: inout NinePWriter) throws(NinePFailure) {
    let number = try reader.u32()
    guard let parent = fids[number] else { throw .unknownFid }
    let name = try reader.name()
    let flags = try flags(&reader)
    let mode = try reader.u32()
    try demandWritable()
    guard parent.open == nil else { throw .fidInUse }
    let file = SharedDescriptor(try answering { () throws(Errno) in try parent.file.create(name, flags: flags, mode: mode) })
    let path = parent.path + [name]
    let made = NinePFid(path, try directory(path))
    made.open = file
    try setFid(number, made)
    writer.qid(made.file.status)
    writer.u32(0)
  }

  /// What Linux's numbers of the protocol are here: the same. What writes is refused where nothing may be changed.
  private func flags(_ reader: inout NinePReader) throws(NinePFailure) -> Int32 {
    let flags = Int32(truncatingIfNeeded: try reader.u32())
    if flags & O_ACCMODE != O_RDONLY || flags & O_TRUNC != 0 { try demandWritable() }
    return flags
  }

  func read(_ reader: inout NinePReader, _ writer: inout NinePWriter) throws(NinePFailure) {
    let fid = try fid(&reader)
    let offset = try reader.u64()
    let count = min(Int(clamping: try reader.u32()), payloadByteCount)
    guard let file = fid.open else { throw .notOpen }
    let place = writer.bytes.count
    writer.u32(0)
    let read = try answering { () throws(Errno) in try file.descriptor.read(count, at: offset, appendingTo: &writer.bytes) }
    writer.setU32(UInt32(read), at: place)
  }

  func write(_ reader: inout NinePReader, _ writer: inout NinePWriter, _ request: [UInt8]) throws(NinePFailure) {
    let fid = try fid(&reader)
    let offset = try reader.u64()
    let data = try reader.data(Int(clamping: try reader.u32()))
    try demandWritable()
    guard let file = fid.open else { throw .notOpen }
    writer.u32(UInt32(try answering { () throws(Errno) in try file.descriptor.write(request, data, at: offset) }))
  }

  func list(_ reader: inout NinePReader, _ writer: inout NinePWriter) throws(NinePFailure) {
    let fid = try fid(&reader)
    var offset = try reader.u64()
    let room = min(Int(clamping: try reader.u32()), payloadByteCount)
    guard let file = fid.open, fid.file.status.isDirectory else { throw .notOpen }
    let place = writer.bytes.count
    writer.u32(0)
    let start = writer.bytes.count
    outer: while true {
      let from = offset
      let entries = try answering { () throws(Errno) in try file.descriptor.directoryEntries(from: from) }
      if entries.isEmpty { break }
      for entry in entries {
        // Above the root there is nothing.
        if writer.bytes.count - start + 24 + entry.name.utf8.count > room { break outer }
        writer.qid(type: entry.type == 4 ? 0x80 : entry.type == 10 ? 0x02 : 0, version: 0, path: entry.inode)
        writer.u64(entry.nextOffset)
        writer.u8(entry.type)
        writer.string(entry.name)
        offset = entry.nextOffset
      }
    }
    writer.setU32(UInt32(writer.bytes.count - start), at: place)
  }

  func synchronize(_ reader: inout NinePReader) throws(NinePFailure) {
    let fid = try fid(&reader)
    let dataOnly = ((try? reader.u32()) ?? 0) != 0
    guard let file = fid.open else { throw .notOpen }
    try answering { () throws(Errno) in try file.descriptor.synchronize(dataOnly: dataOnly) }
  }
}
