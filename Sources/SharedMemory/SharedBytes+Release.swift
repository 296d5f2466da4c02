import CLinuxShims
import Glibc

extension SharedBytes {
  /// Fills `count` bytes at `offset` with zeros, and gives whole pages of them back to the system. Only for memory made by
  /// ``SharedRegion/init(anonymousByteCount:)``: pages of a file would come back with the file's bytes.
  public func zeroAndRelease(at offset: Int, byteCount count: Int) {
    checkRange(offset, count)
    let start = address + UInt(offset)
    let end = start + UInt(count)
    let firstPage = (start + 4095) & ~4095
    let lastPage = end & ~4095
    // SAFETY: the pages lie inside the range that was checked.
    guard firstPage < lastPage, unsafe madvise(UnsafeMutableRawPointer(bitPattern: firstPage), Int(lastPage - firstPage), Int32(MADV_DONTNEED)) == 0
    else { return zero(at: offset, byteCount: count) }
    zero(at: offset, byteCount: Int(firstPage - start))
    zero(at: offset + Int(lastPage - start), byteCount: Int(end - lastPage))
  }
}
