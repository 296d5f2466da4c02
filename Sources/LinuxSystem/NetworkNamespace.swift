import CLinuxShims
import Glibc
public import SystemPackage

/// A network namespace that is not this process's own: where an interface is to be.
public enum NetworkNamespace: Sendable, Hashable, CustomStringConvertible {
  /// One that `ip netns add` made.
  case named(String)
  /// A file that keeps one, such as `/proc/1/ns/net`.
  case path(String)
  /// That of a process.
  case process(Int32)

  /// Where the file that stands for it is.
  public var path: String {
    switch self {
    case .named(let name): "/run/netns/\(name)"
    case .path(let path): path
    case .process(let id): "/proc/\(id)/ns/net"
    }
  }

  public var description: String {
    switch self {
    case .named(let name): name
    case .path(let path): path
    case .process(let id): "of process \(id)"
    }
  }

  /// Runs `body` in the namespace, on a thread that ends with it: no other thread of this process changes its namespace. What
  /// `body` opens stays bound to the namespace.
  /// - Throws: `ENOENT` when there is none, `EPERM` or `EACCES` when it may not be entered, `EINVAL` for a file that is no network namespace.
  public func run<Result: Sendable>(_ body: @escaping @Sendable () -> Result) throws(Errno) -> Result {
    let path = path
    return try SystemThread.run(name: "pvio-netns") { () -> Swift.Result<Result, Errno> in
      do throws(Errno) {
        let file = try OwnedDescriptor.open(path, flags: O_RDONLY)
        try check(pvio_enter_network_namespace(file.rawValue))
      } catch {
        return .failure(error)
      }
      return .success(body())
    }.get()
  }
}
