import Foundation
import XenInterface

/// What is the matter with a device, from what stands in the store: which side, which key, since when, what to do.
///
/// Pure: `pvio status` reads both directories and asks.
public struct XenbusDiagnosis: Sendable, Equatable {
  /// Key that both our ends write with their state: when it was entered, in whole seconds since 1970. Other people's
  /// drivers do not have it.
  public static let sinceKey = "state-since"

  /// Whether both ends are connected.
  public var isConnected: Bool
  /// The end that has to move; nil when both are connected or both are closed.
  public var side: XenbusSide?
  /// One line: the object, the state, since when, what is missing, what to do.
  public var text: String

  /// - Parameters:
  ///   - frontend: the front-end's directory; nil when it is missing.
  ///   - backend: the back-end's directory; nil when it is missing.
  ///   - frontendError: the front-end's `error` node.
  ///   - backendError: the back-end's `error` node.
  ///   - now: seconds since 1970.
  public init(
    paths: XenbusDevicePaths, frontend: XenbusDirectory?, backend: XenbusDirectory?, frontendError: String? = nil,
    backendError: String? = nil, now: UInt64 = currentTime()
  ) {
    let finding = Finding(frontend: frontend, backend: backend)
    isConnected = finding == .connected
    side = finding.side
    let directory = finding.side == .frontend ? frontend : backend
    let place = "\(paths.kind) \(paths.device) in domain \(paths.frontendDomain)"
    let subject = finding.side.map { "\($0.rawValue) of \(place)" } ?? place
    var text = subject + ": "
    if finding.side != nil, let directory { text += "state \(directory.state)\(Self.age(directory, now)); " }
    text += finding.words(paths)
    for (side, error) in [(XenbusSide.backend, backendError), (.frontend, frontendError)] where finding != .connected {
      if let error { text += "; \(side.rawValue) reports: \(XenbusKeyError.printable(error, limit: 256))" }
    }
    self.text = text
  }

  /// Seconds since 1970.
  public static func currentTime() -> UInt64 { UInt64(max(0, Date().timeIntervalSince1970)) }

  private static func age(_ directory: XenbusDirectory, _ now: UInt64) -> String {
    guard let since = directory[sinceKey].flatMap(UInt64.init), since <= now else { return "" }
    return " since \(now - since) s"
  }
}

/// What is found, without words.
private enum Finding: Equatable {
  case connected
  case noDevice
  case missing(XenbusSide)
  case hotplugFailed(String)
  case waitsForHotplug
  case backendNotStarted
  case backendBusy
  case frontendNotStarted
  case frontendDidNotAnswer
  case frontendIgnoresOffer
  case frontendNotReady
  case backendDoesNotConnect
  case backendClosing(online: Bool)
  case frontendClosing
  case backendClosed
  case frontendClosed
  case bothClosed(online: Bool)
  case reconfiguring

  init(frontend: XenbusDirectory?, backend: XenbusDirectory?) {
    guard frontend != nil || backend != nil else { self = .noDevice; return }
    guard let frontend else { self = .missing(.frontend); return }
    guard let backend else { self = .missing(.backend); return }
    let online = backend["online"] != "0"
    let frontendIsReady = frontend.state == .initialised || frontend.state == .connected
    self =
      switch (frontend.state, backend.state) {
      case (.unknown, _): .missing(.frontend)
      case (_, .unknown): .missing(.backend)
      case (.connected, .connected): .connected
      case (.closed, .closed): .bothClosed(online: online)
      case (_, .initialising): .backendNotStarted
      case (.reconfiguring, .connected), (.reconfiguring, .reconfigured), (.connected, .reconfigured): .reconfiguring
      case (_, .closing): .backendClosing(online: online)
      case (_, .closed): .backendClosed
      case (.closing, _): .frontendClosing
      case (.closed, _): .frontendClosed
      case (_, .initWait) where backend["hotplug-status"] == "error": .hotplugFailed(backend["hotplug-error"] ?? "")
      case (_, .initWait) where frontendIsReady && backend["script"] != nil && backend["hotplug-status"] != "connected": .waitsForHotplug
      case (.initialised, .initWait), (.connected, .initWait): .backendBusy
      case (.initialising, .initWait): .frontendNotStarted
      case (.initialised, .connected): .frontendDidNotAnswer
      case (.initialising, .connected): .frontendIgnoresOffer
      case (_, .initialised): .backendDoesNotConnect
      default: .frontendNotReady
      }
  }

  /// Who has to move.
  var side: XenbusSide? {
    switch self {
    case .connected, .noDevice, .bothClosed: nil
    case .missing(let side): side
    case .hotplugFailed, .waitsForHotplug, .backendNotStarted, .backendBusy, .backendDoesNotConnect, .backendClosed, .frontendIgnoresOffer:
      .backend
    case .frontendNotStarted, .frontendDidNotAnswer, .frontendNotReady, .frontendClosed, .reconfiguring, .backendClosing: .frontend
    case .frontendClosing: .backend
    }
  }

  func words(_ paths: XenbusDevicePaths) -> String {
    let key = { (side: XenbusSide, name: String) in "'\(paths.directory(of: side))/\(name)'" }
    return switch self {
    case .connected: "connected"
    case .noDevice: "no such device; attach it first"
    case .missing(let side): "key \(key(side, "state")) is missing or unreadable; detach the device and attach it again"
    case .hotplugFailed(let text): "hotplug failed (\(XenbusKeyError.printable(text))); read \(key(.backend, "hotplug-error"))"
    case .waitsForHotplug:
      "waiting for back-end key \(key(.backend, "hotplug-status")) = connected; look at the hotplug script "
        + "named in \(key(.backend, "script"))"
    case .backendNotStarted: "no back-end process has taken the device; start one (pvio backend \(Self.command(paths.kind)))"
    case .backendBusy:
      "the front-end is ready, waiting for the back-end to map its rings and write \(key(.backend, "state")) = 4; "
        + "is the back-end process alive?"
    case .frontendNotStarted:
      "the back-end offers the device, waiting for front-end key \(key(.frontend, "state")) = 3; start a front-end"
    case .frontendDidNotAnswer:
      "the back-end is connected, waiting for front-end key \(key(.frontend, "state")) = 4; is the front-end process alive?"
    case .frontendIgnoresOffer: "the front-end began again, waiting for the back-end to let go of the connection before"
    case .frontendNotReady: "waiting for front-end key \(key(.frontend, "state")) = 3"
    case .backendDoesNotConnect: "waiting for back-end key \(key(.backend, "state")) = 4"
    case .backendClosing(let online):
      "the back-end closes\(online ? "" : " because the toolstack removes the device"), waiting for front-end key "
        + "\(key(.frontend, "state")) = 6; the device is in use"
    case .frontendClosing:
      "the front-end closes or begins again, waiting for the back-end to answer in \(key(.backend, "state")); "
        + "is the back-end process alive?"
    case .backendClosed: "the back-end is closed; start a back-end (pvio backend \(Self.command(paths.kind)))"
    case .frontendClosed: "the front-end is closed; start a front-end"
    case .bothClosed(let online):
      online ? "closed at both ends; start a front-end and a back-end, or detach it" : "closed at both ends; it can be removed"
    case .reconfiguring: "reconfiguring, waiting for front-end key \(key(.frontend, "state")) = 4"
    }
  }

  private static func command(_ kind: String) -> String {
    switch kind {
    case "vbd": "block"
    case "vif": "net"
    default: kind
    }
  }
}
