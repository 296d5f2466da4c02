import ArgumentParser
import Glibc
import LinuxSystem
import SharedMemory
import SharedRing
import XenInterface

/// One side of the ring benchmark, in a process of its own. Started by ``RingBenchmark``, not by people.
struct RingWorker: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "ring-worker", shouldDisplay: false)

  enum Side: String, ExpressibleByArgument { case front, back }

  @Argument var side: Side
  @Argument var caseName: String

  func run() throws {
    guard let ringCase = RingCase.all.first(where: { $0.name == caseName }) else { throw ValidationError("no case \(caseName)") }
    OwnedChildProcess.endWithParent()
    let first = OwnedChildProcess.firstPassedDescriptor
    let file = OwnedDescriptor(owning: first)
    let memory = try SharedRegion(mapping: file, byteCount: ringCase.byteCount, access: .readWrite).bytes
    let toBack = OwnedDescriptor(owning: first + 1)
    let toFront = OwnedDescriptor(owning: first + 2)
    switch side {
    case .front:
      try ThreadPlacement.pin(toProcessor: 0)
      var front = RingLoadFront(memory: memory, outgoing: toBack, incoming: toFront, policy: ringCase.policy)
      print("ready")
      fflush(nil)
      try front.waitForBack()
      switch ringCase.figure {
      case .requestsPerSecond: print(try front.requestsPerSecond(count: ringCase.count, depth: ringCase.depth))
      case .medianRoundTrip: print(try front.medianRoundTripNanoseconds(count: ringCase.count))
      case .idleProcessorTime:
        _ = try front.medianRoundTripNanoseconds(count: ringCase.count)
        print("idle")
        fflush(nil)
        try front.waitOnce()
      }
      try front.finish()
    case .back:
      try ThreadPlacement.pin(toProcessor: 1)
      var back = try RingLoadBack(memory: memory, outgoing: toFront, incoming: toBack, policy: ringCase.policy)
      try back.serve()
    }
  }
}
