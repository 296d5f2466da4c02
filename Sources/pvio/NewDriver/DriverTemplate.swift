/// The files of a new driver: small, and working as they are, until its author writes something else.
struct DriverTemplate {
  let name: DriverName
  let transport: DriverTransportKind

  /// The author's files: path below the package, and content.
  var files: [(path: String, content: String)] {
    [
      ("Protocols/\(name.name)/protocol.yaml", protocolFile), ("Sources/Devices/\(name.prefix)/Engine/\(name.prefix)Engine.swift", engine),
      ("Sources/Devices/\(name.prefix)/Front/\(name.prefix)Command.swift", command),
      ("Tests/\(name.prefix)Tests/\(name.prefix)Tests.swift", test),
    ]
  }

  private var protocolFile: String {
    """
    protocol: \(name.name)
    title: \(name.prefix)
    summary: What the device does, in a sentence.
    driver:
    \(driverSection)

    """
  }

  private var command: String {
    """
    public import ArgumentParser
    public import DriverCommands
    import PVDriver

    /// Uses a device of this kind from the command line.
    public struct \(name.prefix)Command: AsyncParsableCommand {
      public static let configuration = CommandConfiguration(commandName: "\(name.kind)", abstract: "Ask a domain's \(name.kind) device.")
      @OptionGroup var device: FrontendOptions
    \(commandBody)
    }

    extension DriverRegistration {
      /// What the device does, in a few words.
      public static let \(name.constant) = DriverRegistration(engine: \(name.prefix)Engine.self, commands: [\(name.prefix)Command.self])
    }

    """
  }

  private var test: String {
    """
    import DriverTestSupport
    import PVDriver
    import Testing
    import XenInterface
    import \(name.prefix)Driver

    @Suite struct \(name.prefix)Tests {
    \(testBody)
    }

    """
  }
}

// What differs by transport.
extension DriverTemplate {
  fileprivate var driverSection: String {
    switch transport {
    case .requestRing, .mailbox:
      (transport == .mailbox ? "  transport: mailbox\n" : "") + """
        request:
          - {name: number, type: u32, doc: A number}
        response:
          - {name: answer, type: u32, doc: The number and one}
      """
    case .eventRing:
      """
        transport: event-ring
        to_frontend:
          - {name: answer, type: u32, doc: The number and one}
        from_frontend:
          - {name: number, type: u32, doc: A number}
      """
    case .byteStream:
      """
        transport: byte-stream
      """
    }
  }

  fileprivate var engine: String {
    switch transport {
    case .requestRing, .mailbox:
      """
      public import PVDriver
      import XenInterface

      /// What the back-end does with a request.
      public final class \(name.prefix)Engine: RequestRingEngine {
        public typealias Interface = \(name.prefix)Interface
        public init(_ setup: EngineSetup) {}

        public func handle(_ request: \(name.prefix)Request, _ data: GrantedBytes) -> \(name.prefix)Response {
          var response = \(name.prefix)Response(.okay)
          response.answer = request.number &+ 1
          return response
        }
      }

      """
    case .eventRing:
      """
      public import PVDriver
      import XenInterface

      /// What the back-end does with an event.
      public final class \(name.prefix)Engine: EventRingEngine {
        public typealias Device = \(name.prefix)Device
        private let events: EventSender<\(name.prefix)ToFrontend>
        public init(_ setup: EngineSetup, _ events: EventSender<\(name.prefix)ToFrontend>) { self.events = events }

        public func handle(_ event: \(name.prefix)FromFrontend) {
          var answer = \(name.prefix)ToFrontend()
          answer.answer = event.number &+ 1
          events.send(answer)
        }
      }

      """
    case .byteStream:
      """
      public import PVDriver

      /// What the back-end does with what comes: it sends it back, lower-case letters as upper-case ones.
      public final class \(name.prefix)Engine: ByteStreamEngine {
        public typealias Interface = \(name.prefix)Interface
        private let output: ByteStreamOutput
        public init(_ setup: EngineSetup, _ output: ByteStreamOutput) { self.output = output }

        public func received(_ bytes: ArraySlice<UInt8>) {
          output.send(bytes.lazy.map { (97...122).contains($0) ? $0 - 32 : $0 })
        }
      }

      """
    }
  }

  fileprivate var commandBody: String {
    switch transport {
    case .requestRing, .mailbox:
      """
        @Option(help: "A number.") var number: UInt32 = 1
        public init() {}

        public func run() async throws {
          var request = \(name.prefix)Request()
          request.number = number
          try await device.use(\(name.prefix)Interface.self) { client in
            print(try await client.call(request).response.answer)
          }
        }
      """
    case .eventRing:
      """
        @Option(help: "A number.") var number: UInt32 = 1
        public init() {}

        public func run() async throws {
          var event = \(name.prefix)FromFrontend()
          event.number = number
          try await device.use(\(name.prefix)Device()) { client in
            client.send(event)
            for await event in client.events { return print(event.answer) }
          }
        }
      """
    case .byteStream:
      """
        @Option(help: "What to send.") var text = "hello"
        public init() {}

        public func run() async throws {
          try await device.use(\(name.prefix)Interface.self) { client in
            try await client.send(Array((text + "\\n").utf8))
            try StandardOutput.write(try await client.receive())
          }
        }
      """
    }
  }

  fileprivate var testBody: String {
    switch transport {
    case .requestRing, .mailbox:
      """
        @Test func aCallIsAnswered() async throws {
          let pair = try await DriverPair<\(name.prefix)Engine>()
          try await pair.startBackend()
          var request = \(name.prefix)Request()
          request.number = 41
          #expect(try await pair.client.call(request).response.answer == 42)
          #expect(await pair.finish() == "")
        }
      """
    case .eventRing:
      """
        @Test func anEventIsAnswered() async throws {
          let pair = try await EventDriverPair<\(name.prefix)Engine>()
          try await pair.startBackend()
          var event = \(name.prefix)FromFrontend()
          event.number = 41
          pair.client.send(event)
          var events = pair.client.events.makeAsyncIterator()
          #expect(await events.next()?.answer == 42)
          #expect(await pair.finish() == "")
        }
      """
    case .byteStream:
      """
        @Test func bytesComeBack() async throws {
          let pair = try await StreamDriverPair<\(name.prefix)Engine>()
          try await pair.startBackend()
          try await pair.client.send(Array("hello".utf8))
          #expect(try await pair.client.receive() == Array("HELLO".utf8))
          #expect(await pair.finish() == "")
        }
      """
    }
  }
}
