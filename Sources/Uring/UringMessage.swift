public import CLiburing

/// A socket message made of stretches of memory, at a stable address, owned by whoever submits it.
@safe public struct MessageTable: ~Copyable {
  /// The stretches, in order.
  public let vectors: VectorTable
  @usableFromInline let header: UnsafeMutablePointer<msghdr>

  /// Room for `capacity` stretches, at most 1024 (`UIO_MAXIOV`).
  public init(capacity: Int) {
    precondition(capacity > 0 && capacity <= 1024, "a message of \(capacity) stretches")
    vectors = VectorTable(capacity: capacity)
    // SAFETY: freed in deinit, which the owner lets run only when no operation uses the table any more.
    unsafe header = .allocate(capacity: 1)
    unsafe header.initialize(to: msghdr())
  }

  deinit { unsafe header.deallocate() }

  /// Makes the message consist of the first `count` stretches.
  @inlinable func setCount(_ count: Int) -> UnsafeMutablePointer<msghdr> {
    precondition(count > 0 && count <= vectors.capacity)
    unsafe header.pointee.msg_iov = vectors.base
    unsafe header.pointee.msg_iovlen = count
    return unsafe header
  }
}

extension Uring {
  /// Receives into the first `count` stretches of `message` (`IORING_OP_RECVMSG`); with `waitsForAll`, until they are full.
  @inlinable public mutating func prepareReceiveMessage(
    _ file: UringFile, message: borrowing MessageTable, count: Int, waitsForAll: Bool, userData: UInt64
  ) -> Bool {
    guard let entry = unsafe io_uring_get_sqe(ring) else { return false }
    unsafe io_uring_prep_recvmsg(entry, file.number, message.setCount(count), waitsForAll ? UInt32(waitAllFlag) : 0)
    unsafe finish(entry, file, userData)
    return true
  }

  /// Sends the first `count` stretches of `message` (`IORING_OP_SENDMSG`), all of them unless the connection ends. Never
  /// raises SIGPIPE.
  @inlinable public mutating func prepareSendMessage(_ file: UringFile, message: borrowing MessageTable, count: Int, userData: UInt64) -> Bool {
    guard let entry = unsafe io_uring_get_sqe(ring) else { return false }
    unsafe io_uring_prep_sendmsg(entry, file.number, message.setCount(count), UInt32(waitAllFlag | noSignalFlag))
    unsafe finish(entry, file, userData)
    return true
  }
}

/// `MSG_WAITALL` and `MSG_NOSIGNAL`, enumerators that Swift would import with another type on each platform.
@usableFromInline let waitAllFlag: Int32 = 0x100
@usableFromInline let noSignalFlag: Int32 = 0x4000
