import LinuxSystem
import SharedMemory
import SystemPackage
import XenInterface
import XenPlatform

/// Pages of this domain that another one may map, side by side: granted from the start until ``release()``.
final class AllocatedPages: Sendable {
  let bytes: SharedBytes
  let references: [GrantReference]
  private let indices: [UInt64]
  private let device: GrantAllocationDevice

  init(for peer: DomainID, access: GrantAccess, pageCount: Int) throws(Errno) {
    let device = try GrantAllocationDevice()
    var indices: [UInt64] = []
    var references: [GrantReference] = []
    for _ in 0..<pageCount {
      // What was allocated before a failure goes with the device.
      let page = try device.allocate(for: peer.rawValue, writable: access == .readWrite)
      indices.append(page.index)
      references.append(GrantReference(rawValue: page.reference))
    }
    bytes = try SharedRegion(mappingDevicePages: indices, of: device.descriptor).bytes
    self.indices = indices
    self.references = references
    self.device = device
  }

  /// Has the kernel tell the peer when the first page goes away here.
  func tellOfEnd(_ notice: UnmapNotice) throws(Errno) {
    try device.tellOfEnd(indices[0], byteOffset: notice.byteOffset, port: notice.channel.port.rawValue)
  }

  /// Takes the grants back. Linux keeps a page that is still mapped until it is not.
  func release() { for index in indices { device.free(index) } }
}
