import BlockFront
import XenInterface

/// Reading commands and cutting them into operations.
extension NBDConnection {
  /// Goes on with what was received, until bytes, memory or room for commands are missing.
  func process() {
    while !isBroken, step() {}
  }

  /// One step of the parser; false when it has to wait.
  private func step() -> Bool {
    switch input {
    case .clientFlags: takeClientFlags()
    // One option at a time: the reply to the last one is on its way before the next is looked at.
    case .optionHeader: greeting.isEmpty && takeOptionHeader()
    case .option(let number, let byteCount): takeOption(number, byteCount)
    case .command: commandsInFlight < NBDLimits.commandCount && hasHeaderRoom && takeCommand()
    case .starting(let request): start(request)
    case .payload(let request, let piece, let received): takePayload(request, piece, received)
    case .skipping(let byteCount): skip(byteCount)
    case .ended: false
    }
  }

  private func takeCommand() -> Bool {
    let headerByteCount = 28
    guard window.count >= headerByteCount else {
      receive(atLeast: headerByteCount)
      return false
    }
    let (magic, flags) = (window.load32(at: 0), NBDCommandFlags(rawValue: window.load16(at: 4)))
    let (number, cookie) = (window.load16(at: 6), window.load64(at: 8))
    let (offset, byteCount) = (window.load64(at: 16), UInt64(window.load32(at: 24)))
    window.consume(headerByteCount)
    guard magic == NBDMagic.request else {
      breakOff()
      return false
    }
    let command = NBDCommand(rawValue: number)
    if command == .disconnect {
      input = .ended
      isDraining = true
      wantsProcessing = true
      return false
    }
    // A payload that we do not want to take in cannot be told from the next command.
    if command == .write, byteCount > UInt64(NBDLimits.payloadByteCount) {
      breakOff()
      return false
    }
    let request = freeRequests.popLast() ?? NBDRequest()
    request.begin(
      cookie: cookie, command: command ?? .flush, offset: offset, byteCount: byteCount, isDurable: flags.contains(.forceUnitAccess))
    commandsInFlight += 1
    if let refusal = refusal(command, flags, offset, byteCount) {
      request.failure = refusal
      input = command == .write && byteCount > 0 ? .skipping(byteCount: byteCount) : .command
      finish(request)
      return true
    }
    if command == .flush { request.byteCount = 0 }
    input = .starting(request)
    return true
  }

  /// Why a command is not carried out; checked here although the device checks too, because the answers differ.
  private func refusal(_ command: NBDCommand?, _ flags: NBDCommandFlags, _ offset: UInt64, _ byteCount: UInt64) -> NBDError? {
    guard let command, let geometry = plane.geometry else { return .invalid }
    let allowed: NBDCommandFlags = command == .writeZeroes ? [.forceUnitAccess, .noHole] : .forceUnitAccess
    guard flags.subtracting(allowed).isEmpty else { return .invalid }
    if command == .flush { return nil }
    if geometry.isReadOnly, command != .read { return .notPermitted }
    if command == .read, byteCount > UInt64(NBDLimits.payloadByteCount) { return .invalid }
    if command == .trim, !geometry.nbdFlags.contains(.sendTrim) { return .notSupported }
    guard offset <= geometry.byteCount, byteCount <= geometry.byteCount - offset else { return command == .read ? .invalid : .noSpace }
    let unit = UInt64(geometry.sectorByteCount)
    return offset % unit == 0 && byteCount % unit == 0 ? nil : .invalid
  }

  // MARK: Pieces

  /// Cuts the next piece off `request`. False when it has to wait.
  private func start(_ request: NBDRequest) -> Bool {
    if request.isStarted {
      input = .command
      // Nothing to do, or all of it done already.
      if request.piecesInFlight == 0, !request.hasReplied { return advance(request) }
      return true
    }
    switch request.command {
    case .trim:
      guard let piece = makePiece(request, byteCount: request.byteCount, holds: 0) else { return false }
      plane.submit(piece)
      return true
    case .read where isExclusive(request):
      // Its parts follow each other without anything in between.
      guard commandsInFlight == 1, request.piecesInFlight == 0 else { return false }
    case .read, .write, .writeZeroes: break
    case .flush, .disconnect: return true
    }
    let count = Int(min(request.byteCount - request.startedByteCount, UInt64(NBDLimits.pieceByteCount)))
    guard let piece = makePiece(request, byteCount: UInt64(count), holds: count) else { return false }
    let hasBuffer = plane.acquireBuffer(for: piece, byteCount: count)
    if request.command == .write {
      input = .payload(request, piece, received: 0)
      return hasBuffer
    }
    if hasBuffer { bufferIsReady(piece) }
    return true
  }

  /// A read with simple replies that is more than one piece: there is one header, so the pieces must come in order.
  func isExclusive(_ request: NBDRequest) -> Bool {
    request.command == .read && !usesStructuredReplies && request.byteCount > UInt64(NBDLimits.pieceByteCount)
  }

