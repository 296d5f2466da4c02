/// One end of a stream in both directions: what comes out, what goes in, and when the peer wants to hear of it.
///
/// Every byte stream of Xen's is such a pair, and differs only in where the words and the bytes lie (console, vchan, 9pfs). One owner.
public struct ByteStreamPair: Sendable {
  public var consumer: ByteStreamConsumer
  public var producer: ByteStreamProducer
  public var notification: ByteStreamNotification

  public init(consumer: ByteStreamConsumer, producer: ByteStreamProducer, notification: ByteStreamNotification = .always) {
    self.consumer = consumer
    self.producer = producer
    self.notification = notification
  }
}
