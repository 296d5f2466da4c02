import LinuxSystem
import Testing
import VirtioInterface
import XenInterface

extension Integration {
  /// Interfaces that a VMM uses over vhost-user, driven without a guest's kernel.
  @Suite(.enabled(if: NetworkNamespaces.areAvailable && Program.arePresent("python3"), "\(NetworkNamespaces.reason)"))
  struct VMMNet {
    /// A program that writes "ready", and then what has come to port 5001 of 10.77.0.1: the lengths of all datagrams, and their bytes' sum.
    private static let receiver = """
      import socket
      s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
      s.bind(("10.77.0.1", 5001))
      s.settimeout(20)
      print("ready", flush=True)
      found = []
      while sum(map(len, found)) < 9500: found.append(s.recv(65536))
      print([len(x) for x in found], sum(map(sum, found)), flush=True)
      """

    /// The guest leaves cutting and checksums to the host, whose kernel delivers what it would have delivered of ten frames.
    @Test func severalDatagramsInOneFrameArriveAsDatagrams() async throws {
      try await withTestBed(daemon: false) { bed in
        let network = NetworkNamespaces(bed)
        defer { network.close() }
        let host = try await network.make("host")
        let socket = "\(bed.directory)/net.sock"
        let backend = try bed.start(Program.pvio, ["backend", "net", "--net", "tap=t0,netns=\(host)", "--socket-path", socket])
        try await bed.waitForLine("pvio backend ready", of: backend)
        try await network.setAddress(1, of: "t0", in: host)
        let features: VirtioNetFeatures = [.mergeableReceiveBuffers, .checksum, .hostUDPSegments]
        let vmm = try PlainVMM(socket, queue: 1, features: features.rawValue)
        let listener = try network.start(host, "python3", "-c", Self.receiver)
        try await bed.waitForLine("ready", of: listener)
        let payload = (0..<9500).map { UInt8($0 % 251) }
        try vmm.send(WireBytes(Self.header).bytes + Self.headers(payloadByteCount: payload.count) + payload)
        try await vmm.finish()
        #expect(try await listener.finish() == .exited(0), "\(listener.errors)")
        #expect(listener.output.contains("[1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 500] \(payload.reduce(0) { $0 + Int($1) })"), "\(listener.output)")
      }
    }

    private static var header: VirtioNetHeader {
      var header = VirtioNetHeader()
      header.flags = VirtioNetHeaderFlags.needsChecksum.rawValue
      header.segmentation = VirtioNetSegmentation.udpSegments.rawValue
      header.segmentByteCount = 1000
      return header
    }

    /// A broadcast of UDP over IPv4, from 10.77.0.2 to port 5001 of 10.77.0.1, with the sum of the pseudo header where the checksum belongs.
    private static func headers(payloadByteCount: Int) -> [UInt8] {
      func word(_ number: Int) -> [UInt8] { [UInt8(number >> 8 & 255), UInt8(number & 255)] }
      func sum(_ bytes: [UInt8]) -> Int {
        var sum = stride(from: 0, to: bytes.count, by: 2).reduce(0) { $0 + Int(bytes[$1]) << 8 + Int(bytes[$1 + 1]) }
        while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
        return sum
      }
      let addresses: [UInt8] = [10, 77, 0, 2, 10, 77, 0, 1]
      let udpLength = 8 + payloadByteCount
      var ip: [UInt8] = [0x45, 0] + word(20 + udpLength) + [0, 1, 0, 0, 64, 17, 0, 0] + addresses
      ip.replaceSubrange(10..<12, with: word(0xffff - sum(ip)))
      let udp = word(5000) + word(5001) + word(udpLength) + word(sum(addresses + [0, 17] + word(udpLength)))
      return [UInt8](repeating: 0xff, count: 6) + [2, 0, 0, 0, 0, 2, 8, 0] + ip + udp
    }
  }
}
