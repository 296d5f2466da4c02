import CLinuxShims
import Glibc
public import SystemPackage

// SAFETY of this file's calls: an address is what the C library has made of the text, lent for one call together with its length, and
// freed when nobody has it any more; the kernel fills a local structure that is large enough for every kind of address.

/// TCP, for tools that come over the network. Hosts are numeric: a name would have to be asked of another machine first.
public enum TCPSocket {
  /// Listens at a numeric IPv4 or IPv6 address; port 0 is any that is free. ``UnixSocket/accept(on:)`` takes connections of every kind.
  /// Throws `EINVAL` for a host that is no such address, `EADDRINUSE`, `EADDRNOTAVAIL` or `EACCES` as `bind(2)` does.
  public static func listen(host: String, port: UInt16, backlog: Int32 = 16) throws(Errno) -> OwnedDescriptor {
    var hints = unsafe addrinfo()
    unsafe hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV
    unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var found: UnsafeMutablePointer<addrinfo>?
    guard unsafe getaddrinfo(host, "\(port)", &hints, &found) == 0, let address = unsafe found else { throw .invalidArgument }
    defer { unsafe freeaddrinfo(address) }
    let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    let descriptor = OwnedDescriptor(owning: try check(unsafe socket(address.pointee.ai_family, kind, 0)))
    // Connections of a process that has just ended keep the address for a minute otherwise.
    var reuses: Int32 = 1
    try check(unsafe setsockopt(descriptor.rawValue, SOL_SOCKET, SO_REUSEADDR, &reuses, socklen_t(MemoryLayout<Int32>.size)))
    try check(unsafe bind(descriptor.rawValue, address.pointee.ai_addr, address.pointee.ai_addrlen))
    try check(Glibc.listen(descriptor.rawValue, backlog))
    return descriptor
  }

  /// The port that a socket listens at.
  public static func port(of listener: borrowing OwnedDescriptor) throws(Errno) -> UInt16 {
    // The port is at the same place of both kinds of address.
    var address = sockaddr_in6()
    var length = socklen_t(MemoryLayout<sockaddr_in6>.size)
    let descriptor = listener.rawValue
    let result = unsafe withUnsafeMutablePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe getsockname(descriptor, $0, &length) }
    }
    try check(result)
    return UInt16(bigEndian: address.sin6_port)
  }
}
