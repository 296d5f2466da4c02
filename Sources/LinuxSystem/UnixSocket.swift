import CLinuxShims
import Glibc
public import SystemPackage

// SAFETY of this file's calls: every buffer is lent for one call, together with its own length; what the kernel writes is a
// structure of the type that is passed, at most as many bytes as the buffer has, or at most eight descriptors. Nothing is kept.

/// Unix-domain sockets: streams for xs_wire and NBD, packets with descriptors for the broker.
public enum UnixSocket {
  public enum Kind: Sendable { case stream, sequencedPacket }

  /// Who is at the other end, as the kernel recorded it when the connection was made (`SO_PEERCRED`).
  public struct PeerCredentials: Sendable, Equatable {
    public var processID: Int32
    public var userID: UInt32
    public var groupID: UInt32

    public init(processID: Int32, userID: UInt32, groupID: UInt32) {
      self.processID = processID
      self.userID = userID
      self.groupID = groupID
    }
  }

  /// Longest path that fits `sockaddr_un`, in bytes.
  public static let maximumPathByteCount = 107

  /// Connects to the socket at `path`. Throws `ENOENT` or `ECONNREFUSED` when nobody listens there, `ENAMETOOLONG` for a path that does not fit.
  public static func connect(to path: String, kind: Kind) throws(Errno) -> OwnedDescriptor {
    let descriptor = try make(kind)
    try unsafe withAddress(path) { address, length in unsafe Glibc.connect(descriptor.rawValue, address, length) }
    return descriptor
  }

  /// Listens at `path` with file permission bits `mode`. A leftover socket that nobody answers on is replaced; a live one is `EADDRINUSE`.
  public static func listen(at path: String, kind: Kind, mode: UInt32 = 0o600, backlog: Int32 = 64) throws(Errno) -> OwnedDescriptor {
    if unsafe access(path, F_OK) == 0 {
      do {
        _ = try connect(to: path, kind: kind)
      } catch .connectionRefused {
        unsafe unlink(path)
      } catch .noSuchFileOrDirectory {}
      if unsafe access(path, F_OK) == 0 { throw .addressInUse }
    }
    let descriptor = try make(kind)
    try unsafe withAddress(path) { address, length in unsafe Glibc.bind(descriptor.rawValue, address, length) }
    // Nobody can connect before `listen`. A mask set for the moment would fall on files that other threads make.
    try check(unsafe chmod(path, mode))
    try check(Glibc.listen(descriptor.rawValue, backlog))
    return descriptor
  }

  /// Takes one waiting connection, or nil when there is none.
  public static func accept(on listener: borrowing OwnedDescriptor) throws(Errno) -> OwnedDescriptor? {
    let result = pvio_accept(listener.rawValue)
    if result < 0, Errno.last == .wouldBlock || Errno.last == .connectionAbort || Errno.last == .interrupted { return nil }
    return OwnedDescriptor(owning: try check(result))
  }

  /// Limits what can wait unread in the kernel after ``send(_:descriptors:on:nonBlocking:)``, in bytes; the kernel doubles it (`SO_SNDBUF`).
  public static func setSendBuffer(byteCount: Int, of socket: borrowing OwnedDescriptor) throws(Errno) {
    var value = Int32(byteCount)
    try check(unsafe setsockopt(socket.rawValue, SOL_SOCKET, SO_SNDBUF, &value, socklen_t(MemoryLayout<Int32>.size)))
  }

  /// Waits until `socket` has something to read, or room to write if that matters, or `wake` is readable.
  public static func waitForWork(on socket: borrowing OwnedDescriptor, alsoWritable: Bool, or wake: borrowing OwnedDescriptor) {
    let events = Int16(POLLIN) | (alsoWritable ? Int16(POLLOUT) : 0)
    var descriptors = [
      pollfd(fd: socket.rawValue, events: events, revents: 0), pollfd(fd: wake.rawValue, events: Int16(POLLIN), revents: 0),
    ]
    // An interrupted wait is one that ends early: the caller looks again.
    _ = unsafe descriptors.withUnsafeMutableBufferPointer { unsafe poll($0.baseAddress, 2, -1) }
  }

  /// Two connected ends of one socket.
  public struct Pair: ~Copyable {
    public var first: OwnedDescriptor
    public var second: OwnedDescriptor
  }

  /// Makes two connected ends.
  public static func pair(_ kind: Kind) throws(Errno) -> Pair {
    var ends: (Int32, Int32) = (-1, -1)
    let result = unsafe withUnsafeMutableBytes(of: &ends) { bytes in
      unsafe socketpair(AF_UNIX, type(of: kind), 0, bytes.baseAddress!.assumingMemoryBound(to: Int32.self))
    }
    try check(result)
    return Pair(first: OwnedDescriptor(owning: ends.0), second: OwnedDescriptor(owning: ends.1))
  }

  public static func peerCredentials(of socket: borrowing OwnedDescriptor) throws(Errno) -> PeerCredentials {
    var pid: Int32 = 0
    var uid: UInt32 = 0
    var gid: UInt32 = 0
    try check(unsafe pvio_peer_credentials(socket.rawValue, &pid, &uid, &gid))
    return PeerCredentials(processID: pid, userID: uid, groupID: gid)
  }

