import BlockFront
import BlockTestSupport
import EventLoop
import Foundation
import NBDExport
import XenInterface

/// A device in memory, exported on a socket of its own.
struct ExportedDevice {
  let pair: DevicePair
  let backend: LoopConfined<MemoryBackend>
  let server: NBDServer
  let directory: URL
  var uri: String { "nbd+unix:///?socket=\(server.socketPath)" }
  var socketPath: String { server.socketPath }

  static func start(
    _ geometry: BlockFrontGeometry, misbehaviour: MemoryBackend.Misbehaviour = .none, export: NBDExportConfiguration = NBDExportConfiguration(),
    indirectSegments: Int = 256
  ) async throws -> ExportedDevice {
    let directory = FileManager.default.temporaryDirectory.appending(path: "pvio-nbd-\(UUID().uuidString.prefix(8))")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    var configuration = BlockFrontConfiguration()
    configuration.reconnectTimeoutNanoseconds = 5_000_000_000
    let pair = try DevicePair(configuration: configuration)
    let backend = try await pair.connect(geometry, shape: shape(indirectSegments), misbehaviour: misbehaviour)
    let server = try await NBDServer.start(pair.frontend, socketPath: directory.appending(path: "nbd.sock").path, configuration: export)
    return ExportedDevice(pair: pair, backend: backend, server: server, directory: directory)
  }

  static func shape(_ indirectSegments: Int = 256) -> BlockFrontConnection.Shape {
    BlockFrontConnection.Shape(
      queueCount: 2, ringPageOrder: 2, maximumIndirectSegments: indirectSegments, isPersistent: true, dataPageCount: 8192)
  }

  /// What the device holds now.
  func contents() async -> [UInt8] { await pair.thread.loop.run { [backend] in backend.value.bytes } }

  /// Ends everything. Returns how many arenas are left, which is none.
  func stop() async -> Int {
    await server.stop()
    await pair.kill(backend)
    _ = await pair.disconnect()
    await pair.close()
    try? FileManager.default.removeItem(at: directory)
    return pair.hypervisor.ledger.arenas
  }
}

/// Programs that nobody here wrote.
enum Client {
  static func find(_ name: String) -> String? {
    ["/usr/bin/", "/bin/", "/usr/sbin/", "/usr/local/bin/"].map { $0 + name }.first { FileManager.default.isExecutableFile(atPath: $0) }
  }

  static func has(_ names: String...) -> Bool { names.allSatisfy { find($0) != nil } }

  /// Runs a program to its end. Its output is the test's evidence when it fails.
  static func run(_ name: String, _ arguments: [String]) async throws -> (status: Int32, output: String, errors: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: find(name) ?? name)
    process.arguments = arguments
    let (output, errors) = (Pipe(), Pipe())
    process.standardOutput = output
    process.standardError = errors
    return try await withCheckedThrowingContinuation { continuation in
      let queue = DispatchQueue(label: name)
      queue.async {
        do {
          try process.run()
          let reader = DispatchQueue(label: name + ".errors")
          nonisolated(unsafe) var errorText = Data()
          let done = DispatchSemaphore(value: 0)
          reader.async {
            unsafe errorText = errors.fileHandleForReading.readDataToEndOfFile()
            done.signal()
          }
          let text = output.fileHandleForReading.readDataToEndOfFile()
          done.wait()
          process.waitUntilExit()
          continuation.resume(
            returning: (
              process.terminationStatus, String(decoding: text, as: UTF8.self), String(decoding: unsafe errorText, as: UTF8.self)
            ))
        } catch {
          continuation.resume(throwing: error)
        }
      }
    }
  }
}
