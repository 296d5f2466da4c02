import Glibc
import LinuxSystem
import XenInterface

/// Starts both sides of a ring as processes of their own, so that nothing but the ring and two event counters connects them.
enum RingBenchmark {
  static func measure(_ ringCase: RingCase) throws -> Double {
    let memory = try MemoryFile.create(name: "pvio-bench-ring", byteCount: ringCase.byteCount)
    let toBack = try EventDescriptor.create()
    let toFront = try EventDescriptor.create()
    // The sides sleep in read(2), as the peer does.
    try toBack.setNonBlocking(false)
    try toFront.setNonBlocking(false)
    let descriptors = [memory.rawValue, toBack.rawValue, toFront.rawValue]
    let front = try start(.front, ringCase, descriptors)
    guard try front.readOutput() == "ready\n" else { throw BenchFailure("the front side of \(ringCase.name) did not start") }
    let back = try start(.back, ringCase, descriptors)

    var result: Double?
    if ringCase.figure == .idleProcessorTime {
      guard try front.readOutput() == "idle\n" else { throw BenchFailure("the front side of \(ringCase.name) failed") }
      result = try idleProcessorTime(of: front, back)
      EventDescriptor.signal(toFront)
      _ = try BenchProcess.allOutput(of: front)
    } else {
      result = BenchProcess.number(in: try BenchProcess.allOutput(of: front))
    }
    guard front.waitForExit() == .exited(0), back.waitForExit() == .exited(0), let result else { throw BenchFailure("\(ringCase.name) failed") }
    return result
  }

  private static func start(_ side: RingWorker.Side, _ ringCase: RingCase, _ descriptors: [Int32]) throws -> OwnedChildProcess {
    let program = "/proc/self/exe"
    return try OwnedChildProcess.start(
      program, arguments: ["bench", "ring-worker", side.rawValue, ringCase.name], descriptors: descriptors, capturingOutput: true)
  }

  /// Processor time of both sides during one second in which nothing is asked of the ring.
  private static func idleProcessorTime(of front: borrowing OwnedChildProcess, _ back: borrowing OwnedChildProcess) throws -> Double {
    usleep(100_000)
    let before = try runTime(front.processID) + runTime(back.processID)
    sleep(1)
    return Double(try runTime(front.processID) + runTime(back.processID) - before)
  }

  /// Nanoseconds that a process has run (`/proc/PID/schedstat`).
  private static func runTime(_ processID: Int32) throws -> UInt64 {
    guard let time = UInt64(try TextFile.read("/proc/\(processID)/schedstat").split(separator: " ").first ?? "") else {
      throw BenchFailure("/proc/\(processID)/schedstat has an unknown form")
    }
    return time
  }
}
