import LinuxSystem
import SharedMemory
import SystemPackage
import XenInterface
import XenPlatform

/// Pages that another domain has granted, mapped by the hypervisor: each mapping is two system calls, however many pages it has. So pages
/// that are used again stay mapped (persistent grants), a request's pages are mapped in one, and short stretches are copied instead.
///
/// A page must not be unmapped while an asynchronous operation of the kernel holds it.
final class DeviceForeignGrants: ForeignGrants {
  /// One mapping: a page, or pages side by side.
  private struct Mapping {
    var region: SharedRegion?
    var index: UInt64 = 0
    var pageCount = 0
    /// How often it is to be given back: once for each page of a batch, once for pages that only go together.
    var useCount = 0
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

  override var mapsBySystemCall: Bool { true }

  override func map(_ reference: GrantReference, writable: Bool) throws(GrantError) -> MappedPage {
    let index: UInt64
    do throws(Errno) { index = try device.announce(reference.rawValue, of: granter.rawValue) } catch {
      throw .platform(.system(operation: "announce grant \(reference) of domain \(granter)", error))
    }
    return try map(index, first: reference, count: 1, useCount: 1, writable: writable)
  }

  override func map(
    _ references: borrowing FixedTable<GrantReference>, count: Int, writable: Bool, to pages: borrowing FixedTable<MappedPage>, from start: Int
  ) throws(GrantError) {
    guard count > 0 else { return }
    let index: UInt64
    do throws(Errno) {
      index = try device.announce(count: count, of: granter.rawValue) { references[$0].rawValue }
    } catch {
      throw .platform(.system(operation: "announce \(count) grants of domain \(granter)", error))
    }
    let first = try map(index, first: references[0], count: count, useCount: count, writable: writable)
    for position in 0..<count {
      pages[start + position] = MappedPage(
        address: first.address + UInt(position * pageByteCount), arena: first.arena, page: first.page, isWritable: writable)
    }
  }

  /// - Parameter first: named when the mapping fails.
  private func map(_ index: UInt64, first: GrantReference, count: Int, useCount: Int, writable: Bool) throws(GrantError) -> MappedPage {
    let region: SharedRegion
    do throws(Errno) {
      region = try SharedRegion(
        mappingDevice: device.descriptor, offset: index, byteCount: count * pageByteCount, access: writable ? .readWrite : .readOnly)
    } catch {
      device.withdraw(index, pageCount: count)
      // The hypervisor refused one of the grants; Linux does not say which, nor why.
      if error == .invalidArgument { throw .badReference(first) }
      throw .platform(.system(operation: "map \(count) pages of domain \(granter)", error))
    }
    let number: Int32
    if let free = freeNumbers.popLast() {
      number = free
    } else {
      number = Int32(mappings.count)
      mappings.append(Mapping())
    }
    mappings[Int(number)] = Mapping(region: region, index: index, pageCount: count, useCount: useCount)
    mappedCount += count
    // No arena: this memory is not registered with anybody as a whole.
    return MappedPage(address: region.bytes.address, arena: -1, page: number, isWritable: writable)
  }

  override func unmap(_ page: MappedPage) {
    let (index, pageCount) = (mappings[Int(page.page)].index, mappings[Int(page.page)].pageCount)
    precondition(mappings[Int(page.page)].useCount > 0, "page unmapped twice")
    mappings[Int(page.page)].useCount -= 1
    guard mappings[Int(page.page)].useCount == 0 else { return }
    // Unmapped now, or when the last user of its bytes lets go: Linux keeps the grants until then.
    mappings[Int(page.page)] = Mapping()
    freeNumbers.append(page.page)
    mappedCount -= pageCount
    device.withdraw(index, pageCount: pageCount)
  }

  override func bytes(of page: MappedPage) -> SharedBytes {
    guard let region = mappings[Int(page.page)].region else { preconditionFailure("a page that is not mapped") }
    return region.bytes.slice(at: Int(page.address - region.bytes.address), byteCount: pageByteCount)
  }

  override func mapContiguously(_ references: [GrantReference]) throws(GrantError) -> GrantMapping {
    together(try mapTogether(references))
  }

  override func mapContiguously(_ references: [GrantReference], notice: UnmapNotice) throws(GrantError) -> GrantMapping {
    let page = try mapTogether(references)
    do throws(Errno) {
      try device.tellOfEnd(mappings[Int(page.page)].index, byteOffset: notice.byteOffset, port: notice.channel.port.rawValue)
    } catch {
      unmap(page)
      throw .platform(.system(operation: "ask for a notice when the pages of domain \(granter) are unmapped", error))
    }
    return together(page)
  }

  private func together(_ page: MappedPage) -> GrantMapping {
    guard let region = mappings[Int(page.page)].region else { preconditionFailure("pages that are not mapped") }
    return GrantMapping(bytes: region.bytes, pages: [page], grants: self)
  }

  /// Maps pages that only go together.
  private func mapTogether(_ references: [GrantReference]) throws(GrantError) -> MappedPage {
    guard !references.isEmpty else { throw .badReference(GrantReference(rawValue: 0)) }
    let index: UInt64
    do throws(Errno) { index = try device.announce(count: references.count, of: granter.rawValue) { references[$0].rawValue } } catch {
      throw .platform(.system(operation: "announce \(references.count) grants of domain \(granter)", error))
    }
    return try map(index, first: references[0], count: references.count, useCount: 1, writable: true)
  }

  override func copyIn(
    to reference: GrantReference, at offset: Int, byteCount count: Int, from source: SharedBytes, at place: Int
  ) throws(GrantError) {
    guard count > 0 else { return }
    let origin = source.slice(at: place, byteCount: count)
    let status: Int32
    do throws(Errno) {
      status = try device.copyIn(reference.rawValue, of: granter.rawValue, at: offset, byteCount: count, from: origin.address)
    } catch {
      throw .platform(.system(operation: "copy to grant \(reference) of domain \(granter)", error))
    }
    if status != 0 { throw .badReference(reference) }
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
