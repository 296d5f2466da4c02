import ArgumentParser

/// What a new driver is carried over, as its protocol file spells it.
enum DriverTransportKind: String, CaseIterable, ExpressibleByArgument {
  case requestRing = "request-ring"
  case mailbox
  case eventRing = "event-ring"
  case byteStream = "byte-stream"
}
