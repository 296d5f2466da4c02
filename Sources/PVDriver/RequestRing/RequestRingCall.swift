/// A request on its way: waiting, in flight, or done. Belongs to the loop.
final class RequestRingCall<Interface: RequestRingInterface> {
  var request: Interface.Request
  let outgoing: [UInt8]
  /// Room for what the back-end writes.
  let incomingByteCount: Int
  /// When it began to wait, in nanoseconds of the monotonic clock.
  var waitingSince: UInt64
  let complete: (Result<RequestRingReply<Interface>, RequestRingError>) -> Void

  init(
    _ request: Interface.Request, outgoing: [UInt8], incomingByteCount: Int, waitingSince: UInt64,
    complete: @escaping (Result<RequestRingReply<Interface>, RequestRingError>) -> Void
  ) {
    self.request = request
    self.outgoing = outgoing
    self.incomingByteCount = incomingByteCount
    self.waitingSince = waitingSince
    self.complete = complete
  }

  var dataByteCount: Int { max(outgoing.count, incomingByteCount) }
}
