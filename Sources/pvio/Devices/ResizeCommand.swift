import ArgumentParser
import DriverCommands
import Glibc
import LinuxSystem
import PVDriver
import SystemPackage
import XenInterface
import XenStoreClient
import Xenbus

/// `pvio resize`: tells a connected front-end of a disk's new size.
struct ResizeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "resize", abstract: "Give a disk another size while it is in use.",
    discussion: "Without SIZE, the size that its file or device has now is taken over. A file is grown to SIZE first.")

  @OptionGroup var common: CommonOptions
  @Flag(help: "Allow SIZE to be smaller: what lies behind it is lost.") var shrink = false
  @Argument(help: "The domain, by number or name.") var domain: String
  @Argument(help: "The device: xvda, 51712 or its id.") var device: String
  @Argument(help: "The new size, such as 2G.") var size: String?

  func run() async throws {
    let wanted = try size.map { text in
      guard let count = ByteCount(text), count.value.isMultiple(of: 512) else {
        throw CommandFailure.usage("resize: '\(text)' is no size; expected a multiple of 512 bytes such as 512M or 2G")
      }
      return count.value
    }
    let host = try Host.connect(common)
    let store = host.store
    defer { store.close() }
    let address = try await DeviceAddress.find(device, .disk, in: try await host.domain(named: domain), store)
    let parameters = try await store.readIfPresent("\(address.paths.backend)/params") ?? ""
    let isFile = !parameters.hasPrefix("ram:") && !parameters.hasPrefix("null:")
    if parameters.hasPrefix("script:") { throw CommandFailure("a disk that a script serves keeps its size until it is attached anew") }
    if let wanted, isFile { try grow(parameters, to: wanted) }
    let wish = isFile ? DiskResizing.asTheFileIs : wanted.map { String($0) }
    guard let wish else { throw CommandFailure.usage("resize: a disk that is no file needs a SIZE") }
    try await ask(wish, of: address, store)
    let status = readJSON(DiskStatus.self, from: common.runDirectory.device(address.id).backendStatus)
    let sectors = try await store.readIfPresent("\(address.paths.backend)/sectors").flatMap { UInt64($0) }
    let bytes = sectors.map { $0 * 512 } ?? status?.bytes ?? 0
    print("\(address.device) of domain \(address.domain) is \(ByteCount(bytes).text) (\(bytes) bytes) now")
  }

  private func grow(_ path: String, to byteCount: UInt64) throws {
    let current: UInt64?
    do { current = try RegularFile.byteCount(path) } catch { throw CommandFailure("cannot look at \(path): \(error)") }
    guard let current else {
      throw CommandFailure("\(path) is no regular file: resize it with its own tools, then run this without SIZE")
    }
    if byteCount < current, !shrink {
      throw CommandFailure("\(path) has \(current) bytes: a smaller SIZE loses what lies behind it; add --shrink to do that")
    }
    // SAFETY: the path is a terminated string for the length of the call.
    guard unsafe truncate(path, off_t(byteCount)) == 0 else { throw CommandFailure("cannot resize \(path): \(Errno(rawValue: errno))") }
  }

  private func ask(_ wish: String, of address: DeviceAddress, _ store: XenStoreClient) async throws {
    let path = "\(address.paths.backend)/\(DiskResizing.wishKey)"
    try await store.write(path, wish)
    for _ in 0..<1000 {
      guard let answer = try await store.readIfPresent(path) else { return }
      if answer.hasPrefix(DiskResizing.failurePrefix) {
        try await store.remove(path)
        throw CommandFailure("\(address.device) of domain \(address.domain): \(answer.dropFirst(DiskResizing.failurePrefix.count))")
      }
      try await Task.sleep(for: .milliseconds(10))
    }
    try await store.remove(path)
    throw CommandFailure("the back-end of \(address.device) did not answer within 10 s; is it alive? See 'pvio status'")
  }
}
