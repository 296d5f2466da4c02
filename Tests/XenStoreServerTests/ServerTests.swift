import EventLoop
import Foundation
import Glibc
import LinuxSystem
import Logging
import SystemPackage
import Testing
import XenInterface
import XenStoreClient
import XenStoreCore
import XenStoreServer
import XenStoreWire

/// A client that says what it likes, on a plain socket.
struct RawClient: ~Copyable {
  let socket: OwnedDescriptor
  private var parser = XenStorePacketParser()

  init(path: String) throws { socket = try UnixSocket.connect(to: path, kind: .stream) }

  func send(_ bytes: [UInt8]) throws {
    var rest = bytes
    while !rest.isEmpty { rest.removeFirst(try UnixSocket.send(rest, on: socket)) }
  }

  /// Ends the direction towards the daemon.
  func endRequests() { _ = Glibc.shutdown(socket.rawValue, Int32(SHUT_WR)) }

  /// The next packet, or nil when the daemon closed the connection.
  mutating func next() throws -> XenStorePacket? {
    while true {
      if case .packet(let packet) = parser.next() { return packet }
      let bytes: [UInt8]
      do throws(Errno) {
        bytes = try UnixSocket.receive(capacity: 65536, on: socket).bytes
      } catch {
        if error == .connectionReset { return nil }
        throw error
      }
      if bytes.isEmpty { return nil }
      parser.feed(bytes)
    }
  }
}

