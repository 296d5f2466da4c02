import ArgumentParser
import DriverCommands
import LinuxSystem
import PVDriver

/// `pvio backend block`: serves a disk to one domain, or to a VMM, until it is detached or a signal comes.
struct BackendBlockCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "block", abstract: "Serve a disk image to a domain, or to a VMM.",
    discussion: """
      For a domain of a running daemon: --disk SPEC --domain DOMAIN.
      For a VMM, by vhost-user, without a daemon: --disk SPEC --socket-path PATH, or --fd N. Both may be repeated together.
      """)

  @OptionGroup var place: BackendOptions

  @Option(help: ArgumentHelp("What to serve ('help' lists the keys).", valueName: "spec"))
  var disk: [String] = []

  @Option(help: ArgumentHelp("On a Xen host: what the back-ends' directories are called (default: pvio-vbd; vbd is what xl makes).", valueName: "type"))
  var type: String?

  @Flag(help: "On a Xen host: serve every device whose back-end directory is of --type, instead of one.")
  var all = false

  @Option(help: ArgumentHelp("Where a VMM connects (vhost-user).", valueName: "path"))
  var socketPath: [String] = []

  @Option(help: ArgumentHelp("A descriptor of this process that a VMM is connected to (vhost-user).", valueName: "n"))
  var fd: Int32?

  @Option(help: ArgumentHelp("The same as --disk file=PATH, as VMMs' managers write it.", valueName: "path"))
  var blkFile: String?

  @Flag(help: "Refuse writes; with --blk-file.")
  var readOnly = false

  @Flag(help: "Print what this back-end can do, as JSON, and end.")
  var printCapabilities = false

  func validate() throws {
    if printCapabilities { return }
    if all {
      guard place.common.platform == .xen, disk.isEmpty, place.domain == nil else { throw ValidationError("--all goes with --platform xen, and without --disk and --domain") }
      return
    }
    guard (blkFile == nil) != disk.isEmpty else { throw ValidationError("expected --disk, or --blk-file") }
    if readOnly, blkFile == nil { throw ValidationError("--read-only goes with --blk-file; a --disk has readonly=on") }
    let isForVMM = !socketPath.isEmpty || fd != nil
    guard isForVMM != (place.domain != nil) else { throw ValidationError("expected the --domain to serve, or for a VMM --socket-path or --fd") }
    let sockets = socketPath.count + (fd == nil ? 0 : 1)
    let disks = disk.count + (blkFile == nil ? 0 : 1)
    if isForVMM, sockets != disks { throw ValidationError("there are \(disks) disks and \(sockets) sockets: each disk needs one") }
    if place.domain != nil, disks != 1 { throw ValidationError("one --disk goes with --domain") }
  }

  func run() async throws {
    if printCapabilities { return try printJSON(BackendCapabilities.block) }
    if all { return try await BackendFleet.run(.disk, type: type, place.common) }
    let specs = try disk.map { try DiskSpec.parse($0) } + (blkFile.map { [try DiskSpec.parse("file=\($0)\(readOnly ? ",readonly=on" : "")")] } ?? [])
    if place.domain != nil { return try await serve(specs[0]) }
    let sockets = socketPath.map { VMMSocket.path($0) } + (fd.map { [VMMSocket.connected(SharedDescriptor(owning: $0))] } ?? [])
    try await StandaloneVhostUser(
      devices: zip(specs, sockets).map { (.disk($0), $1) }, logger: place.common.logger("pvio.backend"), processor: place.processor
    ).run()
  }

  private func serve(_ spec: DiskSpec) async throws {
    try await place.serve(DeviceSpec.disk(spec), type: type) { address, platform, store, logger in
      let (directory, processor) = (place.common.runDirectory, place.processor)
      if spec.export == .vhostUser {
        return try await VhostUserDiskService(address: address, spec: spec, directory: directory, logger: logger, processor: processor)
          .run(store: store)
      }
      return try await DiskService(address: address, spec: spec, directory: directory, logger: logger, processor: processor)
        .run(platform: platform, store: store, isStopped: .bySignal())
    }
  }
}