  /// A piece of the connection's share, or nil when that is used up.
  private func makePiece(_ request: NBDRequest, byteCount: UInt64, holds: Int) -> NBDPiece? {
    let accounted = (holds + pageByteCount - 1) / pageByteCount * pageByteCount
    guard piecesInUse < NBDLimits.commandCount, hasHeaderRoom, bytesInFlight == 0 || bytesInFlight + accounted <= bytesInFlightLimit else { return nil }
    let piece = freePieces.popLast() ?? NBDPiece(self)
    piece.request = request
    piece.accountedByteCount = accounted
    piece.operation = request.command.operation
    piece.offset = request.offset + request.startedByteCount
    piece.byteCount = byteCount
    // A command of one piece is made durable by the device, one of several by a flush at its end.
    piece.isDurable = request.isDurable && byteCount == request.byteCount && request.command != .trim
    request.startedByteCount += byteCount
    request.piecesInFlight += 1
    piecesInUse += 1
    bytesInFlight += accounted
    return piece
  }

  func bufferIsReady(_ piece: NBDPiece) {
    guard !isBroken else { return retire(piece) }
    guard let request = piece.request, let buffer = piece.buffer, let pool = piece.pool else { preconditionFailure("a piece without a command") }
    if request.command == .write {
      // Its payload is what the parser waits for.
      wantsProcessing = true
      return
    }
    if request.command == .writeZeroes { pool.zero(buffer) }
    plane.submit(piece)
  }

  private func takePayload(_ request: NBDRequest, _ piece: NBDPiece, _ received: Int) -> Bool {
    guard let buffer = piece.buffer, let pool = piece.pool else { return false }
    let missing = Int(piece.byteCount) - received
    let count = min(missing, window.count)
    if count > 0 {
      pool.fill(buffer, at: received, from: window.buffer.bytes, at: window.start, byteCount: count)
      window.consume(count)
    }
    guard count == missing else {
      input = .payload(request, piece, received: received + count)
      receivePayload(of: piece, from: received + count)
      return false
    }
    input = .starting(request)
    plane.submit(piece)
    return true
  }

  private func skip(_ byteCount: UInt64) -> Bool {
    let count = min(byteCount, UInt64(window.count))
    window.consume(Int(count))
    guard count == byteCount else {
      input = .skipping(byteCount: byteCount - count)
      receive(atLeast: 1)
      return false
    }
    input = .command
    return true
  }

  /// Every piece, and every command besides, can get its reply's header.
  private var hasHeaderRoom: Bool { freeHeaders.count > piecesInUse + commandsInFlight }

  // MARK: Completion

  func pieceCompleted(_ piece: NBDPiece, _ failure: BlockFrontError?) {
    guard let request = piece.request else { preconditionFailure("a piece without a command") }
    wantsProcessing = true
    if case .payload(let waiting, let awaited, _) = input, waiting === request, awaited === piece {
      // It failed before it had a buffer: the payload comes nevertheless.
      input = .skipping(byteCount: piece.byteCount + request.byteCount - request.startedByteCount)
      request.startedByteCount = request.byteCount
    }
    if let failure, request.failure == nil { request.failure = failure.nbdError }
    request.piecesInFlight -= 1
    guard !isBroken else { return retire(piece) }
    if request.command == .read { return answerRead(request, piece, failed: failure != nil) }
    retire(piece)
    if request.isStarted, request.piecesInFlight == 0 {
      if case .starting(let current) = input, current === request { input = .command }
      _ = advance(request)
    }
  }

  /// All pieces are done: makes a command of several durable, then answers.
  private func advance(_ request: NBDRequest) -> Bool {
    // A write of one piece has been made durable by the device already.
    let isInPieces = request.byteCount > UInt64(NBDLimits.pieceByteCount) || request.command == .trim
    let needsFlush = request.command == .flush || (request.command != .read && request.isDurable && isInPieces)
    guard needsFlush, request.failure == nil, !request.hasFlushed else {
      finish(request)
      return true
    }
    request.hasFlushed = true
    let piece = freePieces.popLast() ?? NBDPiece(self)
    piece.request = request
    piece.accountedByteCount = 0
    piece.operation = .flush
    piece.offset = 0
    piece.byteCount = 0
    piece.isDurable = false
    request.piecesInFlight += 1
    piecesInUse += 1
    plane.submit(piece)
    return true
  }

  /// Gives the piece's pages back and keeps it for the next one.
  func retire(_ piece: NBDPiece) {
    plane.releaseBuffer(of: piece)
    piece.request = nil
    bytesInFlight -= piece.accountedByteCount
    piecesInUse -= 1
    freePieces.append(piece)
  }
}

extension NBDCommand {
  var operation: BlkifOperation {
    switch self {
    case .read: .read
    case .write, .writeZeroes: .write
    case .trim: .discard
    case .flush, .disconnect: .flush
    }
  }
}
