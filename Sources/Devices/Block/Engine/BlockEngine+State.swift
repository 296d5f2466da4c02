import SharedMemory
import Uring

// The engine's state by name.
extension BlockEngine {
  /// Who gets the completions: the transport that is connected now.
  public var client: BlockEngineClient? {
    get { state.value.client }
    set { state.value.client = newValue }
  }
  public internal(set) var statistics: BlockStatistics {
    @inline(__always) _read { yield state.value.statistics }
    @inline(__always) _modify { yield &state.value.statistics }
  }
  var pool: RequestPool {
    @inline(__always) _read { yield state.value.pool }
    @inline(__always) _modify { yield &state.value.pool }
  }
  var runningCount: Int {
    @inline(__always) _read { yield state.value.runningCount }
    @inline(__always) _modify { yield &state.value.runningCount }
  }
  var held: RequestQueue {
    @inline(__always) _read { yield state.value.held }
    @inline(__always) _modify { yield &state.value.held }
  }
  var stalled: RequestQueue {
    @inline(__always) _read { yield state.value.stalled }
    @inline(__always) _modify { yield &state.value.stalled }
  }
  var barrierIsRunning: Bool {
    @inline(__always) _read { yield state.value.barrierIsRunning }
    @inline(__always) _modify { yield &state.value.barrierIsRunning }
  }
  var isReleasingHeld: Bool {
    @inline(__always) _read { yield state.value.isReleasingHeld }
    @inline(__always) _modify { yield &state.value.isReleasingHeld }
  }
  var file: UringFile {
    @inline(__always) _read { yield state.value.file }
    @inline(__always) _modify { yield &state.value.file }
  }
  var registration: BufferRegistration {
    @inline(__always) _read { yield state.value.registration }
    @inline(__always) _modify { yield &state.value.registration }
  }
}
