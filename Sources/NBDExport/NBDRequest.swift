import BlockFront
import XenInterface

/// One command of a client, until its reply is sent. Used again.
final class NBDRequest {
  var cookie: UInt64 = 0
  var command = NBDCommand.flush
  /// Bytes.
  var offset: UInt64 = 0
  var byteCount: UInt64 = 0
  var isDurable = false
  /// How much has been cut into pieces.
  var startedByteCount: UInt64 = 0
  var piecesInFlight = 0
  var failure: NBDError?
  /// The flush that makes a command of several pieces durable has been sent.
  var hasFlushed = false
  /// A simple reply to a read has begun: an error can only end the connection now.
  var hasReplied = false

  var isStarted: Bool { startedByteCount == byteCount }

  func begin(cookie: UInt64, command: NBDCommand, offset: UInt64, byteCount: UInt64, isDurable: Bool) {
    self.cookie = cookie
    self.command = command
    self.offset = offset
    self.byteCount = byteCount
    self.isDurable = isDurable
    startedByteCount = 0
    piecesInFlight = 0
    failure = nil
    hasFlushed = false
    hasReplied = false
  }
}

/// A part of a command that is one operation of the front-end. Used again.
final class NBDPiece: BlockFrontOperation {
  /// Cleared when the connection has ended, which breaks the circle.
  var connection: NBDConnection?
  var request: NBDRequest?
  /// What it counts for in the connection's share of memory.
  var accountedByteCount = 0

  init(_ connection: NBDConnection) { self.connection = connection }

  override func bufferIsReady() { connection?.bufferIsReady(self) }
  override func completed(_ failure: BlockFrontError?) { connection?.pieceCompleted(self, failure) }
}
