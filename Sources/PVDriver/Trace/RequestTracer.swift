import EventLoop
public import SharedMemory

/// What a driver's ring half tells of its requests while somebody traces the device. Loop thread only.
///
/// ```swift
/// tracer.refresh()                                          // once a turn
/// if tracer.isOn { tracer.begin(row, queue: 0, operation: 1, byteCount: 4096, position: 0) }
/// if tracer.isOn { tracer.mark(.submit, row) }
/// if tracer.isOn { tracer.end(row, status: 0) }
/// if tracer.isOn { tracer.published(queue: 0, isSignalled: true) }
/// ```
/// While nobody traces, each of these is a look at one private word, and a turn looks at one shared word.
public final class RequestTracer {
  struct Row {
    var isBegun = false
    var record = TraceRecord()
  }

  @usableFromInline struct State {
    @usableFromInline var isOn = false
    var rows: [Row] = []
    /// Records whose responses the peer has not been shown.
    var pending: [TraceRecord] = []
    /// By queue: events seen, and when the last one was noticed.
    var events: [(count: UInt64, noticed: UInt64)] = []
    var number: UInt32 = 0
  }

  @usableFromInline let file: SharedBytes?
  @usableFromInline let state = FixedCell(State())
  private let rowCount: Int
  private let queueCount: Int
  /// How many of a request's own fields are told.
  public let fieldCount: Int
  private let clock = LoopClock()

  /// - Parameters:
  ///   - file: nil: the device cannot be traced.
  ///   - rowCount: requests under way at most.
  ///   - fieldCount: of a request's own fields, for ``setField(_:_:_:)``; those beyond ``TraceRecord/fieldCapacity`` are not told.
  public init(_ file: TraceFile?, rowCount: Int, queueCount: Int, fieldCount: Int = 0) {
    self.fieldCount = min(fieldCount, TraceRecord.fieldCapacity)
    self.file = file?.bytes
    self.rowCount = rowCount
    self.queueCount = queueCount
  }

  /// Whether somebody traces the device, as of the last ``refresh()``.
  @inlinable @inline(__always) public var isOn: Bool { state.value.isOn }

  /// Looks whether somebody does. Once a turn.
  @inlinable @inline(__always) public func refresh() {
    guard let file else { return }
    // `TraceFile.Header.until`
    if file.load64(at: 16) != 0 || state.value.isOn { change() }
  }

  @usableFromInline @inline(never) func change() {
    guard let file else { return }
    let until = file.load64(at: TraceFile.Header.until)
    let isWanted = clock.nowNanoseconds < until
    // Nobody has asked for more: a tracer that was killed costs nothing after that.
    if !isWanted, until != 0 { file.store64(0, at: TraceFile.Header.until) }
    guard isWanted != state.value.isOn else { return }
    // Requests that began before are not half told.
    state.value.rows = isWanted ? [Row](repeating: Row(), count: rowCount) : []
    state.value.events = isWanted ? [(count: UInt64, noticed: UInt64)](repeating: (.max, 0), count: queueCount) : []
    state.value.pending = []
    state.value.number = file.load32(at: TraceFile.Header.written)
    state.value.isOn = isWanted
  }

  /// How many events a queue has had: one more than before has just been noticed.
  @inline(never) public func noticed(events count: UInt64, queue: Int) {
    guard queue < state.value.events.count, state.value.events[queue].count != count else { return }
    let isFirst = state.value.events[queue].count == .max
    state.value.events[queue] = (count, isFirst ? 0 : clock.nowNanoseconds)
  }

  /// A request was taken off the ring.
  @inline(never) public func begin(_ row: Int, queue: Int, operation: Int, byteCount: UInt64, position: UInt64) {
    guard row < state.value.rows.count else { return }
    var record = TraceRecord()
    record.queue = queue
    record.operation = operation
    record.byteCount = byteCount
    record.position = position
    record.times[TraceStep.ring.rawValue] = clock.nowNanoseconds
    if queue < state.value.events.count {
      record.times[TraceStep.event.rawValue] = state.value.events[queue].noticed
      // The next one was found by looking, unless another event comes.
      state.value.events[queue].noticed = 0
    }
    state.value.rows[row] = Row(isBegun: true, record: record)
  }

  /// What one of a request's own fields is. After ``begin(_:queue:operation:byteCount:position:)``.
  @inline(never) public func setField(_ index: Int, _ value: UInt64, _ row: Int) {
    guard row < state.value.rows.count, state.value.rows[row].isBegun, index < TraceRecord.fieldCapacity else { return }
    state.value.rows[row].record.fields[index] = value
  }

  /// A request has come to a step.
  @inline(never) public func mark(_ step: TraceStep, _ row: Int) {
    guard row < state.value.rows.count, state.value.rows[row].isBegun else { return }
    state.value.rows[row].record.times[step.rawValue] = clock.nowNanoseconds
  }

  /// Its response was put.
  @inline(never) public func end(_ row: Int, status: Int) {
    guard row < state.value.rows.count, state.value.rows[row].isBegun else { return }
    state.value.rows[row].isBegun = false
    var record = state.value.rows[row].record
    record.status = status
    record.times[TraceStep.response.rawValue] = clock.nowNanoseconds
    state.value.pending.append(record)
    // More than the file holds would be lost anyway.
    if state.value.pending.count > TraceFile.recordCount { state.value.pending.removeFirst() }
  }

  /// The peer was shown the responses of a queue, and called or not.
  @inline(never) public func published(queue: Int, isSignalled: Bool) {
    let now = isSignalled ? clock.nowNanoseconds : 0
    for index in state.value.pending.indices where state.value.pending[index].queue == queue {
      state.value.pending[index].times[TraceStep.signal.rawValue] = now
      write(state.value.pending[index])
    }
    state.value.pending.removeAll { $0.queue == queue }
  }

  private func write(_ record: TraceRecord) {
    guard let file else { return }
    state.value.number &+= 1
    if state.value.number == 0 { state.value.number = 1 }
    let slot = file.slice(at: TraceFile.recordOffset(state.value.number), byteCount: TraceFile.recordByteCount)
    // A reader that finds another number afterwards than before throws away what it has copied.
    slot.storeAndFence32(0, at: TraceFile.Record.number)
    slot.store16(UInt16(truncatingIfNeeded: record.queue), at: TraceFile.Record.queue)
    slot.store8(UInt8(truncatingIfNeeded: record.operation), at: TraceFile.Record.operation)
    slot.store8(UInt8(truncatingIfNeeded: record.status), at: TraceFile.Record.status)
    slot.store64(record.byteCount, at: TraceFile.Record.byteCount)
    slot.store64(record.position, at: TraceFile.Record.position)
    for step in TraceStep.allCases { slot.store64(record.times[step.rawValue], at: TraceFile.Record.times + step.rawValue * 8) }
    for index in 0..<fieldCount { slot.store64(record.fields[index], at: TraceFile.Record.fields + index * 8) }
    // Pairs with the acquire in TraceReader.read: all of the record is visible with its number.
    slot.storeRelease32(state.value.number, at: TraceFile.Record.number)
    file.storeRelease32(state.value.number, at: TraceFile.Header.written)
  }
}
