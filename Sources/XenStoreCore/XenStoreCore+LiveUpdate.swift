import XenStoreWire

extension XenStoreCore {
  /// What `help` says of the command.
  static let liveUpdateCommand = (name: "live-update", parameters: "[-f <binary>|-c <cmdline>|-s [-t <seconds>] [-F]|-a]")

  /// CONTROL `live-update`: the daemon answers, or says that the answer comes later, perhaps from the next daemon.
  func controlLiveUpdate(_ arguments: [String], _ request: StoreRequest, _ run: ([String]) -> String?) -> ControlReply {
    guard let reply = run(arguments) else {
      var packet = request.packet
      packet.payload = []
      request.connection.postponed = packet
      return .acknowledgement
    }
    return ControlReply(reply)
  }

  /// Answers the requests that the daemon postponed, with the same text; the requests behind them go on.
  public func answerPostponed(_ text: String) {
    for connection in connections.elements {
      guard var packet = connection.postponed else { continue }
      connection.postponed = nil
      packet.payload = ControlReply(text).payload
      send(reply: packet, to: connection)
      handleWaitingPackets(of: connection)
    }
  }

  /// Whether a request waits for ``answerPostponed(_:)``.
  public var hasPostponedRequest: Bool { connections.elements.contains { $0.postponed != nil } }
}
