public import EventLoop
public import Logging
public import XenPlatform
public import Xenbus

/// A device with one page of events as programs use it.
///
/// ```swift
/// try await device.use(ClockDevice()) { client in
///   client.send(ClockFromFrontend())
///   for await event in client.events { … }
/// }
/// ```
public final class EventPageClient<Device: EventPageDevice>: Sendable {
  /// The store half: for the life cycle.
  public let driver: EventPageFrontendDriver<Device>
  /// What the back-end sends. The last 4096 are kept for a program that is slow. Ends when the client is closed.
  public let events: AsyncStream<Device.ToFrontend>
  private let feed: AsyncStream<Device.ToFrontend>.Continuation

  public init(_ device: Device, loop: EventLoop, platform: any XenPlatform, notices: XenbusNotices, logger: Logger) async {
    let (events, feed) = AsyncStream<Device.ToFrontend>.makeStream(bufferingPolicy: .bufferingNewest(4096))
    self.events = events
    self.feed = feed
    driver = await EventPageFrontendDriver(device, loop: loop, platform: platform, notices: notices, logger: logger) { feed.yield($0) }
  }

  /// Sends an event to the back-end, as soon as there is one and room. From any thread.
  public func send(_ event: Device.FromFrontend) { driver.send(event) }

  /// What is used with the back-end; nil before the first connection.
  public var agreement: Device.Agreement? { driver.agreement }

  /// Returns true when a back-end is connected, at once or later; false when the client is closed first.
  public func waitUntilConnected() async -> Bool { await driver.reporter.waitUntilConnected() }

  /// Ends ``events``. After the life cycle has ended.
  public func close() {
    feed.finish()
    driver.reporter.closed()
  }
}
