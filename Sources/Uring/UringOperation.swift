public import CLiburing
public import SystemPackage

/// A file as an operation names it: by descriptor, or by its index in the ring's registered files.
@frozen public enum UringFile: Sendable, Equatable {
  case descriptor(Int32)
  case registered(Int32)

  @inlinable var number: Int32 {
    switch self {
    case .descriptor(let number), .registered(let number): number
    }
  }

  @inlinable var flags: UInt32 {
    switch self {
    case .descriptor: 0
    case .registered: fixedFileFlag
    }
  }
}

/// `IOSQE_FIXED_FILE` (linux/io_uring.h), a macro over an enum that Swift does not see.
@usableFromInline let fixedFileFlag: UInt32 = 1

/// `IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS`, macros over an enum as well.
@usableFromInline let linkAndSkipFlags: UInt8 = 1 << 2 | 1 << 6

/// `POLLIN`, a macro whose type differs between platforms.
@usableFromInline let pollInFlag: UInt32 = 1

/// `RWF_NOWAIT` (linux/fs.h), a macro with a cast that Swift does not see.
@usableFromInline let noWaitFlag: UInt32 = 8

/// A table of (address, length) pairs for vectored operations, at a stable address, owned by whoever submits it.
@safe public struct VectorTable: ~Copyable {
  // SAFETY of every use: `capacity` initialised entries from `init` to `deinit`, and every index is checked against it.
  @usableFromInline let base: UnsafeMutablePointer<iovec>
  public let capacity: Int

  /// Room for `capacity` pairs.
  public init(capacity: Int) {
    self.capacity = capacity
    unsafe base = .allocate(capacity: max(1, capacity))
    unsafe base.initialize(repeating: iovec(), count: max(1, capacity))
  }

  deinit { unsafe base.deallocate() }

  @inlinable public subscript(index: Int) -> (address: UInt, byteCount: Int) {
    get {
      precondition(index >= 0 && index < capacity)
      return unsafe (UInt(bitPattern: base[index].iov_base), base[index].iov_len)
    }
    nonmutating set {
      precondition(index >= 0 && index < capacity)
      unsafe base[index].iov_base = UnsafeMutableRawPointer(bitPattern: newValue.address)
      unsafe base[index].iov_len = newValue.byteCount
    }
  }
}

// MARK: - Preparing

// Each `prepare…` queues one operation and returns false when the submission queue is full (submit, then try again).
// `userData` comes back with the completion.
//
// SAFETY: an entry that `io_uring_get_sqe` returns is ours to fill until the next submission, and is not kept. Addresses are
// only handed to the kernel, which checks them itself; that memory stays valid until the completion is the caller's promise.
extension Uring {
  @inlinable @inline(__always) func finish(_ entry: UnsafeMutablePointer<io_uring_sqe>, _ file: UringFile, _ userData: UInt64) {
    unsafe entry.pointee.user_data = userData
    unsafe entry.pointee.flags |= UInt8(truncatingIfNeeded: file.flags)
  }

  /// Reads `byteCount` bytes at `offset` to `address` (`IORING_OP_READ`). With `waits` false it fails with `EAGAIN` when there is
  /// nothing to read yet (`RWF_NOWAIT`), else it waits in the kernel, without a thread where the file can be polled.
  @inlinable public mutating func prepareRead(
    _ file: UringFile, address: UInt, byteCount: Int, offset: UInt64, userData: UInt64, waits: Bool = true
  ) -> Bool {
    guard let entry = unsafe io_uring_get_sqe(ring) else { return false }
    unsafe io_uring_prep_read(entry, file.number, UnsafeMutableRawPointer(bitPattern: address), UInt32(byteCount), offset)
    if !waits { unsafe entry.pointee.rw_flags = noWaitFlag }
    unsafe finish(entry, file, userData)
    return true
  }

  /// Writes `byteCount` bytes from `address` at `offset` (`IORING_OP_WRITE`).
  @inlinable public mutating func prepareWrite(_ file: UringFile, address: UInt, byteCount: Int, offset: UInt64, userData: UInt64) -> Bool {
    guard let entry = unsafe io_uring_get_sqe(ring) else { return false }
    unsafe io_uring_prep_write(entry, file.number, UnsafeRawPointer(bitPattern: address), UInt32(byteCount), offset)
    unsafe finish(entry, file, userData)
    return true
  }

  /// As ``prepareRead`` into registered buffer `buffer`, within which the range must lie (`IORING_OP_READ_FIXED`).
  @inlinable public mutating func prepareReadFixed(
    _ file: UringFile, buffer: Int, address: UInt, byteCount: Int, offset: UInt64, userData: UInt64
  ) -> Bool {
    guard let entry = unsafe io_uring_get_sqe(ring) else { return false }
    unsafe io_uring_prep_read_fixed(
      entry, file.number, UnsafeMutableRawPointer(bitPattern: address), UInt32(byteCount), offset, Int32(buffer))
    unsafe finish(entry, file, userData)
    return true
  }

