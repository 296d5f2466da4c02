import ArgumentParser

/// A virtual machine monitor that devices can be given to over vhost-user, and its command line.
enum VMM: String, ExpressibleByArgument, CaseIterable {
  case qemu
  case cloudHypervisor = "cloud-hypervisor"

  /// One device as a VMM has to know it.
  struct Device {
    /// `disk0`, `net0`: also what the VMM calls it.
    var name: String
    var isDisk: Bool
    var socketPath: String
    /// Request queues of a disk, queue pairs of an interface.
    var queueCount: Int
    /// An interface's address.
    var mac: String?
  }

  /// The arguments that give the guest a device. `options` go to QEMU's `-device`, such as `packed=on`.
  func arguments(for device: Device, options: String? = nil) -> [String] {
    let extra = options.map { ",\($0)" } ?? ""
    switch self {
    case .qemu:
      // The back-end may be started anew: QEMU comes back to its socket after a second.
      let channel = ["-chardev", "socket,id=\(device.name)-socket,path=\(device.socketPath),reconnect=1"]
      if device.isDisk {
        return channel + ["-device", "vhost-user-blk-pci,id=\(device.name),chardev=\(device.name)-socket,num-queues=\(device.queueCount)\(extra)"]
      }
      let several = device.queueCount > 1 ? ",mq=on" : ""
      return channel + [
        "-netdev", "vhost-user,id=\(device.name)-peer,chardev=\(device.name)-socket,queues=\(device.queueCount)",
        "-device", "virtio-net-pci,id=\(device.name),netdev=\(device.name)-peer\(device.mac.map { ",mac=\($0)" } ?? "")\(several)\(extra)",
      ]
    case .cloudHypervisor:
      if device.isDisk {
        return ["--disk", "vhost_user=on,socket=\(device.socketPath),num_queues=\(device.queueCount),queue_size=256,id=\(device.name)\(extra)"]
      }
      return [
        "--net",
        "vhost_user=on,socket=\(device.socketPath),num_queues=\(device.queueCount * 2)\(device.mac.map { ",mac=\($0)" } ?? ""),id=\(device.name)\(extra)",
      ]
    }
  }

  /// The arguments that give the guest `size` of memory (as the VMM writes it) which back-ends can share.
  func memoryArguments(_ size: String) -> [String] {
    switch self {
    case .qemu:
      ["-m", size, "-object", "memory-backend-memfd,id=pvio-memory,size=\(size),share=on", "-machine", "memory-backend=pvio-memory"]
    case .cloudHypervisor: ["--memory", "size=\(size),shared=on"]
    }
  }

  /// The VMM that a command line starts.
  init?(command: [String]) {
    guard let program = command.first?.split(separator: "/").last else { return nil }
    if program.hasPrefix("qemu") || program == "kvm" {
      self = .qemu
    } else if program.hasPrefix("cloud-hypervisor") {
      self = .cloudHypervisor
    } else {
      return nil
    }
  }
}
