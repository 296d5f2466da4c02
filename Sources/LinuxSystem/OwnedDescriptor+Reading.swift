import Glibc
public import SystemPackage

extension OwnedDescriptor {
  /// Reads up to `count` bytes, waiting for the first of them; nil at the end.
  public func read(upTo count: Int) throws(Errno) -> [UInt8]? {
    while true {
      var result = 0
      // SAFETY: the kernel writes at most `count` bytes into the buffer, which lives for the length of the call.
      let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
        result = unsafe Glibc.read(rawValue, buffer.baseAddress, count)
        initialized = max(0, result)
      }
      if result > 0 { return bytes }
      if result == 0 { return nil }
      if Errno.last != .interrupted { throw Errno.last }
    }
  }
}
