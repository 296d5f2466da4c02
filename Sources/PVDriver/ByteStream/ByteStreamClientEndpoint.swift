import EventLoop
import SharedMemory
import SharedRing

/// A byte stream that tasks wait for: bytes go in and out in the order in which they were asked for. Loop thread only.
final class ByteStreamClientEndpoint: ByteStreamEndpoint {
  typealias Answer = @Sendable (Result<[UInt8], ByteStreamClientError>) -> Void

  private struct Sending {
    var bytes: [UInt8]
    var sent = 0
    var done: @Sendable (Result<Void, ByteStreamClientError>) -> Void
  }
  private struct Receiving {
    var limit: Int
    var done: Answer
  }

  private var sending: [Sending] = []
  private var receiving: [Receiving] = []
  private var isFinished = false

  func send(_ bytes: [UInt8], _ done: @escaping @Sendable (Result<Void, ByteStreamClientError>) -> Void) {
    if isFinished { return done(.failure(.closed)) }
    sending.append(Sending(bytes: bytes, done: done))
  }

  func receive(_ limit: Int, _ done: @escaping Answer) {
    if isFinished { return done(.failure(.closed)) }
    receiving.append(Receiving(limit: max(1, limit), done: done))
  }

  override func transfer(_ connection: ByteStreamConnection) throws(ByteStreamFault) -> Service {
    var isWorking = false
    while let first = sending.first {
      let count = try connection.cell.value.producer.put(first.bytes, from: first.sent)
      didPut(count, connection)
      if count > 0 { isWorking = true }
      guard first.sent + count == first.bytes.count else {
        sending[0].sent += count
        break
      }
      sending.removeFirst().done(.success(()))
    }
    while let first = receiving.first {
      let available = min(first.limit, try connection.cell.value.consumer.available())
      guard available > 0 else { break }
      var bytes = [UInt8](repeating: 0, count: available)
      let count = try connection.cell.value.consumer.take(into: &bytes, limit: available)
      didTake(count, connection)
      isWorking = true
      receiving.removeFirst().done(.success(bytes))
    }
    wantsRoom = !sending.isEmpty
    wantsBytes = !receiving.isEmpty
    return isWorking ? .worked : .idle
  }

  /// What a connection has carried a part of is lost with it; what has not begun waits for the next one.
  override func willDisconnect(_ done: @escaping () -> Void) {
    if let first = sending.first, first.sent > 0 { sending.removeFirst().done(.failure(.connectionLost)) }
    let waiting = receiving
    receiving = []
    for each in waiting { each.done(.failure(.connectionLost)) }
    done()
  }

  /// Fails what waits, and everything from now on.
  func finish() {
    isFinished = true
    for each in sending { each.done(.failure(.closed)) }
    for each in receiving { each.done(.failure(.closed)) }
    sending = []
    receiving = []
  }
}
