import DriverCommands

/// What a status file says of the events between both ends: of one queue, or of a whole device.
protocol EventStatus {
  var events: UInt64 { get }
  var spurious_events: UInt64 { get }
  var signals: UInt64 { get }
  /// What broke the connection.
  var fault: String? { get }
}

extension DiskStatus.Queue: EventStatus {}
extension NetStatus.Queue: EventStatus {}
extension DriverStatus: EventStatus {}