@Suite(.timeLimit(.minutes(5))) struct ServerTests {
  /// As `socat` and `nc` do: the requests, the end of the stream, and then the answers until the daemon closes.
  @Test func whoEndsItsDirectionGetsItsAnswersAndThenTheEnd() async throws {
    try await withDaemon { daemon in
      for count in [1, 50, 2000] {
        var client = try RawClient(path: daemon.privilegedPath)
        let request = XenStorePacket(.write, payload: Array("/half\0closed".utf8)).encoded
        // Before the last bytes are sent the daemon may have answered, and must not be kept from that.
        try client.send(Array(repeating: request, count: count).flatMap { $0 })
        client.endRequests()
        for _ in 0..<count { #expect(try client.next()?.type == .write) }
        #expect(try client.next() == nil)
      }
      #expect(try await daemon.perform { $0.connectionCount } == 0)
    }
  }

  /// The kernel stops a stream where descriptors are: what is behind them must not stay there.
  @Test func descriptorsInTheStreamHoldNothingUp() async throws {
    try await withDaemon { daemon in
      var client = try RawClient(path: daemon.privilegedPath)
      let request = XenStorePacket(.write, payload: Array("/passed\0x".utf8)).encoded
      let descriptor = try EventDescriptor.create()
      do throws(Errno) {
        for _ in 0..<3 { _ = try UnixSocket.send(request, descriptors: [descriptor.rawValue], on: client.socket) }
      } catch {
        // A newer kernel refuses for the daemon, and nothing has been sent.
        #expect(error == .notPermitted)
        for _ in 0..<3 { try client.send(request) }
      }
      for _ in 0..<3 { #expect(try client.next()?.type == .write) }
    }
  }

  @Test func theSocketIsForItsOwnerOnly() async throws {
    try await withDaemon { daemon in
      let attributes = try FileManager.default.attributesOfItem(atPath: daemon.privilegedPath)
      #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o600)
    }
  }

  @Test func aSocketThatSomebodyAnswersIsNotTaken() async throws {
    try await withDaemon { daemon in
      let path = daemon.privilegedPath
      let other = try EventLoopThread.start(name: "other")
      defer { other.stopAndJoin() }
      let loop = other.loop
      let error = await loop.run { () -> Errno? in
        do throws(Errno) {
          try XenStoreServer(loop: loop, core: XenStoreCore(), logger: .init(label: "other")).listen(path: path, identity: .privileged)
          return nil
        } catch {
          return error
        }
      }
      #expect(error == .addressInUse)
      #expect(try await XenStoreClient(path: path).directory("/") == [])
    }
  }

  @Test func aSocketLeftBehindIsReplaced() async throws {
    try await withDaemon { daemon in
      let path = daemon.directory + "/left"
      _ = try UnixSocket.listen(at: path, kind: .stream)
      #expect(FileManager.default.fileExists(atPath: path))
      try await daemon.perform { try $0.listen(path: path, identity: .privileged) }
      #expect(try await XenStoreClient(path: path).directory("/") == [])
    }
  }

  @Test func stoppingToListenRemovesTheFileAndItsConnectionsOnly() async throws {
    try await withDaemon { daemon in
      let guest = try XenStoreClient(path: daemon.guestPath)
      let control = try XenStoreClient(path: daemon.privilegedPath)
      _ = try await guest.domainPath(.control)
      let path = daemon.guestPath
      try await daemon.perform { $0.stopListening(path: path) }
      #expect(!FileManager.default.fileExists(atPath: path))
      await #expect(throws: XenStoreClientError.connectionLost) {
        while true { _ = try await guest.domainPath(.control) }
      }
      #expect(try await control.directory("/") == [])
    }
  }

  @Test func aPacketMayComeByteByByteAndManyAtOnce() async throws {
    try await withDaemon { daemon in
      var client = try RawClient(path: daemon.privilegedPath)
      for byte in XenStorePacket(.write, requestID: 1, payload: Array("/a\0value".utf8)).encoded { try client.send([byte]) }
      #expect(try client.next()?.payload == Array("OK\0".utf8))
      var batch: [UInt8] = []
      for number in 1...500 as ClosedRange<UInt32> { XenStorePacket(.read, requestID: number, strings: ["/a"]).encode(into: &batch) }
      try client.send(batch)
      for number in 1...500 as ClosedRange<UInt32> {
        #expect(try client.next() == XenStorePacket(.read, requestID: number, payload: Array("value".utf8)))
      }
    }
  }

  @Test func aPayloadOf4097BytesClosesThatConnectionOnly() async throws {
    try await withDaemon { daemon in
      var bad = try RawClient(path: daemon.privilegedPath)
      let good = try XenStoreClient(path: daemon.privilegedPath)
      try bad.send(Array(XenStorePacket(.write, payload: [UInt8](repeating: 1, count: 4096)).encoded.prefix(12)) + [1, 0x10, 0, 0])
      #expect(try bad.next() == nil)
      #expect(try await good.directory("/") == [])
    }
  }

  @Test func aClientThatReadsNothingIsReadFromNoMoreAndLosesNothing() async throws {
    try await withDaemon { daemon in
      let good = try XenStoreClient(path: daemon.privilegedPath)
      try await good.write("/large", String(repeating: "v", count: 4000))
      var slow = try RawClient(path: daemon.privilegedPath)
      let request = XenStorePacket(.read, strings: ["/large"]).encoded
      var sentByteCount = 0
      // Ends only because the daemon stops reading: 64 MiB of requests would be 2.8 million.
      fill: while sentByteCount < 64 << 20 {
        var rest = request[...]
        while !rest.isEmpty {
          do throws(Errno) {
            let sent = try UnixSocket.send(Array(rest), on: slow.socket, nonBlocking: true)
            rest = rest.dropFirst(sent)
            sentByteCount += sent
          } catch {
            guard error == .wouldBlock else { throw error }
            // Whatever the daemon still takes, it has taken once it answered somebody else twice.
            let before = sentByteCount
            _ = try await good.read("/large")
            _ = try await good.read("/large")
            do throws(Errno) {
              let sent = try UnixSocket.send(Array(rest), on: slow.socket, nonBlocking: true)
              rest = rest.dropFirst(sent)
              sentByteCount += sent
            } catch {
              guard error == .wouldBlock else { throw error }
            }
            if sentByteCount == before { break fill }
          }
        }
      }
      #expect(sentByteCount < 64 << 20)
      #expect(try await good.read("/large").utf8.count == 4000)
      for _ in 0..<sentByteCount / request.count { #expect(try slow.next()?.payload.count == 4000) }
    }
  }

  @Test func aClientThatIsGoneLeavesNoWatchBehind() async throws {
    var quotas = XenStoreQuotas()
    quotas.watchesPerDomain = 1
    try await withDaemon(quotas: quotas) { daemon in
      for _ in 0..<50 {
        let path = daemon.guestPath
        let before = try await daemon.perform { $0.connectionCount }
        do {
          var client = try RawClient(path: path)
          try client.send(XenStorePacket(.watch, strings: ["/x", "t"]).encoded)
          #expect(try client.next()?.type == .watch)
        }
        while try await daemon.perform({ $0.connectionCount }) > before { await Task.yield() }
      }
    }
  }

  @Test func aConnectionMadeElsewhereIsServed() async throws {
    try await withDaemon { daemon in
      let pair = try UnixSocket.pair(.stream)
      let number = try pair.first.duplicate().release()
      try await daemon.perform { try $0.serve(connection: OwnedDescriptor(owning: number), identity: .privileged) }
      let client = try XenStoreClient(socket: pair.second.duplicate())
      #expect(try await client.directory("/") == [])
    }
  }

  @Test func aReleaseClosesAConnectionThatReadsNothing() async throws {
    try await withDaemon { daemon in
      let path = daemon.guestPath
      let before = try await daemon.perform { $0.connectionCount }
      let slow = try RawClient(path: path)
      // More replies than the socket holds: the daemon is left with some that it cannot send.
      let request = XenStorePacket(.getDomainPath, strings: ["5"]).encoded
      var isFull = false
      while !isFull {
        do throws(Errno) {
          if try UnixSocket.send(request, on: slow.socket, nonBlocking: true) < request.count { isFull = true }
        } catch {
          guard error == .wouldBlock else { throw error }
          isFull = true
        }
      }
      try await daemon.perform { $0.release(DomainID(rawValue: 5)) }
      while try await daemon.perform({ $0.connectionCount }) > before { await Task.yield() }
    }
  }

  @Test func aSocketMadeElsewhereKeepsItsFile() async throws {
    try await withDaemon { daemon in
      let path = daemon.directory + "/activated"
      let number = try UnixSocket.listen(at: path, kind: .stream).release()
      try await daemon.perform { try $0.listen(socket: OwnedDescriptor(owning: number), path: path, identity: .privileged) }
      #expect(try await XenStoreClient(path: path).directory("/") == [])
      try await daemon.perform { $0.stopListening(path: path) }
      #expect(FileManager.default.fileExists(atPath: path))
    }
  }
}
