import LinuxSystem
import SystemPackage

/// What files are, and changing it.
extension NinePSession {
  /// `P9_GETATTR_BASIC`: everything that `stat` says.
  private static let basicAttributes: UInt64 = 0x7FF

  func attributes(_ reader: inout NinePReader, _ writer: inout NinePWriter) throws(NinePFailure) {
    let fid = try fid(&reader)
    _ = try reader.u64()
    let status = try answering(fid.file.currentStatus)
    writer.u64(Self.basicAttributes)
    writer.qid(status)
    writer.u32(status.mode)
    writer.u32(status.userID)
    writer.u32(status.groupID)
    for value in [status.linkCount, status.deviceNumber, status.byteCount, status.blockByteCount, status.blockCount] { writer.u64(value) }
    for time in [status.accessTime, status.modificationTime, status.changeTime, (0, 0)] {
      writer.u64(time.0)
      writer.u64(time.1)
    }
    // Generation and version of the data, which nobody keeps.
    writer.u64(0)
    writer.u64(0)
  }

  func setAttributes(_ reader: inout NinePReader) throws(NinePFailure) {
    let fid = try fid(&reader)
    let valid = try reader.u32()
    let (mode, user, group, byteCount) = (try reader.u32(), try reader.u32(), try reader.u32(), try reader.u64())
    let access = ShareFile.FileTime.at(seconds: try reader.u64(), nanoseconds: try reader.u64())
    let modification = ShareFile.FileTime.at(seconds: try reader.u64(), nanoseconds: try reader.u64())
    try demandWritable()
    let file = fid.file
    // Files belong to whoever serves them (security model `none`): an owner that is the same changes nothing, another one cannot be.
    if valid & 0x2 != 0, user != file.status.userID { throw .system(.notPermitted) }
    if valid & 0x4 != 0, group != file.status.groupID { throw .system(.notPermitted) }
    try answering { () throws(Errno) in
      if valid & 0x1 != 0 { try file.setMode(mode) }
      if valid & 0x8 != 0 { try file.setByteCount(byteCount) }
      if valid & 0x30 != 0 {
        try file.setTimes(
          access: valid & 0x10 == 0 ? nil : valid & 0x80 == 0 ? .now : access,
          modification: valid & 0x20 == 0 ? nil : valid & 0x100 == 0 ? .now : modification)
      }
    }
  }

  func fileSystem(_ reader: inout NinePReader, _ writer: inout NinePWriter) throws(NinePFailure) {
    let fid = try fid(&reader)
    let system = try answering(fid.file.fileSystem)
    // `V9FS_MAGIC`
    writer.u32(0x0102_1997)
    writer.u32(system.blockByteCount)
    for count in [system.blockCount, system.freeBlockCount, system.availableBlockCount, system.fileCount, system.freeFileCount, 0] { writer.u64(count) }
    writer.u32(system.nameByteCount)
  }

  func unlocked(_ reader: inout NinePReader, _ writer: inout NinePWriter) throws(NinePFailure) {
    _ = try fid(&reader)
    _ = try reader.u8()
    let (start, length, process) = (try reader.u64(), try reader.u64(), try reader.u32())
    let client = try reader.string()
    // `P9_LOCK_TYPE_UNLCK`
    writer.u8(2)
    writer.u64(start)
    writer.u64(length)
    writer.u32(process)
    writer.string(client)
  }
}

extension NinePWriter {
  /// What a file is to 9P: its kind, a version that changes with its data, and its number.
  mutating func qid(_ status: ShareFile.Status) {
    let version = UInt32(truncatingIfNeeded: status.modificationTime.0 &* 1_000_000_000 &+ status.modificationTime.1)
    qid(type: status.isDirectory ? 0x80 : status.isSymbolicLink ? 0x02 : 0, version: version, path: status.inode)
  }

  mutating func qid(type: UInt8, version: UInt32, path: UInt64) {
    u8(type)
    u32(version)
    u64(path)
  }
}
