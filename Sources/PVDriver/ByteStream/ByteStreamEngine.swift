import EventLoop
import SharedMemory
import SharedRing

/// What a driver's author writes for the back-end of a device with a stream of bytes: what is done with what comes.
///
/// ```swift
/// public final class EchoEngine: ByteStreamEngine {
///   public typealias Interface = EchoInterface
///   private let output: ByteStreamOutput
///   public init(_ setup: EngineSetup, _ output: ByteStreamOutput) { self.output = output }
///   public func received(_ bytes: ArraySlice<UInt8>) { output.send(bytes) }
/// }
/// ```
public protocol ByteStreamEngine: DriverEngine {
  associatedtype Interface: ByteStreamInterface

  /// Opens what the device serves. A failure ends the back-end with the error's text.
  /// - Parameter output: takes bytes for the front-end, now and later.
  init(_ setup: EngineSetup, _ output: ByteStreamOutput) throws

  /// Features to offer; all of the protocol's by default.
  var features: Interface.Features { get }

  /// A front-end connected; a new stream begins.
  func connected(_ agreement: DriverAgreement<Interface.Features>)

  /// The front-end went, with what was not received.
  func disconnected()

  /// Takes bytes of the front-end, in order, cut anywhere, at most ``ByteStreamOutput/pieceByteCount`` at once. They come from the peer:
  /// check before use. While more than that wait to be sent, none are received.
  func received(_ bytes: ArraySlice<UInt8>)
}

extension ByteStreamEngine {
  public var features: Interface.Features { Interface.Features() }
  public func connected(_ agreement: DriverAgreement<Interface.Features>) {}
  public func disconnected() {}
}

/// Bytes on their way to the front-end. Loop thread only.
public final class ByteStreamOutput {
  /// Bytes that are received at once; with more than these waiting to be sent, the front-end is not listened to.
  public static var pieceByteCount: Int { 64 << 10 }
  /// Most bytes that wait.
  public static var limit: Int { 1 << 20 }

  private var bytes: [UInt8] = []
  private var sent = 0
  /// The stream is connected.
  var isOpen = false

  /// Bytes that wait for room.
  public var waitingByteCount: Int { bytes.count - sent }

  /// Takes bytes to be sent. False, and nothing is taken, while nobody is connected or more than ``limit`` would wait.
  @discardableResult
  public func send(_ more: some Collection<UInt8>) -> Bool {
    guard isOpen, waitingByteCount + more.count <= Self.limit else { return false }
    if sent == bytes.count { clear() }
    bytes += more
    return true
  }

  /// Puts what there is room for. Returns how much that was.
  func flush(into producer: inout ByteStreamProducer) throws(ByteStreamFault) -> Int {
    guard waitingByteCount > 0 else { return 0 }
    let count = try producer.put(bytes, from: sent)
    sent += count
    if sent == bytes.count { clear() }
    return count
  }

  func clear() {
    bytes.removeAll(keepingCapacity: true)
    sent = 0
  }
}

/// Lets an engine use a byte stream. Loop thread only.
final class ByteStreamEngineEndpoint<Engine: ByteStreamEngine>: ByteStreamEndpoint {
  let engine: Engine
  /// What the next connection uses.
  var agreement: DriverAgreement<Engine.Interface.Features>?
  private let output = ByteStreamOutput()
  private var piece = [UInt8](repeating: 0, count: ByteStreamOutput.pieceByteCount)

  init(_ setup: BackendSetup) throws {
    engine = try Engine(setup.engine, output)
    super.init(loop: setup.loop, polling: setup.polling)
  }

  override func didConnect() {
    output.clear()
    output.isOpen = true
    if let agreement { engine.connected(agreement) }
  }

  override func willDisconnect(_ done: @escaping () -> Void) {
    output.isOpen = false
    output.clear()
    engine.disconnected()
    done()
  }

  override func transfer(_ connection: ByteStreamConnection) throws(ByteStreamFault) -> Service {
    var isWorking = false
    if output.waitingByteCount <= ByteStreamOutput.pieceByteCount {
      let count = try connection.cell.value.consumer.take(into: &piece, limit: piece.count)
      didTake(count, connection)
      if count > 0 {
        isWorking = true
        engine.received(piece[..<count])
      }
    }
    let sent = try output.flush(into: &connection.cell.value.producer)
    didPut(sent, connection)
    wantsRoom = output.waitingByteCount > 0
    wantsBytes = output.waitingByteCount <= ByteStreamOutput.pieceByteCount
    return isWorking || sent > 0 ? .worked : .idle
  }
}
