import ArgumentParser
import DriverCommands
import Foundation
import LinuxSystem
import SystemPackage

/// `pvio new-driver`: the files of a driver that works, with its tests, ready to be changed.
struct NewDriverCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "new-driver", abstract: "Write a new driver, build it and run its tests.",
    discussion: """
      In pvio's sources: pvio new-driver NAME. In a package of your own: pvio new-driver NAME --package DIR; a folder that is not there becomes
      a package that depends on pvio. docs/adding-a-driver.md goes on from there.
      """)

  @Argument(help: "Lower-case letters, digits and '_': entropy.") var name: String
  @Option(help: "What carries it.") var transport = DriverTransportKind.requestRing
  @Option(help: "pvio's sources.") var root = "."
  @Option(help: ArgumentHelp("A package of your own to put it in, which may be a new one.", valueName: "dir")) var package: String?
  @Option(help: ArgumentHelp("Where a new package gets pvio from: a path or a URL (default: --root).", valueName: "place")) var origin: String?
  @Flag(help: "Write the files only.") var filesOnly = false

  func run() async throws {
    guard let driver = DriverName(name) else {
      throw CommandFailure.usage("new-driver '\(name)': expected lower-case letters, digits and '_', a letter first, at most 32")
    }
    let sources = URL(fileURLWithPath: root, isDirectory: true).standardizedFileURL
    let target = package.map { URL(fileURLWithPath: $0, isDirectory: true).standardizedFileURL } ?? sources
    let isNewPackage = package != nil && !FileManager.default.fileExists(atPath: target.appendingPathComponent("Package.swift").path)
    if isNewPackage {
      let template = DriverPackageTemplate(name: target.lastPathComponent, origin: origin ?? sources.path)
      try DriverFolder.write(template.files, to: target)
    }
    let folder = try DriverFolder(target.path)
    guard !folder.exists("Protocols/\(driver.name)") else { throw CommandFailure("there is a protocol called \(driver.name) already") }
    try DriverFolder.write(DriverTemplate(name: driver, transport: transport).files, to: target)
    try folder.register(driver)
    try generate(in: target, sources)
    if filesOnly { return }
    // The tests alone: commands that have not changed but for a line need not be linked again before the first of them passes.
    try run("swift", ["build", "--package-path", target.path] + (folder.packageName.map { ["--product", "\($0)PackageTests"] } ?? ["--build-tests"]))
    try run("swift", ["test", "--package-path", target.path, "--skip-build", "--disable-xctest", "--filter", "\(driver.prefix)Tests"])
    print("\(driver.name) works: change Protocols/\(driver.name)/protocol.yaml and Sources/Devices/\(driver.prefix), then 'pvgen generate' and 'swift build'")
  }

  /// Writes what follows from the protocol files, by the generator that belongs to this command: built beside it, or from pvio's sources.
  private func generate(in target: URL, _ sources: URL) throws {
    let beside = URL(fileURLWithPath: ChildProcess.ownExecutable).resolvingSymlinksInPath().deletingLastPathComponent().appendingPathComponent("pvgen").path
    if FileManager.default.isExecutableFile(atPath: beside) { return try run(beside, ["generate", "--root", target.path]) }
    try run("swift", ["run", "--package-path", sources.path, "pvgen", "generate", "--root", target.path])
  }

  private func run(_ program: String, _ arguments: [String]) throws {
    let child: ChildProcess
    do throws(Errno) {
      child = try ChildProcess.spawn("/usr/bin/env", [program] + arguments)
    } catch {
      throw CommandFailure("cannot run \(program): \(error)")
    }
    let ending = child.wait()
    guard ending == .exited(0) else { throw CommandFailure("\(program) \(arguments.joined(separator: " ")): \(ending)") }
  }
}
