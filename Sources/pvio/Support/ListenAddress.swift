import ArgumentParser
import LinuxSystem
import SystemPackage

/// Where a command listens: `HOST:PORT` with a numeric host (`[::1]:9100` for IPv6), `PORT` for this machine only, or `unix:PATH`.
enum ListenAddress: Equatable, ExpressibleByArgument, CustomStringConvertible {
  case tcp(host: String, port: UInt16)
  case unix(path: String)

  init?(argument: String) {
    if argument.hasPrefix("unix:") {
      self = .unix(path: String(argument.dropFirst("unix:".count)))
      return
    }
    guard let colon = argument.lastIndex(of: ":") else {
      guard let port = UInt16(argument) else { return nil }
      self = .tcp(host: "127.0.0.1", port: port)
      return
    }
    var host = argument[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() } else if host.contains(":") { return nil }
    guard !host.isEmpty, let port = UInt16(argument[argument.index(after: colon)...]) else { return nil }
    self = .tcp(host: String(host), port: port)
  }

  var description: String {
    switch self {
    case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    case .unix(let path): "unix:\(path)"
    }
  }

  /// Listens there, without blocking whoever takes connections. Whoever calls removes a Unix socket's file at the end.
  func listen() throws(Errno) -> OwnedDescriptor {
    switch self {
    case .tcp(let host, let port): return try TCPSocket.listen(host: host, port: port)
    case .unix(let path):
      let descriptor = try UnixSocket.listen(at: path, kind: .stream)
      try descriptor.setNonBlocking(true)
      return descriptor
    }
  }
}
