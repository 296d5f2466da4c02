import Foundation
import Glibc
import LinuxSystem
import Testing

extension Integration {
  /// `pvio top` and `pvio metrics` on devices under load.
  @Suite struct Monitors {
    private struct Look: Decodable {
      struct Flow: Decodable { var operations: Double, bytes: Double }
      struct Rates: Decodable { var to_guest: Flow, from_guest: Flow, other: Flow, failed: Double, processor_percent: Double? }
      struct Latency: Decodable { var requests: Int, mean_nanoseconds: UInt64, p99_nanoseconds: UInt64 }
      struct Device: Decodable { var id: String, domid: Int, kind: String, state: String, per_second: Rates, latency: Latency? }
      var seconds: Double, devices: [Device]
    }

    @Test func topShowsWhatEachDeviceDoesTheBusiestFirst() async throws {
      try await withTestBed { bed in
        try await bed.attach("ram=16M")
        try await bed.pvio("attach", "7", "disk", "ram=1M", "--device", "xvdb")
        let export = try await bed.export()
        let load = try bed.start(
          "fio", ["--name=load", "--ioengine=nbd", "--uri=\(bed.nbdURI())", "--rw=randread", "--bs=4k", "--size=16M", "--time_based", "--runtime=100"])
        try await eventually("the disk is read") { try await bed.pvio("metrics").contains(/pvio_disk_reads_total\{id="7-xvda"\} [1-9]/) }
        let lines = try await bed.pvio("top", "--json", "-n", "2", "-d", "1.5").split(separator: "\n")
        #expect(lines.count == 2)
        let look = try JSONDecoder().decode(Look.self, from: Data(try #require(lines.last).utf8))
        #expect(look.devices.map(\.id) == ["7-xvda", "7-xvdb"] && look.seconds >= 1.5)
        let (busy, idle) = (look.devices[0], look.devices[1])
        let reads = busy.per_second.to_guest
        #expect(busy.state == "connected" && reads.operations > 0 && abs(reads.bytes / reads.operations - 4096) < 1)
        #expect(busy.per_second.from_guest.operations == 0 && busy.per_second.failed == 0)
        #expect(try #require(busy.per_second.processor_percent) > 0)
        let latency = try #require(busy.latency)
        #expect(latency.requests > 0 && latency.mean_nanoseconds > 0 && latency.p99_nanoseconds >= latency.mean_nanoseconds / 2)
        #expect(idle.state != "connected" && idle.per_second.to_guest.operations == 0 && idle.latency == nil)

        let text = try await bed.pvio("top", "-b", "-n", "1", "-d", "1").split(separator: "\n")
        #expect(text.count == 3 && text[0].hasPrefix("ID ") && text[1].hasPrefix("7-xvda  disk  connected "), "\(text)")
        load.kill()
        try await bed.detach(export)
      }
    }

    @Test func topRefusesWhatItCannotKeep() async throws {
      try await withTestBed { bed in
        for (arguments, complaint) in [(["-d", "0.2"], "--delay is a number of seconds from 1.0 up"), (["-n", "0"], "--count is a number of 1 or more")] {
          let outcome = try await bed.run(Program.pvio, ["top"] + arguments)
          #expect(outcome.ending == .exited(2) && outcome.errors.contains(complaint), "\(outcome.errors)")
        }
      }
    }

    /// Fetched by Python's HTTP client and read by Prometheus' own parser (prometheus-client from PyPI).
    @Test func metricsAreWhatPrometheusReads() async throws {
      try await withTestBed { bed in
        let library = bed.directory + "/python"
        try await bed.call(
          "python3", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", library, "prometheus-client==0.21.1")
        let image = bed.imageDirectory + "/odd\"name\\.img"
        try await bed.call("truncate", "-s", "16M", image)
        try await bed.attach("file=\(image)")
        let export = try await bed.export()
        try await bed.call("nbdcopy", "--requests=4", bed.nbdURI(), "null:")
        try await eventually("the reads are counted") { try await bed.pvio("metrics").contains(/pvio_disk_read_bytes_total\{id="7-xvda"\} 16777216\n/) }

        let server = try bed.start(Program.pvio, ["metrics", "--listen", "0"])
        try await bed.waitForLine("pvio metrics ready: 127.0.0.1:", of: server)
        let address = try #require(server.output.split(separator: " ").last).trimmingCharacters(in: .whitespacesAndNewlines)
        let script = """
          import sys, urllib.request, urllib.error
          sys.path.insert(0, '\(library)')
          from prometheus_client.parser import text_string_to_metric_families as families
          reply = urllib.request.urlopen('http://\(address)/metrics', timeout=20)
          assert reply.headers['Content-Type'].startswith('text/plain; version=0.0.4'), reply.headers
          found = {f.name: f for f in families(reply.read().decode())}
          assert found['pvio_device_info'].samples[0].labels['source'] == sys.argv[1], found['pvio_device_info']
          assert found['pvio_disk_read_bytes'].type == 'counter' and found['pvio_disk_read_bytes'].samples[0].value == 16 << 20
          assert found['pvio_device_connected'].samples[0].value == 1
          assert found['pvio_backend_processor_seconds'].samples[0].value > 0
          for path, status in (('/', 404), ('/metrics?x', 200)):
            try: got = urllib.request.urlopen('http://\(address)' + path, timeout=20).status
            except urllib.error.HTTPError as error: got = error.code
            assert got == status, (path, got)
          print(len(found), 'families')
          """
        #expect(try await bed.call("python3", "-c", script, image).hasSuffix(" families\n"))

        // Whoever says nothing, or something else, takes nobody else's turn for long.
        let silence = "import socket,sys\nh,p=sys.argv[1].rsplit(':',1)\ns=socket.create_connection((h,int(p)))\ns.sendall(b'GET ')\ns.settimeout(20)\nprint(len(s.recv(10)))"
        #expect(try await bed.call("python3", "-c", silence, address) == "0\n")
        try await bed.detach(export)
        server.send(signal: SIGTERM)
        #expect(try await server.finish() == .exited(0))
      }
    }

    @Test func aSocketOfTheFileSystemServesMetricsToo() async throws {
      try await withTestBed { bed in
        let path = bed.directory + "/metrics.sock"
        let server = try bed.start(Program.pvio, ["metrics", "--listen", "unix:\(path)"])
        try await bed.waitForLine("pvio metrics ready: unix:\(path)", of: server)
        try await bed.stopDaemon()
        let script = """
          import socket,sys
          s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b'GET /metrics HTTP/1.1\\r\\n\\r\\n')
          print(b''.join(iter(lambda: s.recv(4096), b'')).decode())
          """
        let reply = try await bed.call("python3", "-c", script, path)
        #expect(reply.hasPrefix("HTTP/1.1 503 ") && reply.contains("pvio daemon"), "\(reply)")
        server.send(signal: SIGTERM)
        #expect(try await server.finish() == .exited(0))
        #expect(!FileManager.default.fileExists(atPath: path))
      }
    }
  }
}
