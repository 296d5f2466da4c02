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

/// Socket messages to receive, each into stretches of memory of its own and with room for a control message (`recvmsg(2)`).
@safe public struct ReceiveMessages: ~Copyable {
  // SAFETY of every use: `count` initialised headers and `count * controlByteCount` bytes from `init` to `deinit`, which the owner lets run
  // only when no operation uses them any more; every index is checked.
  @usableFromInline let headers: UnsafeMutablePointer<msghdr>
  @usableFromInline let controls: UnsafeMutablePointer<UInt64>
  public let count: Int
  /// The stretches of message `n` are entries `n * vectorsPerMessage` and so on.
  public let vectors: VectorTable
  @usableFromInline let vectorsPerMessage: Int
  @usableFromInline let controlByteCount: Int

  /// - Parameter controlByteCount: room for control messages; a multiple of 8.
  public init(count: Int, vectorsPerMessage: Int, controlByteCount: Int) {
    precondition(count >= 0 && vectorsPerMessage > 0 && controlByteCount >= 16 && controlByteCount % 8 == 0)
    self.count = count
    self.vectorsPerMessage = vectorsPerMessage
    self.controlByteCount = controlByteCount
    vectors = VectorTable(capacity: count * vectorsPerMessage)
    unsafe headers = .allocate(capacity: max(1, count))
    unsafe headers.initialize(repeating: msghdr(), count: max(1, count))
    unsafe controls = .allocate(capacity: max(1, count * controlByteCount / 8))
    unsafe controls.initialize(repeating: 0, count: max(1, count * controlByteCount / 8))
  }

  deinit {
    unsafe headers.deallocate()
    unsafe controls.deallocate()
  }

  @inlinable func prepare(_ index: Int) -> UnsafeMutablePointer<msghdr> {
    precondition(index >= 0 && index < count)
    let header = unsafe headers + index
    unsafe header.pointee.msg_iov = vectors.base + index * vectorsPerMessage
    unsafe header.pointee.msg_iovlen = vectorsPerMessage
    unsafe header.pointee.msg_control = UnsafeMutableRawPointer(controls + index * (controlByteCount / 8))
    unsafe header.pointee.msg_controllen = controlByteCount
    return unsafe header
  }

  /// Word `word` (32 bits) of the first control message of message `index`, which has been received; nil when that is none of
  /// this level and type, or shorter (`struct cmsghdr`).
  @inlinable public func control(_ index: Int, level: Int32, type: Int32, word: Int) -> UInt32? {
    precondition(index >= 0 && index < count && word >= 0)
    let first = unsafe controls + index * (controlByteCount / 8)
    let received = unsafe Int(headers[index].msg_controllen)
    guard received >= 16, received <= controlByteCount else { return nil }
    let byteCount = unsafe Int(first[0])
    let kind = unsafe first[1]
    guard kind == UInt64(UInt32(bitPattern: level)) | UInt64(UInt32(bitPattern: type)) << 32, byteCount <= received, 16 + word * 4 + 4 <= byteCount
    else { return nil }
    let pair = unsafe first[2 + word / 2]
    return UInt32(truncatingIfNeeded: word % 2 == 0 ? pair : pair >> 32)
  }
}

extension Uring {
  /// Receives message `index` of `messages` (`IORING_OP_RECVMSG`); `waits` as in ``prepareRead``.
  @inlinable public mutating func prepareReceive(
    _ file: UringFile, messages: borrowing ReceiveMessages, index: Int, userData: UInt64, waits: Bool
  ) -> Bool {
    guard let entry = unsafe io_uring_get_sqe(ring) else { return false }
    unsafe io_uring_prep_recvmsg(entry, file.number, messages.prepare(index), waits ? 0 : UInt32(dontWaitFlag))
    unsafe finish(entry, file, userData)
    return true
  }

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

/// `MSG_DONTWAIT`, `MSG_WAITALL` and `MSG_NOSIGNAL`, enumerators that Swift would import with another type on each platform.
@usableFromInline let dontWaitFlag: Int32 = 0x40
@usableFromInline let waitAllFlag: Int32 = 0x100
@usableFromInline let noSignalFlag: Int32 = 0x4000
