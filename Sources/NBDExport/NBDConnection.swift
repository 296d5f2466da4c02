import BlockFront
import EventLoop
import LinuxSystem
import SharedMemory
import SystemPackage
import Uring

/// One client: what it sends is parsed here, and payload goes straight between its socket and granted pages.
///
/// Whatever the client does costs it its connection at worst: memory, commands and handshake are bounded, and what it does
/// not read or send is not waited for by anybody else. Loop thread only.
final class NBDConnection: LoopSource {
  let plane: BlockFrontPlane
  let export: NBDExportConfiguration
  private let socket: OwnedDescriptor
  private let ended: (NBDConnection) -> Void

  /// What is expected of the client next.
  enum Input {
    case clientFlags
    case optionHeader
    case option(number: UInt32, byteCount: Int)
    case command
    /// A command that has not been cut into all its pieces yet, for want of memory or because its payload is not here.
    case starting(NBDRequest)
    /// Payload of a write for `piece`, of which `received` bytes are here; its buffer may still be awaited.
    case payload(NBDRequest, NBDPiece, received: Int)
    /// Payload of a write that was refused.
    case skipping(byteCount: UInt64)
    case ended
  }
  var input = Input.clientFlags
  var window: ReceiveWindow
  private let payloadMessage = MessageTable(capacity: NBDLimits.pieceByteCount / 4096 + 1)
  private var isReceiving = false

  /// Flags and choices of the handshake.
  var clientFlags: NBDHandshakeFlags = []
  var usesStructuredReplies = false
  var optionCount = 0
  var handshakeTimer: LoopTimer?
  /// Bytes of the handshake to be sent.
  var greeting: [UInt8] = []

  /// Commands that were read and whose reply was not sent.
  var commandsInFlight = 0
  var bytesInFlight = 0
  let bytesInFlightLimit: Int
  var piecesInUse = 0
  var freePieces: [NBDPiece] = []
  var freeRequests: [NBDRequest] = []

  /// Replies in order; the first `batchCount` are being sent.
  var replies: [NBDReply] = []
  private var batchCount = 0
  /// Headers of replies, ``NBDLimits/replyHeaderByteCount`` each, then what is sent of the handshake.
  let headers: WireBuffer
  var freeHeaders: [Int32]
  private let sendMessage = MessageTable(capacity: 512)
  private var isSending = false
  private var batchByteCount = 0

  private(set) var isBroken = false
  var isDraining = false
  var wantsProcessing = false
  private static let headerCount = 4 * NBDLimits.commandCount
  private static let greetingOffset = headerCount * NBDLimits.replyHeaderByteCount
  private static let greetingByteCount = 16 << 10
  private enum Tag { static let receive: UInt64 = 0, payload: UInt64 = 1, send: UInt64 = 2 }

  init(
    _ socket: consuming OwnedDescriptor, plane: BlockFrontPlane, export: NBDExportConfiguration, ended: @escaping (NBDConnection) -> Void
  ) throws(Errno) {
    self.socket = socket
    self.plane = plane
    self.export = export
    self.ended = ended
    bytesInFlightLimit = export.bytesInFlight(of: plane.configuration)
    window = try ReceiveWindow(byteCount: 64 << 10)
    headers = try WireBuffer(byteCount: Self.greetingOffset + Self.greetingByteCount)
    freeHeaders = (0..<Int32(Self.headerCount)).reversed()
  }

  /// Begins the handshake. Once attached.
  func start() {
    greet()
    handshakeTimer = loop.schedule(afterNanoseconds: NBDLimits.handshakeNanoseconds) { [weak self] in self?.breakOff() }
    wantsProcessing = true
  }

  // MARK: Turns

  override func service() -> Service {
    var worked = false
    if wantsProcessing {
      wantsProcessing = false
      process()
      worked = true
    }
    if send() { worked = true }
    endIfDone()
    return worked ? .worked : .idle
  }

  override func prepareToSleep() -> Bool { wantsProcessing }

  override func completed(tag: UInt64, result: Int32) {
    switch tag {
    case Tag.receive:
      isReceiving = false
      if result > 0, !isBroken {
        window.received(Int(result))
        process()
      } else if result == 0 {
        isDraining = true
        input = .ended
        wantsProcessing = true
      } else {
        breakOff()
      }
    case Tag.payload:
      isReceiving = false
      payloadArrived(Int(result))
    default:
      isSending = false
      sent(Int(result))
    }
    endIfDone()
  }

  // MARK: Receiving

