import DriverCommands
import LinuxSystem

/// What a device has done since its back-end was started, in the same terms for every kind.
struct DeviceFigures: Equatable {
  struct Flow: Equatable {
    /// Requests or frames.
    var count: UInt64 = 0
    var bytes: UInt64 = 0
  }

  /// Reads of a disk, frames for the guest.
  var toGuest = Flow()
  /// Writes to a disk, frames of the guest.
  var fromGuest = Flow()
  /// Flushes and discards; all requests of a device that is neither disk nor interface.
  var other = Flow()
  /// What was not carried out, for whatever reason.
  var failed: UInt64 = 0
  /// Under way at this moment.
  var inFlight = 0
  /// When the back-end wrote the figures above, in seconds since 1970-01-01 UTC; nil when it has written none.
  var time: Double?
  /// Of its back-end's process, in nanoseconds; a switch's is that of all its interfaces. Nil when there is no process.
  var processorNanoseconds: UInt64?
}

extension DeviceFigures {
  init(_ report: DeviceReport) {
    self.init()
    if let disk = report.disk {
      toGuest = Flow(count: disk.reads, bytes: disk.read_bytes)
      fromGuest = Flow(count: disk.writes, bytes: disk.written_bytes)
      other = Flow(count: disk.flushes + disk.discards)
      failed = disk.failures + disk.refusals
      inFlight = disk.queues.reduce(0) { $0 + $1.in_flight }
    } else if let net = report.net {
      toGuest = Flow(count: net.received_frames, bytes: net.received_bytes)
      fromGuest = Flow(count: net.transmitted_frames, bytes: net.transmitted_bytes)
      failed = net.transmit_errors + net.transmit_drops + net.receive_drops.values.reduce(0, +)
      inFlight = net.queues.reduce(0) { $0 + $1.in_flight }
    } else if let driver = report.driver {
      other = Flow(count: driver.requests, bytes: driver.bytes)
      failed = driver.failures + driver.rejections
      inFlight = Int(clamping: driver.in_flight)
    }
    time = report.statusTime
    processorNanoseconds = report.backendProcess.flatMap { try? ProcessorTime.nanoseconds(of: $0) }
  }
}

/// What a device does in a second.
struct DeviceRates: Encodable, Equatable {
  struct Flow: Encodable, Equatable {
    var operations: Double
    var bytes: Double
  }

  var to_guest: Flow
  var from_guest: Flow
  var other: Flow
  var failed: Double
  /// One processor that is fully used is 100.
  var processor_percent: Double?

  /// All requests or frames.
  var operations: Double { to_guest.operations + from_guest.operations + other.operations }

  /// What was done between two looks.
  /// - Parameters:
  ///   - look: when `earlier` was looked at, in seconds since 1970-01-01 UTC.
  ///   - seconds: between the two looks.
  init(from earlier: DeviceFigures, at look: Double, to later: DeviceFigures, seconds: Double) {
    // A back-end writes its figures when they have changed, and some time after it. So what came since the earlier look came between two
    // writings, of which the first is as old as it likes when the device was idle then.
    let begin = max(earlier.time ?? 0, look - StatusFile.delaySeconds)
    let span = (later.time ?? 0) - begin
    // A back-end that was started anew counts from zero.
    func growth(_ earlier: UInt64, _ later: UInt64) -> Double { Double(later >= earlier ? later - earlier : later) }
    func rate(_ earlier: UInt64, _ later: UInt64) -> Double { span > 0 ? growth(earlier, later) / span : 0 }
    func rate(_ earlier: DeviceFigures.Flow, _ later: DeviceFigures.Flow) -> Flow {
      Flow(operations: rate(earlier.count, later.count), bytes: rate(earlier.bytes, later.bytes))
    }
    to_guest = rate(earlier.toGuest, later.toGuest)
    from_guest = rate(earlier.fromGuest, later.fromGuest)
    other = rate(earlier.other, later.other)
    failed = rate(earlier.failed, later.failed)
    if let before = earlier.processorNanoseconds, let now = later.processorNanoseconds { processor_percent = growth(before, now) / seconds / 1e7 }
  }
}
