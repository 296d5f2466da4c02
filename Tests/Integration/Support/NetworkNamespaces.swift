import Foundation
import Glibc
import LinuxSystem
import Testing

/// Network namespaces of a test: the hosts and guests whose programs use the interfaces. Removed with everything in them.
final class NetworkNamespaces {
  let bed: TestBed
  private(set) var names: [String] = []

  /// Whether this machine lets us: as root, with TAP interfaces.
  static let areAvailable: Bool = {
    guard geteuid() == 0, Program.arePresent("ip"), FileManager.default.fileExists(atPath: "/dev/net/tun") else { return false }
    let name = "pvio-probe-\(getpid())"
    guard (try? ChildProcess.spawn("ip", ["netns", "add", name]))?.wait() == .exited(0) else { return false }
    let made = (try? ChildProcess.spawn("ip", ["-n", name, "tuntap", "add", "dev", "probe", "mode", "tap"]))?.wait() == .exited(0)
    _ = (try? ChildProcess.spawn("ip", ["netns", "delete", name]))?.wait()
    return made
  }()
  static let reason = "network namespaces with TAP interfaces cannot be made here (they take root, /dev/net/tun and iproute2)"

  init(_ bed: TestBed) { self.bed = bed }

  /// Makes one with a name that is nobody else's.
  func make(_ suffix: String) async throws -> String {
    let name = "pvio-\(suffix)-\(UUID().uuidString.prefix(6).lowercased())"
    try await bed.call("ip", "netns", "add", name)
    names.append(name)
    // Quiet: nothing but what the test sends.
    _ = try await run(name, "sysctl", "-q", "-w", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
    return name
  }

  func close() {
    for name in names.reversed() { _ = (try? ChildProcess.spawn("ip", ["netns", "delete", name]))?.wait() }
  }

  /// Runs a program in a namespace to its end.
  func run(_ name: String, _ arguments: String...) async throws -> TestBed.Outcome {
    try await bed.run("ip", ["netns", "exec", name] + arguments)
  }

  /// Starts one that goes on.
  func start(_ name: String, _ arguments: String...) throws -> RunningProgram {
    try bed.start("ip", ["netns", "exec", name] + arguments)
  }

  /// Gives an interface an address, in 10.77.0.0/24.
  func setAddress(_ number: Int, of interface: String, in name: String) async throws {
    try await bed.call("ip", "-n", name, "address", "add", "10.77.0.\(number)/24", "dev", interface)
    try await bed.call("ip", "-n", name, "link", "set", interface, "up")
  }

  /// Replies to `count` pings of 10.77.0.`number`.
  func ping(_ number: Int, from name: String, count: Int = 3) async throws -> Int {
    let outcome = try await run(name, "ping", "-n", "-c", "\(count)", "-i", "0.05", "-W", "1", "10.77.0.\(number)")
    return outcome.output.matches(of: /bytes from/).count
  }

  /// Downloads an image of the bed from 10.77.0.`number` in one namespace to another: large frames, and every byte compared.
  func expectDownload(of image: String, from host: String, at number: Int, to client: String) async throws {
    let wanted = try await bed.call("sha256sum", image).prefix(64)
    let address = "10.77.0.\(number)"
    let server = try start(host, "python3", "-m", "http.server", "8000", "--bind", address, "--directory", bed.imageDirectory)
    let script = """
      import hashlib, time, urllib.request
      for attempt in range(50):
        try:
          data = urllib.request.urlopen("http://\(address):8000/\(image.split(separator: "/").last ?? "")").read(); break
        except OSError: time.sleep(0.1)
      print(hashlib.sha256(data).hexdigest())
      """
    let download = try await run(client, "python3", "-c", script)
    #expect(download.output.prefix(64) == wanted, "\(download.errors)")
    server.kill()
  }

  /// Sends a broadcast frame that says `text`, in a VLAN or untagged, from the interface's address.
  func send(_ text: String, vlan: Int?, on interface: String, in name: String) async throws {
    let script = """
      import socket
      s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(("\(interface)", 0))
      tag = \(vlan.map { "b'\\x81\\0' + (\($0)).to_bytes(2, 'big')" } ?? "b''")
      s.send(b'\\xff' * 6 + s.getsockname()[4] + tag + b'\\x88\\xb5' + b'\(text)'.ljust(46, b'.'))
      """
    let outcome = try await run(name, "python3", "-c", script)
    guard outcome.succeeded else { throw TestFailure("cannot send on \(interface): \(outcome.errors)") }
  }

  /// A program that writes "ready", and then "got N" for each such frame that says `text`, with its VLAN or "untagged".
  func listen(for text: String, on interface: String, in name: String) throws -> RunningProgram {
    // The kernel takes tags off and tells of them beside the frame (`PACKET_AUXDATA`).
    let script = """
      import socket, struct
      s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)); s.setsockopt(263, 8, 1); s.bind(("\(interface)", 0))
      print("ready", flush=True)
      while True:
        data, extra, _, sender = s.recvmsg(2048, 64)
        if sender[2] == 4 or b'\(text)' not in data: continue
        status, _, _, _, _, tag, _ = struct.unpack("IIIHHHH", extra[0][2])
        print("got", tag & 0xfff if status & 16 else "untagged", flush=True)
      """
    return try start(name, "python3", "-c", script)
  }

  struct Counters: Decodable, Equatable {
    var packets: UInt64
    var bytes: UInt64
    var errors: UInt64
    var dropped: UInt64
  }

  /// What the kernel says went through an interface.
  func counters(of interface: String, in name: String) async throws -> (received: Counters, sent: Counters) {
    struct Link: Decodable {
      struct Statistics: Decodable {
        var rx: Counters
        var tx: Counters
      }
      var stats64: Statistics
    }
    let text = try await bed.call("ip", "-n", name, "-s", "-j", "link", "show", "dev", interface)
    guard let link = try JSONDecoder().decode([Link].self, from: Data(text.utf8)).first else { throw TestFailure("no interface \(interface)") }
    return (link.stats64.rx, link.stats64.tx)
  }

  /// Whether the kernel sees a cable plugged into an interface.
  func hasCarrier(_ interface: String, in name: String) async throws -> Bool {
    try await bed.call("ip", "-n", name, "link", "show", "dev", interface).contains("LOWER_UP")
  }
}

/// Runs a test with a daemon, a domain 7 and namespaces of its own.
func withNetworkBed(_ body: (TestBed, NetworkNamespaces) async throws -> Void) async throws {
  try await withTestBed { bed in
    let network = NetworkNamespaces(bed)
    defer { network.close() }
    try await bed.pvio("domain", "create", "--domid", "7", "guest")
    try await body(bed, network)
  }
}

extension TestBed {
  /// Starts a front-end that shows the interface in a namespace, and waits until it is connected.
  func exportTap(_ device: String = "vif0", name: String = "eth0", in namespace: String, _ arguments: String...) async throws -> RunningProgram {
    let export = try start(Program.pvio, ["export", "tap", "7", device, "--name", name, "--netns", namespace] + arguments)
    try await waitForLine("pvio export ready", of: export)
    return export
  }