  /// As ``prepareWrite`` from registered buffer `buffer` (`IORING_OP_WRITE_FIXED`).
  @inlinable public mutating func prepareWriteFixed(
    _ file: UringFile, buffer: Int, address: UInt, byteCount: Int, offset: UInt64, userData: UInt64
  ) -> Bool {
    guard let entry = unsafe io_uring_get_sqe(ring) else { return false }
    unsafe io_uring_prep_write_fixed(
      entry, file.number, UnsafeRawPointer(bitPattern: address), UInt32(byteCount), offset, Int32(buffer))
    unsafe finish(entry, file, userData)
    return true
  }

  /// Reads into `count` stretches, from entry `first` of `table` on (`IORING_OP_READV`); `waits` as in ``prepareRead``.
  @inlinable public mutating func prepareReadVector(
    _ file: UringFile, table: borrowing VectorTable, first: Int, count: Int, offset: UInt64, userData: UInt64, waits: Bool = true
  ) -> Bool {
    precondition(first >= 0 && count > 0 && first + count <= table.capacity)
    guard let entry = unsafe io_uring_get_sqe(ring) else { return false }
    unsafe io_uring_prep_readv(entry, file.number, table.base + first, UInt32(count), offset)
    if !waits { unsafe entry.pointee.rw_flags = noWaitFlag }
    unsafe finish(entry, file, userData)
    return true
  }

  /// Writes from `count` stretches (`IORING_OP_WRITEV`).
  @inlinable public mutating func prepareWriteVector(
    _ file: UringFile, table: borrowing VectorTable, first: Int, count: Int, offset: UInt64, userData: UInt64
  ) -> Bool {
    precondition(first >= 0 && count > 0 && first + count <= table.capacity)
    guard let entry = unsafe io_uring_get_sqe(ring) else { return false }
    unsafe io_uring_prep_writev(entry, file.number, table.base + first, UInt32(count), offset)
    unsafe finish(entry, file, userData)
    return true
  }

  /// Makes written data durable (`IORING_OP_FSYNC`); `dataOnly` as fdatasync.
  @inlinable public mutating func prepareSync(_ file: UringFile, dataOnly: Bool, userData: UInt64) -> Bool {
    guard let entry = unsafe io_uring_get_sqe(ring) else { return false }
    unsafe io_uring_prep_fsync(entry, file.number, dataOnly ? UInt32(IORING_FSYNC_DATASYNC) : 0)
    unsafe finish(entry, file, userData)
    return true
  }

  /// Allocates, punches or zeroes a range (`IORING_OP_FALLOCATE`); `mode` as fallocate(2).
  @inlinable public mutating func prepareAllocate(_ file: UringFile, mode: Int32, offset: UInt64, byteCount: UInt64, userData: UInt64) -> Bool {
    guard let entry = unsafe io_uring_get_sqe(ring) else { return false }
    unsafe io_uring_prep_fallocate(entry, file.number, mode, off_t(offset), off_t(byteCount))
    unsafe finish(entry, file, userData)
    return true
  }

  /// Receives from a socket (`IORING_OP_RECV`); `flags` as recv(2).
  @inlinable public mutating func prepareReceive(_ file: UringFile, address: UInt, byteCount: Int, flags: Int32, userData: UInt64) -> Bool {
    guard let entry = unsafe io_uring_get_sqe(ring) else { return false }
    unsafe io_uring_prep_recv(entry, file.number, UnsafeMutableRawPointer(bitPattern: address), byteCount, flags)
    unsafe finish(entry, file, userData)
    return true
  }

  /// Sends on a socket (`IORING_OP_SEND`); `flags` as send(2), `MSG_NOSIGNAL` is added.
  @inlinable public mutating func prepareSend(_ file: UringFile, address: UInt, byteCount: Int, flags: Int32, userData: UInt64) -> Bool {
    guard let entry = unsafe io_uring_get_sqe(ring) else { return false }
    unsafe io_uring_prep_send(entry, file.number, UnsafeRawPointer(bitPattern: address), byteCount, flags | 0x4000)
    unsafe finish(entry, file, userData)
    return true
  }

  /// Completes once when `events` (`POLLIN`, …) are there (`IORING_OP_POLL_ADD`).
  @inlinable public mutating func preparePoll(_ file: UringFile, events: UInt32, userData: UInt64) -> Bool {
    guard let entry = unsafe io_uring_get_sqe(ring) else { return false }
    unsafe io_uring_prep_poll_add(entry, file.number, events)
    unsafe finish(entry, file, userData)
    return true
  }

