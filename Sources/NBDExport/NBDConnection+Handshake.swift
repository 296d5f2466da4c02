import BlockFront
import EventLoop

/// The handshake: fixed newstyle, and what of it clients need (doc/proto.md, "Fixed newstyle negotiation").
extension NBDConnection {
  /// The server speaks first.
  func greet() {
    greeting.append(bigEndian: NBDMagic.server)
    greeting.append(bigEndian: NBDMagic.option)
    greeting.append(bigEndian: UInt16(NBDHandshakeFlags([.fixedNewstyle, .noZeroes]).rawValue))
  }

  /// Takes the client's flags. False when they are not all here.
  func takeClientFlags() -> Bool {
    guard window.count >= 4 else {
      receive(atLeast: 4)
      return false
    }
    let flags = NBDHandshakeFlags(rawValue: window.load32(at: 0))
    window.consume(4)
    guard flags.contains(.fixedNewstyle), flags.subtracting([.fixedNewstyle, .noZeroes]).isEmpty else {
      breakOff()
      return false
    }
    clientFlags = flags
    input = .optionHeader
    return true
  }

  func takeOptionHeader() -> Bool {
    guard window.count >= 16 else {
      receive(atLeast: 16)
      return false
    }
    let (magic, number, byteCount) = (window.load64(at: 0), window.load32(at: 8), Int(window.load32(at: 12)))
    window.consume(16)
    optionCount += 1
    guard magic == NBDMagic.option, byteCount <= NBDLimits.optionByteCount, optionCount <= NBDLimits.optionCount else {
      breakOff()
      return false
    }
    input = .option(number: number, byteCount: byteCount)
    return true
  }

  func takeOption(_ number: UInt32, _ byteCount: Int) -> Bool {
    guard window.count >= byteCount else {
      receive(atLeast: byteCount)
      return false
    }
    let data = window.take(byteCount)
    input = .optionHeader
    switch NBDOption(rawValue: number) {
    case .exportName: exportByName(data)
    case .abort:
      reply(to: number, .acknowledge)
      input = .ended
      isDraining = true
    case .list: data.isEmpty ? list() : reply(to: number, .invalid)
    case .info, .go: describe(number, data)
    case .structuredReply:
      if data.isEmpty {
        usesStructuredReplies = true
        reply(to: number, .acknowledge)
      } else {
        reply(to: number, .invalid)
      }
    case nil: reply(to: number, .unsupported)
    }
    return true
  }

  /// The old way, without a reply to refuse with.
  private func exportByName(_ data: [UInt8]) {
    guard isOurs(data), let geometry = plane.geometry else { return breakOff() }
    greeting.append(bigEndian: geometry.byteCount)
    greeting.append(bigEndian: geometry.nbdFlags.rawValue)
    if !clientFlags.contains(.noZeroes) { greeting += Array(repeating: 0, count: 124) }
    beginTransmission()
  }

  private func list() {
    let number = NBDOption.list.rawValue
    var payload: [UInt8] = []
    payload.append(bigEndian: UInt32(export.name.utf8.count))
    payload += Array(export.name.utf8) + Array(export.description.utf8)
    reply(to: number, .server, payload)
    reply(to: number, .acknowledge)
  }

  /// `NBD_OPT_INFO`, `NBD_OPT_GO`: name length, name, count of requests, requests.
  private func describe(_ number: UInt32, _ data: [UInt8]) {
    guard let question = NBDInformationQuestion(data) else { return reply(to: number, .invalid) }
    guard isOurs(question.name) else { return reply(to: number, .unknownExport, Array("there is no such export".utf8)) }
    guard let geometry = plane.geometry else { return reply(to: number, .shuttingDown, Array("no back-end is connected yet".utf8)) }
    var export: [UInt8] = []
    export.append(bigEndian: NBDInformation.export.rawValue)
    export.append(bigEndian: geometry.byteCount)
    export.append(bigEndian: geometry.nbdFlags.rawValue)
    reply(to: number, .info, export)
    // Sent to everybody: a client that did not ask may ignore it, and one that uses it never sends what would be refused.
    let sizes = geometry.nbdBlockSizes
    var block: [UInt8] = []
    block.append(bigEndian: NBDInformation.blockSize.rawValue)
    for size in [sizes.minimum, sizes.preferred, sizes.maximum] { block.append(bigEndian: size) }
    reply(to: number, .info, block)
    for (kind, text) in [(NBDInformation.name, self.export.name), (.description, self.export.description)]
    where question.requests.contains(kind.rawValue) {
      var payload: [UInt8] = []
      payload.append(bigEndian: kind.rawValue)
      reply(to: number, .info, payload + Array(text.utf8))
    }
    reply(to: number, .acknowledge)
    if number == NBDOption.go.rawValue { beginTransmission() }
  }

  private func isOurs(_ name: [UInt8]) -> Bool { name.isEmpty || name == Array(export.name.utf8) }

  private func beginTransmission() {
    handshakeTimer?.cancel()
    handshakeTimer = nil
    input = .command
  }

  private func reply(to option: UInt32, _ kind: NBDOptionReply, _ payload: [UInt8] = []) {
    greeting.append(bigEndian: NBDMagic.optionReply)
    greeting.append(bigEndian: option)
    greeting.append(bigEndian: kind.rawValue)
    greeting.append(bigEndian: UInt32(payload.count))
    greeting += payload
  }
}

/// The data of `NBD_OPT_INFO` and `NBD_OPT_GO`.
private struct NBDInformationQuestion {
  var name: [UInt8]
  var requests: [UInt16]

  /// Nil when lengths do not add up.
  init?(_ data: [UInt8]) {
    func number(_ offset: Int, _ count: Int) -> Int { data[offset..<offset + count].reduce(0) { $0 << 8 | Int($1) } }
    guard data.count >= 6 else { return nil }
    let nameCount = number(0, 4)
    guard nameCount <= data.count - 6 else { return nil }
    name = Array(data[4..<4 + nameCount])
    let count = number(4 + nameCount, 2)
    guard data.count == 6 + nameCount + 2 * count else { return nil }
    requests = (0..<count).map { UInt16(number(6 + nameCount + 2 * $0, 2)) }
  }
}
