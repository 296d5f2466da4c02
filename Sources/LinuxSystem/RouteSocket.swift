import CLinuxShims
import Glibc
public import SystemPackage

/// Asks the kernel for the interfaces of a network namespace, and changes them (rtnetlink(7)).
///
/// Bound to the namespace of the thread that made it. One user at a time.
public struct RouteSocket: ~Copyable, Sendable {
  private let socket: OwnedDescriptor
  private var sequence: UInt32 = 0

  public init() throws(Errno) { socket = OwnedDescriptor(owning: try check(pvio_route_socket(0))) }

  /// Takes over the socket that ``release()`` gave up.
  public init(owning descriptor: Int32) { socket = OwnedDescriptor(owning: descriptor) }

  /// Gives the socket up without closing it: for handing it from the thread that was in the namespace to another one.
  public consuming func release() -> Int32 { socket.release() }

  /// The interface of that name, or nil.
  public mutating func link(named name: String) throws(Errno) -> NetworkLink? {
    var message = request(RouteMessage.getLink, flags: RouteMessage.request, index: 0)
    RouteMessage.append(RouteMessage.linkName, Array(name.utf8) + [0], to: &message)
    do throws(Errno) {
      return try exchange(message)
    } catch {
      if error == .operationNotSupportedByDevice { return nil }
      throw error
    }
  }

  /// The interface of that number, or nil.
  public mutating func link(at index: Int32) throws(Errno) -> NetworkLink? {
    do throws(Errno) {
      return try exchange(request(RouteMessage.getLink, flags: RouteMessage.request, index: index))
    } catch {
      if error == .operationNotSupportedByDevice { return nil }
      throw error
    }
  }

  /// What is to be changed of an interface; nil leaves it.
  public struct Change: Sendable, Equatable {
    public var mtu: Int?
    public var address: [UInt8]?
    public var isUp: Bool?

    public init(mtu: Int? = nil, address: [UInt8]? = nil, isUp: Bool? = nil) {
      self.mtu = mtu
      self.address = address
      self.isUp = isUp
    }
  }

  /// Changes the interface of that number.
  public mutating func change(_ change: Change, at index: Int32) throws(Errno) {
    var message = request(
      RouteMessage.newLink, flags: RouteMessage.request | RouteMessage.acknowledge, index: index,
      interfaceFlags: change.isUp == true ? RouteMessage.flagUp : 0, change: change.isUp == nil ? 0 : RouteMessage.flagUp)
    if let mtu = change.mtu { RouteMessage.append(RouteMessage.linkMTU, UInt32(clamping: mtu), to: &message) }
    if let address = change.address { RouteMessage.append(RouteMessage.linkAddress, address, to: &message) }
    _ = try exchange(message)
  }

  /// Removes the interface of that number.
  public mutating func remove(at index: Int32) throws(Errno) {
    _ = try exchange(request(RouteMessage.deleteLink, flags: RouteMessage.request | RouteMessage.acknowledge, index: index))
  }

  private mutating func request(_ type: UInt16, flags: UInt16, index: Int32, interfaceFlags: UInt32 = 0, change: UInt32 = 0) -> [UInt8] {
    sequence &+= 1
    return RouteMessage.link(type, flags: flags, sequence: sequence, index: index, interfaceFlags: interfaceFlags, change: change)
  }

  /// Sends a request and waits for its answer, which the kernel gives at once: an interface, or nothing but that it is done.
  private func exchange(_ request: consuming [UInt8]) throws(Errno) -> NetworkLink? {
    let descriptor = socket.rawValue
    RouteMessage.set(UInt32(request.count), in: &request, at: 0)
    let message = request
    // SAFETY: exactly the array's bytes are read during the call.
    try check(unsafe message.withUnsafeBytes { unsafe send(descriptor, $0.baseAddress, $0.count, 0) })
    while true {
      var failure: Errno?
      // SAFETY: at most as many bytes are written as the buffer has; as many as were written are initialised.
      let bytes = unsafe [UInt8](unsafeUninitializedCapacity: 32_768) { buffer, count in
        let received = unsafe recv(descriptor, buffer.baseAddress, buffer.count, 0)
        if received < 0 { failure = Errno.last }
        count = max(0, received)
      }
      if let failure {
        if failure == .interrupted { continue }
        throw failure
      }
      if let answer = try answer(bytes) { return answer.link }
    }
  }

  private struct Answer { var link: NetworkLink? }

  /// The answer to the latest request in what was received; nil when it is that of an older one.
  private func answer(_ bytes: [UInt8]) throws(Errno) -> Answer? {
    var position = 0
    while position + RouteMessage.headerByteCount <= bytes.count {
      let length = Int(RouteMessage.number32(bytes, at: position))
      guard length >= RouteMessage.headerByteCount, position + length <= bytes.count else { throw .badMessage }
      let type = RouteMessage.number16(bytes, at: position + 4)
      if RouteMessage.number32(bytes, at: position + 8) == sequence {
        if type == RouteMessage.error {
          guard length >= RouteMessage.headerByteCount + 4 else { throw .badMessage }
          let code = Int32(bitPattern: RouteMessage.number32(bytes, at: position + RouteMessage.headerByteCount))
          if code != 0 { throw Errno(rawValue: -code) }
          return Answer(link: nil)
        }
        if type == RouteMessage.newLink, let link = NetworkLink(bytes, at: position..<position + length) { return Answer(link: link) }
      }
      position += (length + 3) & ~3
    }
    return nil
  }
}
