/// The steps of a request from its front-end to its back-end and back, in this order. A back-end sees all but the first and the last.
public enum TraceStep: Int, Sendable, CaseIterable {
  /// The front-end grants the pages.
  case grant
  /// The request is taken off its ring.
  case ring
  /// The event that brought it is noticed; zero for one that was found by looking.
  case event
  /// Its pages are mapped.
  case map
  /// It is given to what does it.
  case submit
  /// That has done it.
  case complete
  /// Its pages are given back.
  case unmap
  /// Its response is put.
  case response
  /// The peer is called; zero when it did not want that.
  case signal
  /// The front-end has taken the response.
  case done

  /// As people read it.
  public var name: String { self == .signal ? "event" : "\(self)" }
}

/// One request as its back-end saw it.
public struct TraceRecord: Sendable, Equatable {
  /// Counted from 1; what is missing between two was lost.
  public var number: UInt32 = 0
  public var queue = 0
  /// What was asked for, as the driver numbers it; see ``TraceReader/operationName(_:)``.
  public var operation = 0
  /// What it was answered with; zero: done.
  public var status = 0
  public var byteCount: UInt64 = 0
  /// Where on the device, in bytes.
  public var position: UInt64 = 0
  /// By step, in nanoseconds of the machine's monotonic clock; zero for a step that there was not.
  var times = InlineArray<10, UInt64>(repeating: 0)

  /// The driver's own fields, their bits extended to 64, in the order of ``TraceReader/fields``.
  var fields = InlineArray<8, UInt64>(repeating: 0)

  /// Most fields of its own that a request is told with.
  public static var fieldCapacity: Int { 8 }

  /// One of the driver's own fields.
  public func value(at index: Int) -> UInt64 { fields[index] }

  /// Nanoseconds at which a step was; nil for one that there was not.
  public subscript(step: TraceStep) -> UInt64? { times[step.rawValue] == 0 ? nil : times[step.rawValue] }

  /// From the ring to the response.
  public var nanoseconds: UInt64 { (self[.response] ?? 0) &- (self[.ring] ?? 0) }

  public static func == (left: TraceRecord, right: TraceRecord) -> Bool {
    left.number == right.number && left.queue == right.queue && left.operation == right.operation && left.status == right.status
      && left.byteCount == right.byteCount && left.position == right.position && TraceStep.allCases.allSatisfy { left[$0] == right[$0] }
      && (0..<fieldCapacity).allSatisfy { left.fields[$0] == right.fields[$0] }
  }
}

/// A field of a driver's requests that a trace shows.
public struct TraceField: Sendable, Equatable {
  public var name: String
  /// Its 64 bits are a signed number.
  public var isSigned: Bool

  public init(_ name: String, isSigned: Bool = false) {
    self.name = name
    self.isSigned = isSigned
  }

  /// `bits` as people read them.
  public func text(_ bits: UInt64) -> String { isSigned ? "\(Int64(bitPattern: bits))" : "\(bits)" }
}
