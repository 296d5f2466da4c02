import ArgumentParser
import DriverCommands
import EventLoop
import LinuxSystem

/// `pvio metrics`: what the devices have counted, for a system that watches others.
struct MetricsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "metrics", abstract: "Print what the devices have counted in Prometheus' text format, or serve it over HTTP.",
    discussion: """
      Without --listen it is printed once, as for the text files of node_exporter. With it, GET /metrics is answered until a signal comes, \
      one client after the other; nobody is asked who he is, so a machine's own address is the one to listen at.
      """)

  @OptionGroup var common: CommonOptions
  @Option(
    help: ArgumentHelp("Serve it there: HOST:PORT, PORT (of this machine only; 0 is any), or unix:PATH.", valueName: "address")) var listen: ListenAddress?

  func run() async throws {
    guard let listen else { return print(try await text(), terminator: "") }
    let pidfile = try common.holdPIDFile()
    defer { _ = pidfile }
    try await serve(at: listen)
  }

  private func text() async throws -> String {
    var text = PrometheusText()
    for report in try await DeviceReport.all(common) { text.add(report) }
    return text.text
  }

  private func serve(at address: ListenAddress) async throws {
    Process.takeSignals()
    let listener: SharedDescriptor
    var address = address
    do {
      listener = SharedDescriptor(try address.listen())
      if case .tcp(let host, 0) = address { address = .tcp(host: host, port: try TCPSocket.port(of: listener.descriptor)) }
    } catch { throw CommandFailure("cannot listen at \(address): \(error)") }
    defer { if case .unix(let path) = address { UnixSocket.removeFile(at: path) } }
    let thread = try EventLoopThread.started("metrics")
    defer { thread.stopAndJoin() }
    let stop = StopRequest.bySignal()
    ServiceManager.sayReady("pvio metrics ready: \(address)")
    let clients = await SocketClients(listener, thread.loop)
    let answer = TextOverHTTP(path: "/metrics", contentType: PrometheusText.contentType)
    while let client = await clients.next(unless: stop) { await answer.serve(client) { try await text() } }
    await clients.close()
  }
}
