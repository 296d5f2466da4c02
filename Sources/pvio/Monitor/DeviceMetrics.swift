import DriverCommands
import PVDriver
import XenInterface

extension PrometheusText {
  /// Adds what a device has counted, and how it is.
  mutating func add(_ report: DeviceReport) {
    let id = report.address.id
    let labels: KeyValuePairs = ["id": id]
    let figures = DeviceFigures(report)
    add(
      "pvio_device_info", .gauge, "What a device is: always 1.", 1,
      [
        "id": id, "domid": "\(report.address.domain)", "kind": report.address.device.kind.name, "device": report.address.device.name,
        "source": report.source,
      ])
    add("pvio_device_connected", .gauge, "Whether both ends of a device are connected.", report.isConnected ? 1 : 0, labels)
    if report.vhostUserSocket == nil {
      add("pvio_device_frontend_state", .gauge, "XenBus state of the front-end, 4 is Connected.", report.frontend.rawValue, labels)
    }
    add("pvio_device_backend_state", .gauge, "XenBus state of the back-end, 4 is Connected.", report.backend.rawValue, labels)
    add("pvio_device_restarts_total", .counter, "How often a back-end was started again.", report.restarts, labels)
    if let spent = figures.processorNanoseconds {
      add(
        "pvio_backend_processor_seconds_total", .counter, "Processor time of the back-end's process; interfaces of one switch share a process.",
        Double(spent) / 1e9, labels)
    }
    if let disk = report.disk {
      add(disk, labels)
      addEvents(of: disk.queues, mappedPages: disk.mapped_pages, figures, labels)
    }
    if let net = report.net {
      add(net, id)
      addEvents(of: net.queues, mappedPages: net.mapped_pages, figures, labels)
    }
    if let driver = report.driver {
      add(driver, id)
      addEvents(of: [driver], mappedPages: driver.mapped_pages, figures, labels)
    }
  }

  private mutating func add(_ disk: DiskStatus, _ labels: KeyValuePairs<String, String>) {
    add("pvio_disk_size_bytes", .gauge, "Size of a disk.", disk.bytes, labels)
    add("pvio_disk_reads_total", .counter, "Reads that were served.", disk.reads, labels)
    add("pvio_disk_read_bytes_total", .counter, "Bytes that were read.", disk.read_bytes, labels)
    add("pvio_disk_writes_total", .counter, "Writes that were served.", disk.writes, labels)
    add("pvio_disk_written_bytes_total", .counter, "Bytes that were written.", disk.written_bytes, labels)
    add("pvio_disk_flushes_total", .counter, "Flushes that were served.", disk.flushes, labels)
    add("pvio_disk_discards_total", .counter, "Discards that were served.", disk.discards, labels)
    add("pvio_disk_failures_total", .counter, "Requests that the disk behind failed.", disk.failures, labels)
    add("pvio_disk_refusals_total", .counter, "Requests that the disk does not allow.", disk.refusals, labels)
  }

  private mutating func add(_ net: NetStatus, _ id: String) {
    let labels: KeyValuePairs = ["id": id]
    add("pvio_net_carrier", .gauge, "Whether the link is up.", net.carrier ? 1 : 0, labels)
    add("pvio_net_transmitted_frames_total", .counter, "Frames that the guest sent.", net.transmitted_frames, labels)
    add("pvio_net_transmitted_bytes_total", .counter, "Bytes that the guest sent.", net.transmitted_bytes, labels)
    add("pvio_net_transmit_errors_total", .counter, "Frames of the guest that broke a rule.", net.transmit_errors, labels)
    add("pvio_net_transmit_drops_total", .counter, "Frames of the guest that were not taken behind the port.", net.transmit_drops, labels)
    add("pvio_net_received_frames_total", .counter, "Frames that the guest received.", net.received_frames, labels)
    add("pvio_net_received_bytes_total", .counter, "Bytes that the guest received.", net.received_bytes, labels)
    for (reason, count) in net.receive_drops.sorted(by: { $0.key < $1.key }) {
      add("pvio_net_receive_drops_total", .counter, "Frames for the guest that were lost.", count, ["id": id, "reason": reason])
    }
    for (reason, count) in (net.port?.drops ?? [:]).sorted(by: { $0.key < $1.key }) {
      add("pvio_net_port_drops_total", .counter, "Frames that were lost at the port.", count, ["id": id, "reason": reason])
    }
  }

  private mutating func add(_ driver: DriverStatus, _ id: String) {
    let labels: KeyValuePairs = ["id": id]
    add("pvio_driver_requests_total", .counter, "Requests that a driver served.", driver.requests, labels)
    add("pvio_driver_bytes_total", .counter, "Bytes that a driver passed on.", driver.bytes, labels)
    add("pvio_driver_failures_total", .counter, "Requests that a driver failed.", driver.failures, labels)
    add("pvio_driver_rejections_total", .counter, "Requests that broke a rule.", driver.rejections, labels)
    for (name, count) in driver.counters.sorted(by: { $0.key < $1.key }) {
      add("pvio_driver_counter_total", .counter, "What a driver counts besides, by its own name.", count, ["id": id, "counter": name])
    }
  }

  /// What back-ends of every kind count: of each queue, or of all together.
  private mutating func addEvents<Status: EventStatus>(
    of queues: [Status], mappedPages: Int, _ figures: DeviceFigures, _ labels: KeyValuePairs<String, String>
  ) {
    func sum(_ count: (Status) -> UInt64) -> UInt64 { queues.reduce(0) { $0 + count($1) } }
    add("pvio_device_in_flight", .gauge, "Requests or frames under way.", figures.inFlight, labels)
    add("pvio_backend_events_total", .counter, "Events that a back-end got.", sum(\.events), labels)
    add("pvio_backend_spurious_events_total", .counter, "Events with nothing to do.", sum(\.spurious_events), labels)
    add("pvio_backend_signals_total", .counter, "Events that a back-end sent.", sum(\.signals), labels)
    add("pvio_backend_mapped_pages", .gauge, "Pages of the guest that are mapped.", mappedPages, labels)
  }
}