  /// Sends `bytes` and copies of up to eight descriptors in one message. Throws `EAGAIN` when it would block and `nonBlocking` is set.
  public static func send(
    _ bytes: [UInt8], descriptors: [Int32] = [], on socket: borrowing OwnedDescriptor, nonBlocking: Bool = false
  ) throws(Errno) -> Int {
    let number = socket.rawValue
    let sent = unsafe bytes.withUnsafeBytes { bytes in
      unsafe descriptors.withUnsafeBufferPointer { fds in
        unsafe pvio_send_with_descriptors(
          number, bytes.baseAddress, bytes.count, fds.baseAddress, Int32(fds.count), nonBlocking ? Int32(MSG_DONTWAIT) : 0)
      }
    }
    return Int(try check(sent))
  }

  /// Receives one message of at most `capacity` bytes and the descriptors that came with it, which the caller then owns.
  /// An empty result is the end of the stream. Throws `EAGAIN` when nothing is there and `nonBlocking` is set, `EMSGSIZE` for a cut message.
  public static func receive(
    capacity: Int, on socket: borrowing OwnedDescriptor, nonBlocking: Bool = false
  ) throws(Errno) -> (bytes: [UInt8], descriptors: [Int32]) {
    let number = socket.rawValue
    var fds = [Int32](repeating: -1, count: 8)
    var count: Int32 = 0
    var failure: Errno?
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: capacity) { buffer, initialized in
      let received = unsafe fds.withUnsafeMutableBufferPointer { fds in
        unsafe pvio_receive_with_descriptors(
          number, buffer.baseAddress, capacity, fds.baseAddress, &count, nonBlocking ? Int32(MSG_DONTWAIT) : 0)
      }
      if received < 0 { failure = Errno.last }
      initialized = max(0, received)
    }
    if let failure { throw failure }
    return (bytes, Array(fds.prefix(Int(count))))
  }

  /// Receives at most `buffer.count` bytes of a stream into the front of `buffer`, without a call for memory; zero is the end of the stream.
  /// Descriptors that came with them are closed by the kernel, and what is behind them is left for the next call.
  /// Throws `EAGAIN` when nothing is there.
  public static func receive(into buffer: inout [UInt8], on socket: borrowing OwnedDescriptor) throws(Errno) -> Int {
    let number = socket.rawValue
    let received = unsafe buffer.withUnsafeMutableBytes { unsafe recv(number, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT)) }
    return Int(try check(received))
  }

  /// Has the kernel refuse to pass descriptors to `socket` (`SO_PASSRIGHTS`), so that what was not received by ``receive(into:on:)`` did
  /// not fit the buffer or was not there. False before Linux 6.16, which cannot.
  public static func refuseDescriptors(on socket: borrowing OwnedDescriptor) -> Bool {
    var value: Int32 = 0
    // asm-generic/socket.h; older headers lack it.
    let passRights: Int32 = 83
    return unsafe setsockopt(socket.rawValue, SOL_SOCKET, passRights, &value, socklen_t(MemoryLayout<Int32>.size)) == 0
  }

  /// Sends what is in `bytes` from `offset` on, as much as the socket takes. Throws `EAGAIN` when it takes nothing.
  public static func send(_ bytes: [UInt8], from offset: Int, on socket: borrowing OwnedDescriptor) throws(Errno) -> Int {
    precondition(offset >= 0 && offset <= bytes.count, "offset outside the bytes")
    let number = socket.rawValue
    let sent = unsafe bytes.withUnsafeBytes { bytes in
      unsafe Glibc.send(number, bytes.baseAddress.map { unsafe $0 + offset }, bytes.count - offset, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
    }
    return Int(try check(sent))
  }

  /// Ends both directions: the peer reads the end of the stream, and so does a thread that waits in ``receive(capacity:on:nonBlocking:)``.
  public static func shutDown(_ socket: borrowing OwnedDescriptor) {
    Glibc.shutdown(socket.rawValue, Int32(SHUT_RDWR))
  }

  /// Removes a socket's file, if it is there; open connections are not affected.
  public static func removeFile(at path: String) {
    unsafe unlink(path)
  }

  private static func type(of kind: Kind) -> Int32 {
    let base = kind == .stream ? SOCK_STREAM : SOCK_SEQPACKET
    return Int32(base.rawValue | SOCK_CLOEXEC.rawValue)
  }

  private static func make(_ kind: Kind) throws(Errno) -> OwnedDescriptor {
    OwnedDescriptor(owning: try check(socket(AF_UNIX, type(of: kind), 0)))
  }

  private static func withAddress(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) throws(Errno) {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    guard bytes.count <= maximumPathByteCount else { throw .fileNameTooLong }
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { field in
      unsafe field.copyBytes(from: bytes)
    }
    let result = unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        unsafe body(pointer, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    try check(result)
  }
}

extension UnixSocket {
  /// Sends one datagram to the socket at `path`; a leading `@` names an abstract one.
  public static func sendDatagram(_ bytes: [UInt8], to path: String) throws(Errno) {
    let descriptor = OwnedDescriptor(owning: try check(socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)))
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    var name = Array(path.utf8)
    guard name.count <= maximumPathByteCount, !name.isEmpty else { throw .fileNameTooLong }
    let isAbstract = name[0] == UInt8(ascii: "@")
    if isAbstract { name[0] = 0 }
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: name) }
    let length = socklen_t(MemoryLayout<sa_family_t>.size + name.count + (isAbstract ? 0 : 1))
    let result = unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        unsafe bytes.withUnsafeBytes { unsafe sendto(descriptor.rawValue, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL), pointer, length) }
      }
    }
    try check(result)
  }
}
