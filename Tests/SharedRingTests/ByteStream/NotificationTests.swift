import Dispatch
import SharedMemory
import SharedRing
import TestSupport
import Testing

@Suite struct NotificationTests {
  @Test func aStreamWithoutRequestsSignalsEverything() {
    #expect(ByteStreamNotification.always.mustSignal(.written))
    #expect(ByteStreamNotification.always.mustSignal(.taken))
    ByteStreamNotification.always.request([.written, .taken])
  }

  @Test func aRequestIsAnsweredWithOneSignal() throws {
    let page = try SharedRegion(anonymousByteCount: 4096).bytes
    let server = ByteStreamNotification.onRequest(page, wantedOfUs: 23, wantedOfPeer: 22)
    let client = ByteStreamNotification.onRequest(page, wantedOfUs: 22, wantedOfPeer: 23)
    #expect(!client.mustSignal(.written))
    server.request(.written)
    #expect(page.load8(at: 22) == 1, "VCHAN_NOTIFY_WRITE in cli_notify")
    #expect(!client.mustSignal(.taken))
    #expect(client.mustSignal(.written))
    #expect(!client.mustSignal(.written))
    client.request([.written, .taken])
    #expect(page.load8(at: 23) == 3)
    #expect(server.mustSignal(.taken))
    #expect(page.load8(at: 23) == 1, "what was not done is still wanted")
    #expect(page.load8(at: 22) == 0)
  }

  @Test func bitsThatNoHeaderHasAreLeftAlone() throws {
    let page = try SharedRegion(anonymousByteCount: 4096).bytes
    page.store8(0xFE, at: 22)
    let client = ByteStreamNotification.onRequest(page, wantedOfUs: 22, wantedOfPeer: 23)
    #expect(!client.mustSignal(.written))
    #expect(client.mustSignal(.taken))
    #expect(page.load8(at: 22) == 0xFC)
  }

  /// A lost wake-up would leave both ends asleep: the time limit turns that into a failure.
  @Test(.timeLimit(.minutes(5)), arguments: [ByteStreamLayout.tiny, .console])
  func noWakeUpIsLostWhenBothEndsSleep(layout: ByteStreamLayout) throws {
    let total = layout.byteCount == 1 ? 5_000 : 1_000_000
    let stream = try TestStream(layout)
    let flags = try SharedRegion(anonymousByteCount: 4096).bytes
    let (toConsumer, toProducer) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
    let sender = TestThread {
      let notification = ByteStreamNotification.onRequest(flags, wantedOfUs: 22, wantedOfPeer: 23)
      var producer = stream.producer
      var sent = 0
      while sent < total {
        let count = (try? producer.put([UInt8](repeating: UInt8(truncatingIfNeeded: sent), count: min(700, total - sent)))) ?? 0
        sent += count
        if count > 0 {
          if notification.mustSignal(.written) { toConsumer.signal() }
          continue
        }
        notification.request(.taken)
        if !producer.mayHaveRoom { toProducer.wait() }
      }
    }
    let notification = ByteStreamNotification.onRequest(flags, wantedOfUs: 23, wantedOfPeer: 22)
    var consumer = stream.consumer
    var buffer = [UInt8](repeating: 0, count: 4096)
    var received = 0
    while received < total {
      let count = try consumer.take(into: &buffer, limit: buffer.count)
      received += count
      if count > 0 {
        if notification.mustSignal(.taken) { toProducer.signal() }
        continue
      }
      notification.request(.written)
      if !consumer.mayHaveBytes { toConsumer.wait() }
    }
    sender.join()
    #expect(received == total)
  }
}
