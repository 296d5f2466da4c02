import Testing
import XenInterface

@Suite struct VirtualDeviceTests {
  @Test(arguments: [
    ("xvda", 51712), ("xvda1", 51713), ("xvdb", 51728), ("xvdp15", 51967), ("sda", 2048), ("sdb1", 2065), ("hda", 768), ("hdb", 832),
    ("hdc", 5632), ("hdd63", 5759), ("xvdq", 268_439_552), ("xvda16", 268_435_472), ("xvdaa", 268_442_112), ("xvdtq37", 268_572_709),
  ] as [(String, UInt32)])
  func nameAndNumberBelongTogether(name: String, number: UInt32) {
    #expect(VirtualDevice(name: name)?.number == number)
    #expect(VirtualDevice(number: number)?.name == name)
  }

  @Test(arguments: ["", "xvd", "xvd1", "xvdA", "vda", "sdq", "hde", "xvda256", "xvda01", "xvda-1", "xvdé", "xvdbinjc", "xvdzzzzzz", "sda16", "xvda99999999999"])
  func whatHasNoNumberIsRefused(name: String) {
    #expect(VirtualDevice(name: name) == nil)
  }

  @Test(arguments: [0, 255, 51711, 51968, 896, 5760, 2 << 28, .max] as [UInt32])
  func numbersOfNoFamilyAreRefused(number: UInt32) {
    #expect(VirtualDevice(number: number) == nil)
  }

  @Test func theLastDiskOfTheWideFormIsNamedAndReadBack() throws {
    let last = try #require(VirtualDevice(family: .xvd, disk: (1 << 20) - 1, partition: 255))
    #expect(VirtualDevice(name: last.name) == last)
    #expect(VirtualDevice(number: last.number) == last)
    #expect(VirtualDevice(family: .xvd, disk: 1 << 20) == nil)
  }

  @Test func everyDiskKeepsItsIdentityThroughNameAndNumber() throws {
    for disk in stride(from: UInt32(0), to: 1 << 20, by: 4093) {
      let device = try #require(VirtualDevice(family: .xvd, disk: disk))
      #expect(VirtualDevice(name: device.name) == device)
      #expect(VirtualDevice(number: device.number) == device)
    }
  }
}
