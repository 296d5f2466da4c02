import CLinuxShims
import Glibc
public import SystemPackage

extension MemoryFile {
  /// A file with these bytes, to hand to another program.
  public static func create(name: String, contents: [UInt8]) throws(Errno) -> OwnedDescriptor {
    let file = try createUnsealed(name: name, byteCount: 0)
    var offset = 0
    while offset < contents.count {
      let start = offset
      // SAFETY: exactly the bytes from `start` to the end of the array are lent for the call.
      let written = unsafe contents.withUnsafeBytes { bytes in
        unsafe pwrite(file.rawValue, bytes.baseAddress! + start, bytes.count - start, off_t(start))
      }
      if written < 0, Errno.last == .interrupted { continue }
      offset += Int(try check(written))
    }
    return file
  }

  /// What is in a file, of whatever kind. Throws `EFBIG` when that is more than `limit` bytes.
  public static func contents(of file: borrowing OwnedDescriptor, limit: Int) throws(Errno) -> [UInt8] {
    let number = file.rawValue
    var result: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let offset = off_t(result.count)
      // SAFETY: at most as many bytes are written as the buffer has.
      let count = unsafe buffer.withUnsafeMutableBytes { unsafe pread(number, $0.baseAddress!, $0.count, offset) }
      if count < 0, Errno.last == .interrupted { continue }
      guard try check(count) > 0 else { return result }
      result.append(contentsOf: buffer.prefix(count))
      guard result.count <= limit else { throw .fileTooLarge }
    }
  }
}
