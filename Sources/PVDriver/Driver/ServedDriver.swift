public import EventLoop
public import Logging
public import SharedRing
public import XenPlatform
public import Xenbus

/// A back-end whose engine its author wrote, whatever carries it: for the command that serves it, its status file, and tests.
public protocol ServedDriver: BackendDriver {
  static var kind: DeviceKind { get }
  static var capabilities: DriverCapabilities { get }

  /// Makes the engine on the setup's loop, which must run until ``close()`` has returned. Throws what the engine's initialiser throws, and
  /// ``EngineOptionError`` for a key that it does not know.
  static func open(_ setup: BackendSetup) async throws -> Self

  /// Whether a front-end is connected, and what was done for all that were. From any task.
  func report() async -> DriverReport

  /// Ends the device for good, after its life cycle has ended.
  func close() async
}

extension ServedDriver {
  public func close() async { await disconnect() }
}

/// What a back-end is opened with.
public struct BackendSetup: Sendable {
  /// What the user gave for the engine, by key.
  public var options: [String: String] = [:]
  /// Where engine and memory live.
  public var loop: EventLoop
  public var platform: any XenPlatform
  /// The same that the life cycle gets.
  public var notices: XenbusNotices
  /// How long to look at shared memory before sleeping.
  public var polling = PollingPolicy.standard
  /// How much the device may do.
  public var rate = RequestRate()
  /// Where requests are told of while somebody traces the device; nil: nowhere.
  public var trace: TraceFile?
  public var logger = Logger(label: "driver.backend")

  public init(loop: EventLoop, platform: any XenPlatform, notices: XenbusNotices) {
    self.loop = loop
    self.platform = platform
    self.notices = notices
  }

  var engine: EngineSetup { EngineSetup(options: options, loop: loop, logger: logger) }
}

/// What a back-end says of itself without serving anything (`--print-capabilities`).
public struct DriverCapabilities: Sendable, Equatable {
  public var kind: DeviceKind
  /// As a protocol file spells it: `request-ring`, `event-ring`, `byte-stream`.
  public var transport: String
  /// Nil for a protocol whose ends agree on none.
  public var versions: ClosedRange<UInt32>?
  public var entryByteCount: Int
  /// Most bytes of data of a request.
  public var dataByteCount = 0
  /// Keys that the back-end offers.
  public var features: [String: String]
  /// Keys that a user can give.
  public var optionKeys: [String]
  /// What `pvio trace` shows of a request.
  public var traceFields: [TraceField] = []
  /// Takes requests one by one: they can be limited (`iops=`, `bps=`) and traced.
  public var takesRequests = false

  public init(kind: DeviceKind, transport: String, versions: ClosedRange<UInt32>?, entryByteCount: Int, features: [String: String], optionKeys: [String]) {
    self.kind = kind
    self.transport = transport
    self.versions = versions
    self.entryByteCount = entryByteCount
    self.features = features
    self.optionKeys = optionKeys
  }

  init<Interface: DriverInterface>(_ interface: Interface.Type, transport: String, optionKeys: [String]) {
    self.init(
      kind: Interface.kind, transport: transport, versions: Interface.versions, entryByteCount: Interface.entryByteCount,
      features: Interface.Features().offerKeys, optionKeys: optionKeys)
  }
}

/// What a back-end has done, over all of its connections.
public struct DriverReport: Sendable, Equatable {
  public var isConnected = false
  /// Requests, events or connections, by transport.
  public var requests: UInt64 = 0
  public var bytes: UInt64 = 0
  public var failures: UInt64 = 0
  /// Requests that broke a rule and were answered without reaching the engine.
  public var rejections: UInt64 = 0
  public var inFlight: UInt64 = 0
  public var events: UInt64 = 0
  public var spuriousEvents: UInt64 = 0
  public var signals: UInt64 = 0
  /// Pages of the front-end that are mapped now.
  public var mappedPageCount = 0
  /// What broke the connection.
  public var fault: String?
  /// What else is counted, by name.
  public var counters: [String: UInt64] = [:]

  public init() {}
}