  /// Completes each time that one of `events` comes to be there, and at once for what is there already, until it is cancelled or the
  /// kernel has enough (`IORING_OP_POLL_ADD`, `IORING_POLL_ADD_MULTI`, Linux 5.13). Only the last completion has no ``UringCompletion/hasMore``.
  @inlinable public mutating func preparePollEdges(_ file: UringFile, events: UInt32, userData: UInt64) -> Bool {
    guard let entry = unsafe io_uring_get_sqe(ring) else { return false }
    unsafe io_uring_prep_poll_multishot(entry, file.number, events)
    unsafe finish(entry, file, userData)
    return true
  }

  /// Waits until `file` is readable, then reads `byteCount` bytes to `address`: a read that waits, of a file that does not
  /// (`IORING_OP_POLL_ADD` linked to `IORING_OP_READ`). One completion: that of the read, or of whatever ended the wait before it. Takes two
  /// submissions, which must fit together.
  @inlinable public mutating func preparePolledRead(_ file: UringFile, address: UInt, byteCount: Int, userData: UInt64) -> Bool {
    guard freeSubmissionCount >= 2, let poll = unsafe io_uring_get_sqe(ring), let read = unsafe io_uring_get_sqe(ring) else { return false }
    unsafe io_uring_prep_poll_add(poll, file.number, pollInFlag)
    unsafe finish(poll, file, userData)
    unsafe poll.pointee.flags |= linkAndSkipFlags
    unsafe io_uring_prep_read(read, file.number, UnsafeMutableRawPointer(bitPattern: address), UInt32(byteCount), 0)
    unsafe finish(read, file, userData)
    return true
  }

  /// Cancels the operation submitted with `target`; it completes with `-ECANCELED` unless it was already done (`IORING_OP_ASYNC_CANCEL`).
  @inlinable public mutating func prepareCancel(target: UInt64, userData: UInt64) -> Bool {
    guard let entry = unsafe io_uring_get_sqe(ring) else { return false }
    unsafe io_uring_prep_cancel64(entry, target, 0)
    unsafe entry.pointee.user_data = userData
    return true
  }

  /// Cancels everything that is in flight (`IORING_ASYNC_CANCEL_ANY`).
  public mutating func prepareCancelAll(userData: UInt64) -> Bool {
    guard let entry = unsafe io_uring_get_sqe(ring) else { return false }
    unsafe io_uring_prep_cancel64(entry, 0, Int32(IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL))
    unsafe entry.pointee.user_data = userData
    return true
  }

  /// Does nothing, and completes (`IORING_OP_NOP`).
  @inlinable public mutating func prepareNothing(userData: UInt64) -> Bool {
    guard let entry = unsafe io_uring_get_sqe(ring) else { return false }
    unsafe io_uring_prep_nop(entry)
    unsafe entry.pointee.user_data = userData
    return true
  }
}

// MARK: - Registration

// SAFETY: the kernel copies the arrays that these calls are given; nothing of them is kept after the call.

extension Uring {
  /// Lets operations name these files by index, which saves a reference count each time. Replaces nothing: call once.
  public mutating func registerFiles(_ descriptors: [Int32]) throws(Errno) {
    let result = unsafe descriptors.withUnsafeBufferPointer { unsafe io_uring_register_files(ring, $0.baseAddress, UInt32($0.count)) }
    if result < 0 { throw Errno(rawValue: -result) }
  }

  /// Makes room for `count` registered files, filled in by ``setRegisteredFile(_:at:)``.
  public mutating func registerSparseFiles(count: UInt32) throws(Errno) {
    let result = unsafe io_uring_register_files_sparse(ring, count)
    if result < 0 { throw Errno(rawValue: -result) }
  }

  /// Puts a descriptor at an index of the registered files; -1 empties it.
  public mutating func setRegisteredFile(_ descriptor: Int32, at index: Int) throws(Errno) {
    var number = descriptor
    let result = unsafe io_uring_register_files_update(ring, UInt32(index), &number, 1)
    if result < 0 { throw Errno(rawValue: -result) }
  }

  /// Makes room for `count` registered buffers, filled in by ``setRegisteredBuffer(address:byteCount:at:)``.
  public mutating func registerSparseBuffers(count: UInt32) throws(Errno) {
    let result = unsafe io_uring_register_buffers_sparse(ring, count)
    if result < 0 { throw Errno(rawValue: -result) }
  }

  /// Pins a range and lets `…Fixed` operations name it by index; a byte count of 0 empties the index.
  public mutating func setRegisteredBuffer(address: UInt, byteCount: Int, at index: Int) throws(Errno) {
    var vector = unsafe iovec(iov_base: UnsafeMutableRawPointer(bitPattern: byteCount == 0 ? 0 : address), iov_len: byteCount)
    var tag: UInt64 = 0
    let result = unsafe io_uring_register_buffers_update_tag(ring, UInt32(index), &vector, &tag, 1)
    if result < 0 { throw Errno(rawValue: -result) }
  }
}
