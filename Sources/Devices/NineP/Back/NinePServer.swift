public import EventLoop
public import NinePEngine
public import PVDriver
import SharedMemory
public import SharedRing

/// Answers the 9P messages of one pair of rings. Loop thread only.
///
/// One message at a time: the next one is taken when the answer to the last has been put in as a whole, so a guest that takes no
/// answers is not listened to.
public final class NinePServer: ByteStreamEndpoint {
  private let session: NinePSession
  /// The message that is being taken, as far as it has come.
  private var request: [UInt8]
  private var requestCount = 0
  /// The answer that is being put in.
  private var answer: [UInt8] = []
  private var answerOffset = 0
  /// Messages answered in one turn.
  private static let budget = 32

  public init(_ share: NinePShare, loop: EventLoop) {
    session = NinePSession(share)
    request = [UInt8](repeating: 0, count: NinePSession.maximumMessageByteCount)
    super.init(loop: loop, polling: .standard)
  }

  /// Messages answered, and how many of the answers were errors.
  public var answerCounts: (total: UInt64, errors: UInt64) { (session.answerCount, session.errorCount) }

  public override func didConnect() {
    requestCount = 0
    answer = []
    answerOffset = 0
    wantsBytes = true
    wantsRoom = false
  }

  public override func willDisconnect(_ done: @escaping () -> Void) {
    session.reset()
    done()
  }

  public override func transfer(_ connection: ByteStreamConnection) throws(ByteStreamFault) -> Service {
    var worked = false
    for _ in 0..<Self.budget {
      if try putAnswer(connection) { worked = true }
      wantsRoom = answerOffset < answer.count
      wantsBytes = !wantsRoom
      if wantsRoom { return worked ? .worked : .idle }
      guard try takeRequest(connection) else { return worked ? .worked : .idle }
      worked = true
      guard self.connection != nil else { return .worked }
    }
    return .moreToDo
  }

  /// True when a part of an answer was put in.
  private func putAnswer(_ connection: ByteStreamConnection) throws(ByteStreamFault) -> Bool {
    guard answerOffset < answer.count else { return false }
    let count = try connection.cell.value.producer.put(answer, from: answerOffset)
    answerOffset += count
    didPut(count, connection)
    return count > 0
  }

  /// Takes what there is of a message, and answers it when it is whole. False when there was nothing.
  private func takeRequest(_ connection: ByteStreamConnection) throws(ByteStreamFault) -> Bool {
    let wanted = requestCount < 4 ? 4 : messageByteCount
    let count = try connection.cell.value.consumer.take(into: &request, at: requestCount, limit: wanted - requestCount)
    guard count > 0 else { return false }
    requestCount += count
    didTake(count, connection)
    guard requestCount >= 4 else { return true }
    guard messageByteCount >= NinePSession.headerByteCount, messageByteCount <= session.messageByteCount else {
      fail(NinePViolation(byteCount: messageByteCount, limit: session.messageByteCount))
      return true
    }
    guard requestCount == messageByteCount else { return true }
    answer.removeAll(keepingCapacity: true)
    answerOffset = 0
    session.answer(request, byteCount: requestCount, into: &answer)
    requestCount = 0
    return true
  }

  private var messageByteCount: Int {
    Int(UInt32(request[0]) | UInt32(request[1]) << 8 | UInt32(request[2]) << 16 | UInt32(request[3]) << 24)
  }
}

/// A message whose length cannot be: where the next one begins is not known any more.
public struct NinePViolation: Error, Hashable, Sendable, CustomStringConvertible {
  public let byteCount: Int
  public let limit: Int

  public var description: String { "a 9P message of \(byteCount) bytes, where 7 to \(limit) were agreed on" }
}
