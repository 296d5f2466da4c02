import ArgumentParser
import DriverCommands
import EventLoop
import Logging
import NinePBack
import NinePEngine
import PVDriver
import SystemPackage
import XenInterface
import XenPlatform
import XenStoreClient
import XenStoreWire
import Xenbus

/// `pvio backend 9pfs`: shares a directory of the host with a domain until it is detached or a signal comes.
struct BackendNinePCommand: AsyncParsableCommand {
  static let kind = DeviceKind("9pfs")
  static let configuration = CommandConfiguration(commandName: "9pfs", abstract: "Share a directory with a domain (9P2000.L).")

  @OptionGroup var place: BackendOptions
  @Option(help: ArgumentHelp("The directory to share.", valueName: "dir")) var share: String?
  @Flag(help: "Nothing can be changed.") var readOnly = false
  @Option(help: ArgumentHelp("What the guest mounts it by.", valueName: "name")) var tag: String?
  @Option(help: ArgumentHelp("The same as keys: share=DIR, readonly=on, tag=NAME, id=NAME.", valueName: "spec")) var spec = ""

  func run() async throws {
    let given = [spec, share.map { "share=\($0)" } ?? "", readOnly ? "readonly=on" : "", tag.map { "tag=\($0)" } ?? ""]
    let settings = try DriverSpec(given.filter { !$0.isEmpty }.joined(separator: ","), kind: Self.kind)
    try settings.expectKeys(["share", "readonly", "tag"])
    guard let path = settings["share"] else { throw CommandFailure.usage("9pfs: which directory? --share DIR, or share=DIR") }
    guard ["on", "off", nil].contains(settings["readonly"]) else { throw CommandFailure.usage("9pfs readonly=\(settings["readonly"] ?? ""): expected on or off") }
    let share: NinePShare
    do { share = try NinePShare(path: path, isReadOnly: settings["readonly"] == "on") } catch { throw CommandFailure("cannot share \(path): \(error)") }
    try await place.serve(settings) { address, platform, store, logger in
      try await NinePService(
        address: address, directory: place.common.runDirectory, share: share, path: path, tag: settings["tag"] ?? "share\(address.device.number)",
        processor: place.processor, logger: logger
      ).run(platform, store)
    }
  }
}

/// One shared directory being served by a process of its own.
struct NinePService {
  let address: DeviceAddress
  let directory: RunDirectory
  let share: NinePShare
  let path: String
  let tag: String
  let processor: Int?
  let logger: Logger

  func run(_ platform: any XenPlatform, _ store: XenStoreClient) async throws -> BackendSupervisor.Report {
    let thread = try EventLoopThread.started("9pfs", processor: processor)
    defer { thread.stopAndJoin() }
    let notices = XenbusNotices()
    let (share, loop) = (share, thread.loop)
    let driver = try await ByteStreamBackendDriver(NinePBackendDevice(), loop: loop, platform: platform, notices: notices) { _ in
      NinePServer(share, loop: loop)
    }
    try await publish(store)
    return await DriverService(address: address, directory: directory, logger: logger).run(streams: driver, notices: notices, store: store) { status in
      let counts = await driver.withEndpoints { [$0[0].answerCounts.total, $0[0].answerCounts.errors] }
      status.requests = counts[0]
      status.counters["errors_answered"] = counts[1]
      status.notes = ["shares \(path)\(share.isReadOnly ? ", read-only" : "")"]
    }
  }

  /// What a toolstack says: the directory to the back-end, the tag to the guest, which can read it and not write it.
  private func publish(_ store: XenStoreClient) async throws {
    try await store.write("\(address.paths.backend)/\(NinePKeys.Backend.path.name)", path)
    try await store.write("\(address.paths.backend)/\(NinePKeys.Backend.securityModel.name)", "none")
    let tagPath = "\(address.paths.frontend)/\(NinePKeys.Frontend.tag.name)"
    try await store.write(tagPath, tag)
    try await store.setPermissions(tagPath, [XenStorePermission(.control, .none), XenStorePermission(address.domain, .read)])
  }
}
