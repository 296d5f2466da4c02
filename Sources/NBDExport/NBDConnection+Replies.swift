import BlockFront

/// One reply, or one chunk of a structured one: a header, and the data of a piece.
struct NBDReply {
  var headerOffset: Int
  var headerByteCount: Int
  /// Its pages are sent after the header; nil when there is no data.
  var piece: NBDPiece?
  /// The command that this is the last word on.
  var ends: NBDRequest?
}

/// Replies (doc/proto.md, "Transmission").
extension NBDConnection {
  /// Answers a command that has no data to return.
  func finish(_ request: NBDRequest) {
    if request.command == .read, usesStructuredReplies {
      enqueueChunk(request, request.failure == nil ? NBDChunk.none : NBDChunk.error, NBDChunk.done, piece: nil)
    } else {
      enqueueSimple(request, piece: nil, isLast: true)
    }
  }

  /// Answers a part of a read.
  func answerRead(_ request: NBDRequest, _ piece: NBDPiece, failed: Bool) {
    if usesStructuredReplies {
      // After an error nothing more is read; what is on its way is still answered.
      if failed { request.startedByteCount = request.byteCount }
      let isLast = request.isStarted && request.piecesInFlight == 0
      let kind = failed ? NBDChunk.errorOffset : NBDChunk.offsetData
      enqueueChunk(request, kind, isLast ? NBDChunk.done : 0, piece: piece)
      return
    }
    if failed, request.hasReplied {
      // Part of the data was promised to be good and sent: only the end of the connection can tell now.
      retire(piece)
      return breakOff()
    }
    if failed { request.startedByteCount = request.byteCount }
    enqueueSimple(request, piece: failed ? nil : piece, isLast: request.isStarted)
    if failed { retire(piece) }
  }

  private func enqueueSimple(_ request: NBDRequest, piece: NBDPiece?, isLast: Bool) {
    let offset = takeHeader()
    var count = 0
    if !request.hasReplied {
      headers.store(NBDMagic.simpleReply, at: offset)
      headers.store(request.failure?.rawValue ?? 0, at: offset + 4)
      headers.store(request.cookie, at: offset + 8)
      count = 16
    }
    request.hasReplied = true
    replies.append(NBDReply(headerOffset: offset, headerByteCount: count, piece: piece, ends: isLast ? request : nil))
  }

  private func enqueueChunk(_ request: NBDRequest, _ kind: UInt16, _ flags: UInt16, piece: NBDPiece?) {
    let offset = takeHeader()
    var payload = offset + 20
    switch kind {
    case NBDChunk.offsetData:
      headers.store(piece?.offset ?? request.offset, at: payload)
      payload += 8
    case NBDChunk.error, NBDChunk.errorOffset:
      headers.store(request.failure?.rawValue ?? NBDError.inputOutput.rawValue, at: payload)
      headers.store(UInt16(0), at: payload + 4)
      payload += 6
      if kind == NBDChunk.errorOffset {
        headers.store(piece?.offset ?? request.offset, at: payload)
        payload += 8
      }
    default: break
    }
    let isData = kind == NBDChunk.offsetData
    let dataByteCount = isData ? Int(piece?.byteCount ?? 0) : 0
    headers.store(NBDMagic.structuredReply, at: offset)
    headers.store(flags, at: offset + 4)
    headers.store(kind, at: offset + 6)
    headers.store(request.cookie, at: offset + 8)
    headers.store(UInt32(payload - offset - 20 + dataByteCount), at: offset + 16)
    let isLast = flags & NBDChunk.done != 0
    replies.append(
      NBDReply(headerOffset: offset, headerByteCount: payload - offset, piece: isData ? piece : nil, ends: isLast ? request : nil))
    if !isData, let piece { retire(piece) }
    if isLast { request.hasReplied = true }
  }

  /// Gives back what a reply held, sent or not.
  func recycle(_ reply: NBDReply) {
    freeHeaders.append(Int32(reply.headerOffset / NBDLimits.replyHeaderByteCount))
    if let piece = reply.piece {
      // Its command lives on in the reply.
      retire(piece)
    }
    if let request = reply.ends {
      commandsInFlight -= 1
      freeRequests.append(request)
    }
  }

  private func takeHeader() -> Int {
    guard let index = freeHeaders.popLast() else { preconditionFailure("more replies than commands and pieces") }
    return Int(index) * NBDLimits.replyHeaderByteCount
  }
}