  /// What `pvio status --json` says of an interface.
  func netStatus(_ id: String) async throws -> NetStatusListing.Device {
    let listing = try JSONDecoder().decode(NetStatusListing.self, from: Data(try await pvio("status", "--json", id).utf8))
    guard let status = listing.devices.first else { throw TestFailure("\(id) has no status") }
    return status
  }

  /// Pages that the back-end has mapped, once there are hundreds, and as many for a second.
  func settledMappedPages(_ id: String) async throws -> Int {
    var last = 0
    try await eventually("pages are mapped") {
      let now = try await netStatus(id).net?.mapped_pages ?? 0
      if now > 500, now == last { return true }
      last = now
      try await Task.sleep(for: .seconds(1))
      return false
    }
    return last
  }
}

/// What `pvio status --json` prints of interfaces.
struct NetStatusListing: Decodable {
  struct Device: Decodable {
    struct Net: Decodable {
      var carrier: Bool
      var transmitted_frames: UInt64
      var transmitted_bytes: UInt64
      var transmit_errors: UInt64
      var transmit_drops: UInt64
      var received_frames: UInt64
      var received_bytes: UInt64
      var receive_drops: [String: UInt64]
      var mapped_pages: Int
      var port: PortTraffic?
      struct Queue: Decodable {
        var spurious_events: UInt64
      }
      var queues: [Queue]
    }
    var diagnosis: String
    var net: Net?
  }
  struct PortTraffic: Decodable {
    struct Recording: Decodable {
      var frames: UInt64
      var missed: UInt64
    }
    var taken_frames: UInt64
    var taken_bytes: UInt64
    var delivered_frames: UInt64
    var delivered_bytes: UInt64
    var drops: [String: UInt64]
    var recording: Recording?
  }
  struct Switch: Decodable {
    struct Uplink: Decodable {
      var carrier: Bool
      var at_switch: PortTraffic
      var port: PortTraffic?
    }
    var name: String
    var learning: Bool
    var uplink: Uplink?
  }
  var devices: [Device]
  var switches: [Switch]
}
