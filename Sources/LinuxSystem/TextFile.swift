import Glibc
public import SystemPackage

/// Small text files, such as those under /proc.
public enum TextFile {
  /// Reads `path`, at most `maximumByteCount` bytes of it.
  public static func read(_ path: String, maximumByteCount: Int = 65_536) throws(Errno) -> String {
    let file = try OwnedDescriptor.open(path, flags: O_RDONLY)
    let descriptor = file.rawValue
    var failure: Errno?
    // SAFETY: each `read` writes only behind what is filled, at most to the buffer's end; `filled` bytes are initialised.
    let text = unsafe String(unsafeUninitializedCapacity: maximumByteCount) { buffer in
      var filled = 0
      while filled < buffer.count {
        let count = unsafe Glibc.read(descriptor, buffer.baseAddress! + filled, buffer.count - filled)
        if count < 0 { failure = Errno.last }
        if count <= 0 { break }
        filled += count
      }
      return filled
    }
    if let failure { throw failure }
    return text
  }

  /// Replaces or creates `path` with `text`.
  public static func write(_ text: String, to path: String) throws(Errno) {
    let file = try OwnedDescriptor.open(path, flags: O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644)
    let descriptor = file.rawValue
    var remaining = Array(text.utf8)[...]
    while !remaining.isEmpty {
      // SAFETY: as many bytes are read as the slice has.
      let count = unsafe remaining.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
      remaining = remaining.dropFirst(Int(try check(count)))
    }
  }
}
