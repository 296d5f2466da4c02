import Foundation
import Testing
import XenInterface
import XenStoreClient
import XenStoreWire

/// The Swift code of the pages about the store: here it is compiled and run, and the pages must have it word for word.
struct DocumentationExamples {
  func powerState(socket: String) async throws -> String {
    let store = try XenStoreClient(path: socket)
    defer { store.close() }
    try await store.write("/demo/state", "4")
    return try await store.read("/demo/state")
  }

  func sectorCount(of device: XenStorePath, _ store: XenStoreClient) async throws -> UInt64 {
    try await store.read(BlkifKeys.Backend.sectorCount, in: device)
  }

  func waitUntilConnected(_ device: String, _ store: XenStoreClient) async throws {
    for await _ in try await store.watch("\(device)/state") {
      if try await store.readIfPresent("\(device)/state") == "4" { return }
    }
    throw XenStoreClientError.connectionLost
  }

  func copyKeys(_ keys: [String], from source: String, to target: String, _ store: XenStoreClient) async throws {
    var reads = XenStoreBatch()
    let values = keys.map { reads.readBytes("\(source)/\($0)") }
    let replies = await store.perform(reads)
    var writes = XenStoreBatch()
    for (key, value) in zip(keys, values) { writes.write("\(target)/\(key)", bytes: try replies[value]) }
    try await store.perform(writes).check()
  }

  func increment(_ counter: String, _ store: XenStoreClient) async throws -> Int {
    try await store.withTransaction { transaction throws(XenStoreClientError) in
      let next = (Int(try await transaction.readIfPresent(counter) ?? "") ?? 0) + 1
      try await transaction.write(counter, "\(next)")
      return next
    }
  }

  func patientClient(socket: String) throws -> XenStoreClient {
    try XenStoreClient(
      path: socket,
      configuration: XenStoreClient.Configuration(reconnect: .backOff(limit: .seconds(60)), requestTimeLimit: .seconds(5)))
  }
}

@Suite(.timeLimit(.minutes(5))) struct DocumentationTests {
  private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "../..").standardized

  @Test(arguments: ["Sources/XenStoreClient/XenStoreClient.docc/XenStoreClient.md", "docs/store.md"])
  func theCodeOfThePagesIsCompiled(page: String) throws {
    let source = try String(contentsOf: URL(fileURLWithPath: #filePath), encoding: .utf8)
    let text = try String(contentsOf: Self.root.appending(path: page), encoding: .utf8)
    let blocks = text.components(separatedBy: "```swift\n").dropFirst().compactMap { $0.components(separatedBy: "```").first }
    #expect(!blocks.isEmpty)
    for block in blocks {
      let code = block.split(separator: "\n", omittingEmptySubsequences: false).map { $0.isEmpty ? "" : "  \($0)" }.joined(separator: "\n")
      #expect(source.contains(code), "\(page) has code that is not compiled:\n\(block)")
    }
  }

  @Test func theExamplesDoWhatThePageSays() async throws {
    try await withDaemon { daemon in
      let path = daemon.privilegedPath
      let examples = DocumentationExamples()
      #expect(try await examples.powerState(socket: path) == "4")
      let store = try examples.patientClient(socket: path)
      let device = try XenStorePath("/local/domain/0/backend/vbd/5/51712")
      try await store.write(BlkifKeys.Backend.sectorCount, 2048, in: device)
      #expect(try await examples.sectorCount(of: device, store) == 2048)
      try await examples.copyKeys(["sectors"], from: device.text, to: "/copy", store)
      #expect(try await store.directory("/copy") == ["sectors"])
      #expect(try await examples.increment("/counter", store) == 1)
      #expect(try await examples.increment("/counter", store) == 2)
      async let connected: Void = examples.waitUntilConnected(device.text, store)
      for state in ["1", "2", "3", "4"] { try await store.write("\(device)/state", state) }
      try await connected
    }
  }
}
