/// What belongs to no connection (`GLOBAL_DATA`).
public struct MigrationGlobal: Hashable, Sendable {
  /// The socket that privileged clients connect to; -1 for none (`rw-socket-fd`).
  public var socket: Int32
  /// The file for event channels of a hypervisor; -1 for none (`evtchn-fd`).
  public var eventChannels: Int32

  public init(socket: Int32, eventChannels: Int32 = -1) {
    self.socket = socket
    self.eventChannels = eventChannels
  }

  public func append(to stream: inout MigrationStreamWriter) {
    stream.append(.global) { body in
      body.put(socket)
      body.put(eventChannels)
    }
  }

  public init(_ record: MigrationRecord) throws(MigrationFault) {
    var record = record
    socket = try record.integer("rw-socket-fd")
    eventChannels = try record.integer("evtchn-fd")
    try record.finish()
  }
}
