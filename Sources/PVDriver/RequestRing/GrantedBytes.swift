public import SharedMemory
import XenInterface
import XenPlatform

/// The data of one request in the front-end's pages, mapped until the request is answered. Loop thread only.
///
/// The front-end can change the pages at any moment: copy once, and decide on the copy. Use after the answer traps.
public struct GrantedBytes {
  /// How many bytes the request has; 0 for one without data.
  public let byteCount: Int
  let pages: GrantedPages
  let row: Int
  let generation: UInt32
  let offset: Int

  /// Copies bytes in at `offset` of the data. What was written from the start is what the response tells the front-end.
  /// - Precondition: they lie within ``byteCount``.
  public func copyIn(_ bytes: [UInt8], at start: Int = 0) {
    eachPiece(start, bytes.count) { memory, place, index, count in memory.copyIn(bytes, from: index, byteCount: count, at: place) }
    pages.noteWritten(row, upTo: start + bytes.count)
  }

  /// Copies all of the data out.
  public func copyOut() -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: byteCount)
    copyOut(at: 0, byteCount: byteCount, into: &bytes)
    return bytes
  }

  /// Copies `count` bytes at `start` of the data into the first elements of `bytes`.
  public func copyOut(at start: Int, byteCount count: Int, into bytes: inout [UInt8]) {
    eachPiece(start, count) { memory, place, index, count in memory.copyOut(at: place, byteCount: count, into: &bytes, at: index) }
  }

  /// Lets `write` fill the data, piece by piece: by the kernel, never by a pointer. What it is given counts as written. Allocates nothing.
  public func fill(_ write: (_ address: UInt, _ byteCount: Int) -> Void) {
    eachPiece(0, byteCount) { memory, place, _, count in write(memory.vector(at: place, byteCount: count).address, count) }
    pages.noteWritten(row, upTo: byteCount)
  }

  /// Says that the first `count` bytes were written by other means than ``copyIn(_:at:)``: by the kernel, through ``vectors``.
  public func didWrite(_ count: Int) {
    precondition(count >= 0 && count <= byteCount, "more than the request's data")
    check()
    pages.noteWritten(row, upTo: count)
  }

  /// Where the data is in this process, in order: for the kernel (io_uring), never to be dereferenced.
  public var vectors: [SharedVector] {
    var result: [SharedVector] = []
    check()
    var done = 0
    while done < byteCount {
      let place = offset + done
      let count = min(byteCount - done, pageByteCount - place % pageByteCount)
      result.append(pages.page(row, place / pageByteCount).vector(at: place % pageByteCount, byteCount: count))
      done += count
    }
    return result
  }

  private func check() { precondition(pages.generation(of: row) == generation, "the data of a request that was answered") }

  private func eachPiece(_ start: Int, _ count: Int, _ body: (SharedBytes, _ place: Int, _ index: Int, _ count: Int) -> Void) {
    precondition(start >= 0 && count >= 0 && start <= byteCount - count, "outside the request's data")
    check()
    var done = 0
    while done < count {
      let place = offset + start + done
      let piece = min(count - done, pageByteCount - place % pageByteCount)
      body(pages.bytes(row, place / pageByteCount), place % pageByteCount, done, piece)
      done += piece
    }
  }
}

/// The mapped pages of the requests that a back-end has taken: one row a request, as many as the ring has entries.
final class GrantedPages {
  private struct Row {
    var pageCount: Int32 = 0
    var written: Int32 = 0
    var generation: UInt32 = 0
  }

  let grants: ForeignGrants
  private let capacity: Int
  private let rows: FixedTable<Row>
  private let pages: FixedTable<MappedPage>

  init(grants: ForeignGrants, rowCount: Int, pagesPerRow: Int) {
    self.grants = grants
    capacity = pagesPerRow
    rows = FixedTable(repeating: Row(), count: rowCount)
    pages = FixedTable(repeating: MappedPage(address: 0, arena: -1, page: 0, isWritable: false), count: rowCount * pagesPerRow)
  }

  func generation(of row: Int) -> UInt32 { rows[row].generation }
  func page(_ row: Int, _ index: Int) -> MappedPage { pages[row * capacity + index] }
  func bytes(_ row: Int, _ index: Int) -> SharedBytes { grants.bytes(of: page(row, index)) }
  func noteWritten(_ row: Int, upTo count: Int) { rows[row].written = max(rows[row].written, Int32(count)) }

  /// Maps what a request names, all or nothing (XSA-361). The row must be free.
  func map(_ row: Int, pageCount: Int, writable: Bool, _ reference: (Int) -> GrantReference) throws(GrantError) {
    rows[row].written = 0
    rows[row].pageCount = 0
    for index in 0..<pageCount {
      do throws(GrantError) {
        pages[row * capacity + index] = try grants.map(reference(index), writable: writable)
      } catch {
        unmap(row)
        throw error
      }
      rows[row].pageCount = Int32(index + 1)
    }
  }

  /// Gives a request's pages back, and ends every ``GrantedBytes`` of it. Returns how many bytes were written.
  func release(_ row: Int) -> Int {
    unmap(row)
    rows[row].generation &+= 1
    return Int(rows[row].written)
  }

  private func unmap(_ row: Int) {
    for index in 0..<Int(rows[row].pageCount) { grants.unmap(page(row, index)) }
    rows[row].pageCount = 0
  }
}
