import Glibc
import LinuxSystem
import SharedMemory
import SystemPackage
public import XenInterface
public import XenPlatform

/// The platform of a Xen host: the hypervisor maps grants and carries events, Linux's devices `/dev/xen/gntdev`, `gntalloc` and
/// `evtchn` ask it. For a process of domain 0, or of a driver domain.
///
/// Thread-safe. Each event channel has an open device of its own, so that what is read from one concerns no other.
public final class XenHostPlatform: XenPlatform {
  public let domain: DomainID

  public let capabilities = PlatformCapabilities(
    mapsLocally: false, mapsContiguously: true, mapsForDirectIO: true, withdrawsGrants: false, reportsClosedPeers: false)

  /// - Parameter domain: the domain that this process runs in, 0 on most hosts: no device tells it.
  /// Throws when this is no Xen host, or this process may not use its devices.
  public init(domain: DomainID = .control) throws(PlatformError) {
    self.domain = domain
    for path in [GrantDevice.path, EventChannelDevice.path] {
      do throws(Errno) { _ = try OwnedDescriptor.open(path, flags: O_RDWR) } catch { throw .system(operation: "open \(path)", error) }
    }
  }

  public func makeGrantArena(for peer: DomainID, access: GrantAccess, pageCount: Int) throws(PlatformError) -> GrantArena {
    do throws(Errno) {
      let pages = try AllocatedPages(for: peer, access: access, pageCount: pageCount)
      return GrantArena(
        peer: peer, access: access, bytes: pages.bytes, references: pages.references,
        giveNotice: { notice throws(Errno) in try pages.tellOfEnd(notice) }, release: { pages.release() })
    } catch {
      throw .system(operation: "grant \(pageCount) pages to domain \(peer)", error)
    }
  }

  public func foreignGrants(of granter: DomainID) throws(PlatformError) -> ForeignGrants {
    do throws(Errno) {
      return DeviceForeignGrants(granter: granter, device: try GrantDevice())
    } catch {
      throw .system(operation: "open \(GrantDevice.path)", error)
    }
  }

  public func allocateUnboundChannel(for remote: DomainID) throws(PlatformError) -> EventChannel {
    do throws(Errno) {
      return try channel(try EventChannelDevice(allocatedFor: remote.rawValue), remote)
    } catch {
      throw error == .noSuchProcess ? .noSuchDomain(remote) : .system(operation: "allocate an event channel for domain \(remote)", error)
    }
  }

  public func bindInterdomainChannel(remote: DomainID, port: EventChannelPort) throws(PlatformError) -> EventChannel {
    do throws(Errno) {
      return try channel(try EventChannelDevice(bindingTo: port.rawValue, of: remote.rawValue), remote)
    } catch {
      switch error {
      case .noSuchProcess: throw .noSuchDomain(remote)
      case .invalidArgument: throw .noSuchPort(port, of: remote)
      default: throw .system(operation: "bind event channel \(port) of domain \(remote)", error)
      }
    }
  }

  /// Closing the device closes the port (`evtchn_release` of Linux).
  private func channel(_ device: borrowing EventChannelDevice, _ remote: DomainID) throws(Errno) -> EventChannel {
    EventChannel(
      port: EventChannelPort(rawValue: device.port), remoteDomain: remote, medium: .device, waitDescriptor: try device.descriptor.duplicate(),
      signalDescriptor: try device.descriptor.duplicate(), release: {})
  }
}
