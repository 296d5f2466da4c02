/// A byte stream to a store. Safe to use from any thread.
public protocol XenStoreTransport: Sendable {
  /// Begins delivery: `receive` gets the bytes that arrive, in order and one call at a time; `closed` is called once, after the last
  /// of them, when either end closed the stream. Neither may block. Called once, before the first ``send(_:)``.
  func start(receive: @escaping @Sendable ([UInt8]) -> Void, closed: @escaping @Sendable () -> Void)

  /// Sends all of `bytes`, not mixed with what other threads send. May block while the store is busy.
  func send(_ bytes: [UInt8]) throws(XenStoreTransportClosed)

  /// Ends the stream. Closing twice does no harm.
  func close()
}

/// The stream is closed; nothing was or will be delivered.
public struct XenStoreTransportClosed: Error, Hashable, Sendable {
  public init() {}
}
