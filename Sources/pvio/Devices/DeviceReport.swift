import DriverCommands
import LinuxSystem
import PVDriver
import XenInterface
import XenStoreClient
import Xenbus

/// Everything that can be seen of a device from outside: what stands in the store, who serves it, what they say.
struct DeviceReport {
  var address: DeviceAddress
  var frontend: XenbusState
  var backend: XenbusState
  var frontendProcess: Int32?
  var backendProcess: Int32?
  /// What it is served from: a disk's image, what an interface is connected to.
  var source: String
  /// A disk that refuses writes.
  var isReadOnly: Bool
  /// A disk's size in bytes; nil before a back-end has said it.
  var byteCount: UInt64?
  /// An interface's address.
  var mac: String?
  /// Its user is a VMM, which comes to this socket; nil: a front-end, which comes over the store.
  var vhostUserSocket: String?
  /// How often its back-end was started again.
  var restarts = 0
  /// The switch that serves an interface.
  var switchName: String?
  /// One line: connected, or which side, which key, since when, what to do.
  var diagnosis: String
  /// What the back-end says of itself: one of the three.
  var disk: DiskStatus?
  var net: NetStatus?
  var driver: DriverStatus?
  /// When it said so, in seconds since 1970-01-01 UTC.
  var statusTime: Double?

  /// What is said when there is no device.
  static let noneText = "no devices: attach one with 'pvio attach DOMAIN disk file=PATH', or 'net tap=NAME'"

  /// Every device, or the one with this id, as the daemon that `common` names knows them.
  static func all(_ common: CommonOptions, id: String? = nil) async throws -> [DeviceReport] {
    let directory = common.runDirectory
    return try await withStore(common) { store in
      var reports: [DeviceReport] = []
      for address in try await DeviceAddress.all(store) where id == nil || address.id == id {
        reports.append(try await read(address, directory, store))
      }
      return reports
    }
  }

  static func read(_ address: DeviceAddress, _ directory: RunDirectory, _ store: XenStoreClient) async throws -> DeviceReport {
    let front = try await StoreWalk.values(below: address.paths.frontend, store)
    let back = try await StoreWalk.values(below: address.paths.backend, store)
    let paths = address.paths
    let diagnosis = XenbusDiagnosis(
      paths: paths,
      frontend: front.map { XenbusDirectory(side: .frontend, path: paths.frontend, domain: paths.frontendDomain, values: $0) },
      backend: back.map { XenbusDirectory(side: .backend, path: paths.backend, domain: paths.backendDomain, values: $0) },
      frontendError: try await store.readIfPresent(paths.error(of: .frontend)),
      backendError: try await store.readIfPresent(paths.error(of: .backend)))
    let files = directory.device(address.id)
    var report = DeviceReport(
      address: address, frontend: XenbusState(storeValue: front?["state"]), backend: XenbusState(storeValue: back?["state"]),
      frontendProcess: LockedFile.holder(of: files.frontendLock), backendProcess: LockedFile.holder(of: files.backendLock),
      source: back?[address.device.kind == .net ? "bridge" : "params"] ?? "", isReadOnly: back?["mode"] == "r",
      byteCount: back?["sectors"].flatMap(UInt64.init).map { $0 * 512 }, mac: back?["mac"], diagnosis: diagnosis.text)
    switch address.device.kind {
    case .disk: report.disk = readJSON(DiskStatus.self, from: files.backendStatus)
    case .net: report.net = readJSON(NetStatus.self, from: files.backendStatus)
    default: report.driver = readJSON(DriverStatus.self, from: files.backendStatus)
    }
    report.statusTime = StatusFile.timeWritten(at: files.backendStatus)
    report.switchName = back?[DeviceToolstack.switchKey]
    if back?[DeviceToolstack.transportKey] == DeviceToolstack.vhostUser {
      report.vhostUserSocket = files.vhostUserSocket
      report.restarts = back?[DeviceToolstack.restartsKey].flatMap { Int($0) } ?? 0
      report.diagnosis = report.vmmDiagnosis(since: back?[XenbusDiagnosis.sinceKey].flatMap(UInt64.init))
    }
    report.diagnosis = report.deadProcess ?? report.diagnosis
    return report
  }

  /// Somebody uses it: a front-end whose state says so, or a VMM.
  var isConnected: Bool { backend == .connected && (vhostUserSocket != nil || frontend == .connected) }

  /// One word when all is well, else the states of both ends.
  var stateText: String {
    if isConnected { return "connected" }
    return vhostUserSocket == nil ? "\(frontend) / \(backend)" : "\(backend)"
  }

  /// How a device is whose user is a VMM: there is no other end in the store.
  private func vmmDiagnosis(since: UInt64?) -> String {
    let place = "\(address.device) of domain \(address.domain)"
    let now = XenbusDiagnosis.currentTime()
    let moment = since.map { " since \(now - min(now, $0)) s" } ?? ""
    return switch backend {
    case .connected: "\(place): a VMM uses it over \(vhostUserSocket ?? "")\(moment)"
    case .initWait: "\(place): no VMM is connected to \(vhostUserSocket ?? "")\(moment); start one with this socket"
    default: "\(place): the back-end is \(backend)\(moment); see \(address.id)/backend.log under the run directory"
    }
  }

  /// What the store cannot know: an end whose state says that somebody is there, and whose process is gone.
  ///
  /// A front-end that is not ours holds no lock, so the lock's absence says something only where the ends disagree.
  private var deadProcess: String? {
    let place = "\(address.device) of domain \(address.domain)"
    let atWork: [XenbusState] = [.initWait, .initialised, .connected, .closing]
    if backendProcess == nil, atWork.contains(backend) {
      return "\(place): the back-end's process is gone (its state is still \(backend)); start it again: "
        + "pvio backend \(address.device.kind.backendCommand) --domain \(address.domain) --device \(address.device) "
        + (isOwn ? "--\(address.device.kind.name) \(specification)" : "--spec '\(source)'")
    }
    if vhostUserSocket == nil, frontendProcess == nil, backendProcess != nil, backend != .connected, [.initialised, .connected, .closing].contains(frontend) {
      return "\(place): the front-end's process is gone (its state is still \(frontend)); start another one: "
        + (isOwn
          ? "pvio export \(address.device.kind == .net ? "tap" : "nbd") \(address.domain) \(address.device)"
          : "see 'pvio help' for what uses a device of kind \(address.device.kind.name)")
    }
    return nil
  }

  /// A disk or a network interface.
  private var isOwn: Bool { DeviceAddress.kinds.all.contains(address.device.kind) }

  /// What `--disk` or `--net` takes for this device.
  private var specification: String {
    let export = vhostUserSocket == nil ? "" : ",export=vhost-user"
    if source.hasPrefix(NetSpec.packetPrefix), address.device.kind == .net { return "packet=\(source.dropFirst(NetSpec.packetPrefix.count))" + export }
    if address.device.kind == .net { return (source == "null" ? source : "tap=\(source)") + export }
    let backing = ["ram:", "null:", "script:"].contains { source.hasPrefix($0) } ? source.replacing(":", with: "=", maxReplacements: 1) : "file=\(source)"
    return (isReadOnly ? backing + ",readonly=on" : backing) + export
  }
}
