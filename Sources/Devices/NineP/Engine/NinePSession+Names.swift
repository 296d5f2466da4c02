import LinuxSystem
import SystemPackage

/// Making, naming and removing.
extension NinePSession {
  func makeDirectory(_ reader: inout NinePReader, _ writer: inout NinePWriter) throws(NinePFailure) {
    let parent = try fid(&reader)
    let name = try reader.name()
    let mode = try reader.u32()
    try demandWritable()
    try answering { () throws(Errno) in try parent.file.makeDirectory(name, mode: mode) }
    writer.qid(try directory(parent.path + [name]).status)
  }

  /// A link may point anywhere: it is the guest that follows it, in its own names.
  func makeSymbolicLink(_ reader: inout NinePReader, _ writer: inout NinePWriter) throws(NinePFailure) {
    let parent = try fid(&reader)
    let name = try reader.name()
    let target = try reader.string()
    try demandWritable()
    try answering { () throws(Errno) in try parent.file.makeSymbolicLink(name, to: target) }
    writer.qid(try directory(parent.path + [name]).status)
  }

  func makeLink(_ reader: inout NinePReader) throws(NinePFailure) {
    let parent = try fid(&reader)
    let file = try fid(&reader)
    let name = try reader.name()
    try demandWritable()
    try answering { () throws(Errno) in try parent.file.makeLink(name, to: file.file) }
  }

  func unlink(_ reader: inout NinePReader) throws(NinePFailure) {
    let parent = try fid(&reader)
    let name = try reader.name()
    let isDirectory = try reader.u32() & 0x200 != 0
    try demandWritable()
    try answering { () throws(Errno) in try parent.file.remove(name, isDirectory: isDirectory) }
  }

  func rename(_ reader: inout NinePReader) throws(NinePFailure) {
    let file = try fid(&reader)
    let target = try fid(&reader)
    let name = try reader.name()
    try demandWritable()
    guard let old = file.path.last else { throw .system(.resourceBusy) }
    let parent = try directory(file.path.dropLast())
    try answering { () throws(Errno) in try parent.rename(old, to: name, in: target.file) }
  }

  func renameEntry(_ reader: inout NinePReader) throws(NinePFailure) {
    let parent = try fid(&reader)
    let old = try reader.name()
    let target = try fid(&reader)
    let name = try reader.name()
    try demandWritable()
    try answering { () throws(Errno) in try parent.file.rename(old, to: name, in: target.file) }
  }
}
