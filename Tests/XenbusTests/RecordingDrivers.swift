import Synchronization
import XenInterface
import Xenbus

/// Drivers that write down what they are asked to do, and fail when they are told to.
struct Failure: Error, CustomStringConvertible {
  var description: String
}

final class RecordingBackend: BackendDriver {
  struct State {
    var calls: [String] = []
    var connectFailure: String?
    var advertiseFailure: String?
    var waitsFor: (key: String, value: String)?
    var isConnected = false
    var seen: XenbusDirectory?
  }

  let adoptsConnections: Bool
  let state = Mutex(State())
  var calls: [String] { state.withLock { $0.calls } }

  init(adoptsConnections: Bool = false) { self.adoptsConnections = adoptsConnections }

  func advertise() async throws -> [String: String] {
    try state.withLock { state in
      state.calls.append("advertise")
      if let failure = state.advertiseFailure { throw Failure(description: failure) }
    }
    return ["max-ring-page-order": "4"]
  }

  func backing(device: XenbusDirectory) async -> XenbusBacking {
    guard let (key, value) = state.withLock({ $0.waitsFor }) else { return .ready }
    return device[key] == value ? .ready : .waiting(forKey: key)
  }

  func connect(frontend: XenbusDirectory) async throws -> [String: String] {
    try state.withLock { state in
      state.calls.append("connect")
      state.seen = frontend
      if let failure = state.connectFailure { throw Failure(description: failure) }
      precondition(!state.isConnected, "connected twice")
      state.isConnected = true
    }
    return ["sectors": "2048"]
  }

  func reconfigure(frontend: XenbusDirectory) async throws -> [String: String] {
    state.withLock {
      $0.calls.append("reconfigure")
      $0.seen = frontend
    }
    return ["headroom-ack": "1"]
  }

  func disconnect() async {
    state.withLock {
      $0.calls.append("disconnect")
      $0.isConnected = false
    }
  }
}

final class RecordingFrontend: FrontendDriver {
  struct State {
    var calls: [String] = []
    var sectors: String?
  }

  let state = Mutex(State())
  var calls: [String] { state.withLock { $0.calls } }

  func prepare(backend: XenbusDirectory) async throws -> [String: String] {
    state.withLock { $0.calls.append("prepare \(backend["max-ring-page-order"] ?? "-")") }
    return ["ring-ref": "8", "event-channel": "3"]
  }

  let obsoleteKeys = ["ring-page-order"]

  func connected(backend: XenbusDirectory) async throws {
    state.withLock {
      $0.calls.append("connected")
      $0.sectors = backend["sectors"]
    }
  }

  func backendChanged(backend: XenbusDirectory) async {
    state.withLock {
      $0.calls.append("changed")
      $0.sectors = backend["sectors"]
    }
  }

  func quiesce() async { state.withLock { $0.calls.append("quiesce") } }
  func disconnect() async { state.withLock { $0.calls.append("disconnect") } }
}

/// One device in a store, and both ends of it.
struct DeviceFixture {
  let store: any XenbusStore
  let memory: MemoryStore
  let paths: XenbusDevicePaths
  let backend = RecordingBackend()
  let frontend = RecordingFrontend()

  init() async throws {
    memory = MemoryStore()
    store = memory
    paths = XenbusDevicePaths(kind: "vbd", device: 51712, frontendDomain: DomainID(rawValue: 7))
    try await ToolstackDevice(paths: paths, store: memory).create(
      frontendKeys: ["virtual-device": "51712", "device-type": "disk"], backendKeys: ["params": "/disk.img", "mode": "w"])
  }

  func startBackend(_ driver: RecordingBackend? = nil, timeouts: XenbusTimeouts = XenbusTimeouts()) -> Life {
    let notices = XenbusNotices()
    let end = XenbusBackend(driver: driver ?? backend, paths: paths, store: store, notices: notices, timeouts: timeouts)
    return Life(notices: notices, task: Task { try await end.run() })
  }

  func startFrontend(_ driver: RecordingFrontend? = nil, timeouts: XenbusTimeouts = XenbusTimeouts()) -> Life {
    let notices = XenbusNotices()
    let end = XenbusFrontend(driver: driver ?? frontend, paths: paths, store: store, notices: notices, timeouts: timeouts)
    return Life(notices: notices, task: Task { try await end.run() })
  }

  func write(_ side: XenbusSide, _ key: String, _ value: String) async throws {
    try await memory.write(paths.directory(of: side) + "/" + key, value)
  }

  func wait(_ side: XenbusSide, _ state: XenbusState) async throws {
    try await memory.wait(for: paths.directory(of: side) + "/state", String(state.rawValue))
  }

  /// Plays a front-end: writes each state, and waits for the back-end's that is named with it.
  func play(_ steps: (state: XenbusState, answer: XenbusState?)...) async throws {
    for step in steps {
      try await write(.frontend, "state", "\(step.state.rawValue)")
      if let answer = step.answer { try await wait(.backend, answer) }
    }
  }

  func waitUntilConnected() async throws {
    try await wait(.backend, .connected)
    try await wait(.frontend, .connected)
  }

  /// Values of a side's state key, in the order in which they were written.
  func states(_ side: XenbusSide) -> [UInt32] {
    let prefix = paths.directory(of: side) + "/state="
    return memory.history.filter { $0.hasPrefix(prefix) }.compactMap { UInt32($0.dropFirst(prefix.count)) }
  }
}

/// One end's process.
struct Life {
  let notices: XenbusNotices
  let task: Task<XenbusEnding, any Error>

  /// As `kill -9`: nothing is written any more. The driver is asked to disconnect, as the kernel would close everything.
  func kill() async {
    task.cancel()
    _ = await task.result
  }
}
