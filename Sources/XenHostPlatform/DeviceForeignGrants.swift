import LinuxSystem
import SharedMemory
import SystemPackage
import XenInterface
import XenPlatform

/// Pages that another domain has granted, mapped by the hypervisor: each mapping is two system calls, so pages that are used
/// again stay mapped (persistent grants), and short stretches are copied instead (``copyOut(of:at:byteCount:to:at:)``).
///
/// A page must not be unmapped while an asynchronous operation of the kernel holds it.
final class DeviceForeignGrants: ForeignGrants {
  /// One mapping: a page, or pages side by side.
  private struct Mapping {
    var region: SharedRegion?
    var index: UInt64 = 0
    var pageCount = 0
  }

  private let device: GrantDevice
  private var mappings: [Mapping] = []
  private var freeNumbers: [Int32] = []
  private var mappedCount = 0

  init(granter: DomainID, device: consuming GrantDevice) {
    self.device = device
    super.init(granter: granter)
  }

  override var mappedPageCount: Int { mappedCount }

  override func map(_ reference: GrantReference, writable: Bool) throws(GrantError) -> MappedPage {
    let index: UInt64
    do throws(Errno) { index = try device.announce(reference.rawValue, of: granter.rawValue) } catch {
      throw .platform(.system(operation: "announce grant \(reference) of domain \(granter)", error))
    }
    return try map(index, [reference], writable: writable)
  }

  private func map(_ index: UInt64, _ references: [GrantReference], writable: Bool) throws(GrantError) -> MappedPage {
    let region: SharedRegion
    do throws(Errno) {
      region = try SharedRegion(
        mappingDevice: device.descriptor, offset: index, byteCount: references.count * pageByteCount,
        access: writable ? .readWrite : .readOnly)
    } catch {
      device.withdraw(index, pageCount: references.count)
      // The hypervisor refused one of the grants; Linux does not say which, nor why.
      if error == .invalidArgument { throw .badReference(references[0]) }
      throw .platform(.system(operation: "map \(references.count) pages of domain \(granter)", error))
    }
    let number: Int32
    if let free = freeNumbers.popLast() {
      number = free
    } else {
      number = Int32(mappings.count)
      mappings.append(Mapping())
    }
    mappings[Int(number)] = Mapping(region: region, index: index, pageCount: references.count)
    mappedCount += references.count
    // No arena: this memory is not registered with anybody as a whole.
    return MappedPage(address: region.bytes.address, arena: -1, page: number, isWritable: writable)
  }

  override func unmap(_ page: MappedPage) {
    let (index, pageCount) = (mappings[Int(page.page)].index, mappings[Int(page.page)].pageCount)
    precondition(pageCount > 0, "page unmapped twice")
    // Unmapped now, or when the last user of its bytes lets go: Linux keeps the grants until then.
    mappings[Int(page.page)] = Mapping()
    freeNumbers.append(page.page)
    mappedCount -= pageCount
    device.withdraw(index, pageCount: pageCount)
  }

  override func bytes(of page: MappedPage) -> SharedBytes {
    guard let region = mappings[Int(page.page)].region else { preconditionFailure("a page that is not mapped") }
    return region.bytes
  }

  override func mapContiguously(_ references: [GrantReference]) throws(GrantError) -> GrantMapping {
    guard !references.isEmpty else { throw .badReference(GrantReference(rawValue: 0)) }
    let index: UInt64
    do throws(Errno) { index = try device.announce(references.map(\.rawValue), of: granter.rawValue) } catch {
      throw .platform(.system(operation: "announce \(references.count) grants of domain \(granter)", error))
    }
    let page = try map(index, references, writable: true)
    return GrantMapping(bytes: bytes(of: page), pages: [page], grants: self)
  }

  override func copyOut(
    of reference: GrantReference, at offset: Int, byteCount count: Int, to destination: SharedBytes, at place: Int
  ) throws(GrantError) {
    guard count > 0 else { return }
    let target = destination.slice(at: place, byteCount: count)
    let status: Int32
    do throws(Errno) {
      status = try device.copyOut(reference.rawValue, of: granter.rawValue, at: offset, byteCount: count, to: target.address)
    } catch {
      throw .platform(.system(operation: "copy from grant \(reference) of domain \(granter)", error))
    }
    if status != 0 { throw .badReference(reference) }
  }
}
