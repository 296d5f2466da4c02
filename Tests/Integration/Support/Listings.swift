import Foundation

/// What `pvio list --json` prints.
struct DeviceListing: Decodable {
  struct Device: Decodable, Equatable {
    var id: String
    var domid: Int
    var kind: String
    var device: String
    var frontend_state: Int
    var backend_state: Int
    var frontend_pid: Int32?
    var backend_pid: Int32?
    var bytes: UInt64?
    var read_only: Bool?

    /// Front-end first.
    var states: [Int] { [frontend_state, backend_state] }
  }
  var devices: [Device]
}

/// What `pvio status --json` prints.
struct StatusListing: Decodable {
  struct Device: Decodable {
    struct Backend: Decodable {
      struct Queue: Decodable {
        var entries: Int
        var requests: UInt64
        var fault: String?
      }
      var writes: UInt64
      var failures: UInt64
      var last_failure: String?
      var mapped_pages: Int
      var queues: [Queue]
    }
    var diagnosis: String
    var device: DeviceListing.Device
    var backend: Backend?
  }
  var devices: [Device]
}

/// What `pvio domain list --json` prints.
struct DomainListing: Decodable {
  struct Domain: Decodable {
    var domid: Int
    var connections: Int
    var arena_pages: Int
    var event_channels: Int

    /// No process acts as the domain, and nothing of one is left.
    var isUnused: Bool { connections == 0 && arena_pages == 0 && event_channels == 0 }
  }
  var domains: [Domain]
}

extension TestBed {
  func domains() async throws -> [DomainListing.Domain] {
    try JSONDecoder().decode(DomainListing.self, from: Data(try await pvio("domain", "list", "--json").utf8)).domains
  }

  func devices() async throws -> [DeviceListing.Device] {
    try JSONDecoder().decode(DeviceListing.self, from: Data(try await pvio("list", "--json").utf8)).devices
  }

  func device(_ id: String = "7-xvda") async throws -> DeviceListing.Device {
    let all = try await devices()
    guard let device = all.first(where: { $0.id == id }) else { throw TestFailure("\(id) is not listed: \(all.map(\.id))") }
    return device
  }

  func status(_ id: String = "7-xvda") async throws -> StatusListing.Device {
    let listing = try JSONDecoder().decode(StatusListing.self, from: Data(try await pvio("status", "--json", id).utf8))
    guard let status = listing.devices.first else { throw TestFailure("\(id) has no status") }
    return status
  }

  /// Waits until both ends of the device are in these states, and returns its listing.
  @discardableResult
  func waitForStates(_ frontend: Int, _ backend: Int, of id: String = "7-xvda") async throws -> DeviceListing.Device {
    var last: DeviceListing.Device?
    do {
      try await eventually("states \(frontend) and \(backend) of \(id)") {
        last = try await device(id)
        return last?.states == [frontend, backend]
      }
    } catch {
      throw TestFailure("\(error); they are \(last?.states ?? [])")
    }
    guard let last else { throw TestFailure("\(id) is not listed") }
    return last
  }
}
