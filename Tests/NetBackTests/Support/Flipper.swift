import LinuxSystem
import Logging
import SharedMemory
import Synchronization
import TestSupport

/// Rewrites what a back-end reads, as fast as it can: slots of a transmit ring, and headers in a page.
final class Flipper: Sendable {
  private let stopping = Atomic<Bool>(false)
  private let ended = Atomic<Bool>(false)

  init(ring: SharedBytes, pages: SharedBytes) throws {
    try SystemThread.start(name: "flipper") { [self] in
      var random = SeededGenerator(seed: 9)
      while !stopping.load(ordering: .relaxed) {
        let entry = 64 + Int.random(in: 0..<256, using: &random) * 12
        switch Int.random(in: 0..<4, using: &random) {
        case 0: ring.store16(UInt16.random(in: 0...300, using: &random), at: entry + 10)
        case 1: ring.store16(UInt16.random(in: 0...300, using: &random), at: entry + 4)
        case 2: pages.store8(UInt8.random(in: 0...255, using: &random), at: Int.random(in: 12..<60, using: &random))
        default: pages.store8([4, 0x45, 0x4f, 6, 17, 0].randomElement(using: &random) ?? 0, at: Int.random(in: 12..<60, using: &random))
        }
      }
      ended.store(true, ordering: .releasing)
    }
  }

  func stop() {
    stopping.store(true, ordering: .relaxed)
    while !ended.load(ordering: .acquiring) { spinPause() }
  }
}

/// Counts log lines.
final class CountingLog: Sendable {
  private let lines = Atomic<Int>(0)
  var count: Int { lines.load(ordering: .relaxed) }
  var handler: any LogHandler { Handler(log: self) }

  private struct Handler: LogHandler {
    let log: CountingLog
    var logLevel = Logger.Level.trace
    var metadata: Logger.Metadata = [:]
    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }
    func log(event: LogEvent) { log.lines.add(1, ordering: .relaxed) }
  }
}
