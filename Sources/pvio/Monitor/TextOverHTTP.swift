import LinuxSystem
import SystemPackage

/// One answer to one HTTP request: what a scraper needs, and no more of HTTP.
///
/// A request is read up to the empty line behind its head. Only `GET` and `HEAD` of one path are known, and the connection ends with the answer.
struct TextOverHTTP {
  /// Longest head that is read.
  private static let headByteCount = 8192
  /// How long a client may take to send its request, and to take the answer.
  private static let patience = Duration.seconds(2)
  private static let pause = Duration.milliseconds(2)

  let path: String
  let contentType: String

  /// Reads a request and answers it by `text`, which may throw: its error is the answer then. What the client does wrong ends with its
  /// connection.
  func serve(_ client: SharedDescriptor, _ text: () async throws -> String) async {
    do throws(Errno) {
      guard let head = try await head(from: client) else { return }
      try await send(await response(to: head, text), to: client)
    } catch {
      // The client has gone, or is too slow: there is nobody to tell.
    }
  }

  /// Nil when the client ended, or took too long.
  private func head(from client: SharedDescriptor) async throws(Errno) -> [UInt8]? {
    var head: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: Self.headByteCount)
    let deadline = ContinuousClock.now + Self.patience
    while ContinuousClock.now < deadline, head.count < Self.headByteCount {
      do throws(Errno) {
        let count = try UnixSocket.receive(into: &buffer, on: client.descriptor)
        if count == 0 { return nil }
        head += buffer[..<count]
        if head.firstRange(of: Array("\r\n\r\n".utf8)) != nil { return head }
      } catch .wouldBlock {
        try? await Task.sleep(for: Self.pause)
        if Task.isCancelled { return nil }
      }
    }
    return nil
  }

  private func response(to head: [UInt8], _ text: () async throws -> String) async -> [UInt8] {
    let words = head.prefix { $0 != UInt8(ascii: "\r") }.split(separator: UInt8(ascii: " ")).map { String(decoding: $0, as: UTF8.self) }
    guard words.count == 3, words[2].hasPrefix("HTTP/1.") else { return Self.message("400 Bad Request", "text/plain", "not HTTP\n") }
    guard words[0] == "GET" || words[0] == "HEAD" else { return Self.message("405 Method Not Allowed", "text/plain", "GET only\n") }
    guard words[1].prefix(while: { $0 != "?" }) == path else { return Self.message("404 Not Found", "text/plain", "see \(path)\n") }
    let isHead = words[0] == "HEAD"
    do {
      return Self.message("200 OK", contentType, try await text(), withoutBody: isHead)
    } catch {
      return Self.message("503 Service Unavailable", "text/plain", "\(error)\n", withoutBody: isHead)
    }
  }

  private static func message(_ status: String, _ contentType: String, _ body: String, withoutBody: Bool = false) -> [UInt8] {
    let head = "HTTP/1.1 \(status)\r\nContent-Type: \(contentType)\r\nContent-Length: \(body.utf8.count)\r\nConnection: close\r\n\r\n"
    return Array((withoutBody ? head : head + body).utf8)
  }

  private func send(_ bytes: [UInt8], to client: SharedDescriptor) async throws(Errno) {
    var sent = 0
    let deadline = ContinuousClock.now + Self.patience
    while sent < bytes.count, ContinuousClock.now < deadline {
      do throws(Errno) {
        sent += try UnixSocket.send(bytes, from: sent, on: client.descriptor)
      } catch .wouldBlock {
        try? await Task.sleep(for: Self.pause)
        if Task.isCancelled { return }
      }
    }
  }
}