  /// Asks for more bytes for the parser, which needs `minimum` in a row.
  func receive(atLeast minimum: Int) {
    guard !isReceiving, !isBroken else { return }
    let room = window.prepareToReceive(atLeast: minimum)
    guard let userData = loop.begin(self, tag: Tag.receive) else { return breakOff() }
    precondition(
      loop.uring.prepareReceive(
        .descriptor(socket.rawValue), address: room.address, byteCount: room.byteCount, flags: 0, userData: userData))
    isReceiving = true
  }

  /// Receives the rest of a piece's payload straight into its pages.
  func receivePayload(of piece: NBDPiece, from received: Int) {
    guard !isReceiving, let buffer = piece.buffer, let pool = piece.pool else { return }
    var count = 0
    pool.forEachVector(of: buffer, at: received, byteCount: Int(piece.byteCount) - received) { vector in
      payloadMessage.vectors[count] = (vector.address, vector.byteCount)
      count += 1
    }
    guard let userData = loop.begin(self, tag: Tag.payload) else { return breakOff() }
    precondition(
      loop.uring.prepareReceiveMessage(
        .descriptor(socket.rawValue), message: payloadMessage, count: count, waitsForAll: true, userData: userData))
    isReceiving = true
  }

  private func payloadArrived(_ result: Int) {
    guard case .payload(let request, let piece, let received) = input else { return }
    guard result > 0, !isBroken else {
      input = .ended
      retire(piece)
      return breakOff()
    }
    input = .payload(request, piece, received: received + result)
    process()
  }

  // MARK: Sending

  /// Sends as many replies as fit one message, unless one is on its way. Returns whether something was submitted.
  private func send() -> Bool {
    guard !isSending, !isBroken, !greeting.isEmpty || !replies.isEmpty else { return false }
    var count = 0
    batchByteCount = 0
    func add(_ address: UInt, _ byteCount: Int) {
      sendMessage.vectors[count] = (address, byteCount)
      count += 1
      batchByteCount += byteCount
    }
    if !greeting.isEmpty {
      precondition(greeting.count <= Self.greetingByteCount, "the replies to one option are bounded by our own texts")
      headers.bytes.copyIn(greeting, at: Self.greetingOffset)
      add(headers.bytes.address + UInt(Self.greetingOffset), greeting.count)
      greeting.removeAll(keepingCapacity: true)
    }
    // A piece of scattered pages is as many stretches.
    let room = sendMessage.vectors.capacity - NBDLimits.pieceByteCount / 4096 - 2
    for reply in replies {
      if count > room { break }
      batchCount += 1
      if reply.headerByteCount > 0 { add(headers.bytes.address + UInt(reply.headerOffset), reply.headerByteCount) }
      if let piece = reply.piece, let buffer = piece.buffer, let pool = piece.pool {
        pool.forEachVector(of: buffer, at: 0, byteCount: Int(piece.byteCount)) { add($0.address, $0.byteCount) }
      }
    }
    guard let userData = loop.begin(self, tag: Tag.send) else {
      breakOff()
      return false
    }
    precondition(loop.uring.prepareSendMessage(.descriptor(socket.rawValue), message: sendMessage, count: count, userData: userData))
    isSending = true
    return true
  }

  private func sent(_ result: Int) {
    for reply in replies.prefix(batchCount) { recycle(reply) }
    replies.removeFirst(batchCount)
    batchCount = 0
    // The kernel sends everything unless the connection ends.
    if result != batchByteCount { return breakOff() }
    wantsProcessing = true
  }

  // MARK: Ending

  /// Ends the connection at once: the client broke the protocol, or is gone. What is with the device is finished first.
  func breakOff() {
    guard !isBroken else { return }
    isBroken = true
    handshakeTimer?.cancel()
    UnixSocket.shutDown(socket)
    for reply in replies.dropFirst(batchCount) { recycle(reply) }
    replies.removeSubrange(batchCount...)
    if case .payload(_, let piece, _) = input, !isReceiving, piece.buffer != nil { retire(piece) }
    if case .payload = input, isReceiving { return }
    input = .ended
    wantsProcessing = true
  }

  private func endIfDone() {
    if isDraining, !isBroken, commandsInFlight == 0, replies.isEmpty, greeting.isEmpty, !isSending { breakOff() }
    guard isBroken, !isReceiving, !isSending, piecesInUse == 0, let loop else { return }
    for piece in freePieces { piece.connection = nil }
    freePieces = []
    loop.detach(self)
    ended(self)
  }
}
