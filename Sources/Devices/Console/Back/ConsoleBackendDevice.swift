import ConsoleInterface
public import PVDriver
public import SharedMemory
public import SharedRing
import XenInterface
public import XenPlatform
public import Xenbus

/// A console as its back-end has it: one page, one stream.
public struct ConsoleBackendDevice: ByteStreamBackendDevice {
  /// Where people attach, for the back-end's directory.
  private let terminalPath: String
  private let process: Int32

  /// Key of ours: the process that keeps the terminal open. A path without it may be somebody else's terminal by now.
  public static let processKey = "pvio-tty-process"

  /// - Parameter process: the process that keeps the terminal open.
  public init(terminalPath: String, process: Int32) {
    self.terminalPath = terminalPath
    self.process = process
  }

  public var streamCount: Int { 1 }

  public var advertisement: [String: String] {
    [ConsoleKeys.Backend.tty.name: ConsoleKeys.Backend.tty.format(terminalPath), Self.processKey: "\(process)"]
  }

  public func streams(of frontend: XenbusDirectory) throws -> [PublishedByteStream] {
    // Linux (hvc_xen) writes `event-channel`; the keys of a domain's first console, and older front-ends, have `port`.
    let channel = try frontend.valueIfPresent(ConsoleKeys.Frontend.eventChannel)
    return [
      PublishedByteStream(
        reference: try frontend.value(ConsoleKeys.Frontend.ringReference),
        port: try channel ?? frontend.value(frontend.contains(ConsoleKeys.Frontend.port) ? ConsoleKeys.Frontend.port : ConsoleKeys.Frontend.eventChannel))
    ]
  }

  public func attach(
    page: SharedBytes, memory: MappedStreamMemory, grants: ForeignGrants, stream: Int
  ) throws(ByteStreamConnectError) -> ByteStreamPair { ConsolePage(page).back }
}
