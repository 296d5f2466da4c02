import EventLoop
import LinuxSystem
import SystemPackage
import TestSupport
import Testing
import VhostUser
import VirtioInterface
import VirtioRing

/// VMMs that say what none may. The connection ends with one line, and whatever came with the message is closed.
struct HostileMessageTests {
  /// A message as numbers.
  struct Wrong: Sendable, CustomTestStringConvertible {
    var name: String
    var request: UInt32
    var payload: [UInt8] = []
    var flags: UInt32 = 1
    var announced: Int?
    var descriptorCount = 0
    /// The whole line.
    var line: String

    init(
      _ name: String, _ request: UInt32, _ payload: [UInt8] = [], flags: UInt32 = 1, announced: Int? = nil, descriptors: Int = 0, saying line: String
    ) {
      self.name = name
      self.request = request
      self.payload = payload
      self.flags = flags
      self.announced = announced
      descriptorCount = descriptors
      self.line = line
    }

    init(_ name: String, _ request: VhostUserRequest, _ payload: [UInt8] = [], descriptors: Int = 0, saying line: String) {
      self.init(name, request.rawValue, payload, descriptors: descriptors, saying: "\(request): \(line)")
    }

    var testDescription: String { name }
  }

  /// Eight bytes that claim to be `byteCount`.
  private static func configurationWrite(at offset: UInt32, byteCount: UInt32) -> [UInt8] {
    bytesOf(offset) + bytesOf(byteCount) + bytesOf(UInt32(0)) + words(0)
  }

  private static let messages: [Wrong] = [
    Wrong("unknown", 999, saying: "message 999: it is not known here"),
    Wrong("zero", 0, saying: "message 0: it is not known here"),
    Wrong("version 2", 1, flags: 2, saying: "GET_FEATURES: its flags 0x2 are of no version that is known"),
    Wrong("a reply", 1, flags: 5, saying: "GET_FEATURES: it is a reply, and nothing was asked"),
    Wrong("huge", 5, announced: 4097, saying: "SET_MEM_TABLE: its payload has 4097 bytes, at most 4096 are possible"),
    Wrong("as large as can be said", 5, announced: Int(UInt32.max), saying: "SET_MEM_TABLE: its payload has 4294967295 bytes, at most 4096 are possible"),
    Wrong("too short", .setVringAddress, [1, 2, 3], saying: "its payload has 3 bytes, expected 40"),
    Wrong("a descriptor too many", .getFeatures, descriptors: 1, saying: "it came with 1 descriptors, expected 0"),
    Wrong("no descriptor", .setLogDescriptor, saying: "it came with 0 descriptors, expected 1"),
    Wrong("eight descriptors", .setVringKick, words(0), descriptors: 8, saying: "it came with 8 descriptors, expected 0 to 1"),
    Wrong("features that nobody offered", .setFeatures, words(1 << 63 | 1), saying: "features 0x8000000000000000 were not offered"),
    Wrong("protocol features that nobody offered", .setProtocolFeatures, words(1 << 40), saying: "features 0x10000000000 were not offered"),
    Wrong("not negotiated", .setMTU, words(1500), saying: "it belongs to a protocol feature that was not negotiated"),
    Wrong("queue 2 of 2", .setVringEnable, words(2), saying: "there is no queue 2, only 2"),
    Wrong("queue of all ones", .getVringBase, words(0xffff_ffff), saying: "there is no queue 4294967295, only 2"),
    Wrong("kick of queue 255", .setVringKick, words(255 | 256), saying: "there is no queue 255, only 2"),
    Wrong("no entries", .setVringNumber, words(0), saying: "queue 0 cannot have 0 entries: expected 1 to 4096"),
    Wrong("too many entries", .setVringNumber, words(70000 << 32), saying: "queue 0 cannot have 70000 entries: expected 1 to 4096"),
    Wrong("three entries", .setVringNumber, words(3 << 32), saying: "queue 0 cannot have 3 entries: a split queue has a power of two"),
    Wrong("kick without its descriptor", .setVringKick, words(0), saying: "no descriptor came with it"),
    Wrong("call with one too many", .setVringCall, words(0x100), descriptors: 1, saying: "a descriptor came although it says that none does"),
    Wrong("no regions where eight are named", .setMemoryTable, words(8), saying: "it names 8 regions, with 8 bytes and 0 descriptors"),
    Wrong("more regions than came", .setMemoryTable, words(0xffff_ffff), saying: "it names 4294967295 regions, with 8 bytes and 0 descriptors"),
    Wrong("write outside the space", .setConfiguration, configurationWrite(at: 250, byteCount: 8), saying: "8 bytes at 250 do not fit what came, or the configuration space"),
    Wrong("write with another size", .setConfiguration, configurationWrite(at: 0, byteCount: .max), saying: "4294967295 bytes at 0 do not fit what came, or the configuration space"),
    Wrong("write where none may", .setConfiguration, configurationWrite(at: 12, byteCount: 8), saying: "8 bytes at 12 cannot be written"),
    Wrong("in-flight record of no queues", .getInflightDescriptor, words(0, 0) + [0, 0, 64, 0], saying: "0 queues of 64 entries: this device has 2 queues"),
    Wrong("in-flight record of too many queues", .getInflightDescriptor, words(0, 0) + [3, 0, 64, 0], saying: "3 queues of 64 entries: this device has 2 queues"),
    Wrong("in-flight record of huge queues", .getInflightDescriptor, words(0, 0) + [1, 0, 255, 255], saying: "1 queues of 65535 entries: this device has 2 queues"),
    Wrong("a region that is not there", .removeMemoryRegion, words(0, 0x1000, 0x2000, 0x3000, 0), saying: "there is no region of 8192 bytes at 0x1000"),
    Wrong("a second owner", .setOwner, saying: "this connection has been set up already"),
  ]

  @Test(arguments: messages)
  func endsTheConnectionWithOneLineAndClosesWhatCame(wrong: Wrong) throws {
    let vmm = try TestVMM()
    try vmm.negotiate()
    let given = try (0..<wrong.descriptorCount).map { _ in try WatchedDescriptor() }
    try vmm.send(wrong.request, wrong.payload, descriptors: given.map(\.rawValue), flags: wrong.flags, announcing: wrong.announced)
    for descriptor in given { descriptor.letGo() }
    #expect(vmm.ending()?.description == wrong.line)
    #expect(vmm.turns.run { given.allSatisfy(\.isClosed) })
  }

  @Test func refusesMoreDescriptorsThanAMessageCanHave() throws {
    let vmm = try TestVMM()
    let given = try (0..<9).map { _ in try WatchedDescriptor() }
    // In two pieces: so many do not fit one call.
    let message = bytesOf(VhostUserRequest.setMemoryTable.rawValue) + bytesOf(UInt32(1)) + bytesOf(UInt32(264))
    try vmm.write(Array(message.prefix(6)), descriptors: given.prefix(8).map(\.rawValue))
    vmm.turns.loop.turn(maySleep: false)
    try vmm.write(Array(message.suffix(6)), descriptors: given.suffix(1).map(\.rawValue))
    for descriptor in given { descriptor.letGo() }
    #expect(vmm.ending()?.description == "connection: more than 8 descriptors came with one message")
    #expect(vmm.turns.run { given.allSatisfy(\.isClosed) })
  }

  @Test(arguments: 1..<20)
  func noticesAConnectionThatEndsWithinAMessage(byteCount: Int) throws {
    let vmm = try TestVMM()
    let message = bytesOf(VhostUserRequest.setFeatures.rawValue) + bytesOf(UInt32(1)) + bytesOf(UInt32(8)) + words(0)
    try vmm.write(Array(message.prefix(byteCount)))
    vmm.hangUp()
    #expect(vmm.failure?.description == "connection: it ended within a message")
  }

  @Test func saysNothingOfAVMMThatGoesBetweenMessages() throws {
    let vmm = try TestVMM()
    try vmm.negotiate()
    _ = try vmm.ask(.getFeatures)
    vmm.hangUp()
    #expect(vmm.isOver && vmm.failure == nil)
  }

  @Test func endsTheConnectionOfAVMMThatDoesNotReadWhatItAskedFor() throws {
    let vmm = try TestVMM()
    // More questions than the kernel keeps answers: never blocking, whichever side is full first.
    var sent = 0
    while !vmm.isOver, sent < 1_000_000 {
      do { try vmm.sendWithoutWaiting(.getFeatures) } catch Errno.wouldBlock {} catch { break }
      sent += 1
      vmm.turns.loop.turn(maySleep: false)
    }
    #expect(vmm.ending()?.description == "connection: the VMM does not read what it asked for")
  }

  @Test func anotherVMMIsServedAfterABadOne() throws {
    let turns = try TestLoop()
    let device = TestDevice(loop: turns.loop)
    for _ in 0..<3 {
      let bad = try TestVMM(device, on: turns)
      try bad.send(77, announcing: 0)
      #expect(bad.ending() != nil)
      let good = try TestVMM(device, on: turns)
      #expect(word64(try good.ask(.getQueueNumber).payload) == 2)
      good.hangUp()
    }
  }

  /// A seeded stream of messages that are right in form more often than not: whatever comes of it, this process lives, and another VMM is
  /// served afterwards.
  @Test(arguments: 0..<40 as Range<UInt64>)
  func survivesRandomMessages(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let turns = try TestLoop()
    let device = TestDevice(loop: turns.loop)
    let guest = try TestGuest()
    let vmm = try TestVMM(device, on: turns)
    try vmm.negotiate()
    try vmm.setMemory(guest)
    for _ in 0..<200 where !vmm.isOver {
      guard let request = VhostUserRequest.allCases.randomElement(using: &random), request != .setOwner else { continue }
      let small: [UInt64] = [0, 1, 2, 64, 0x100, 1 << 32, 64 << 32, TestGuest.userAddress, TestGuest.guestAddress, .max]
      let count = [0, 8, 16, 20, 40].randomElement(using: &random) ?? 0
      let payload = Array((0..<count).flatMap { _ in bytesOf(small.randomElement(using: &random) ?? 0) }.prefix(count))
      let descriptors = Bool.random(using: &random) ? [guest.file.rawValue] : []
      guard (try? vmm.send(request, payload, descriptors: descriptors)) != nil else { break }
      turns.loop.turn(maySleep: false)
    }
    vmm.hangUp()
    #expect(device.running.isEmpty)
    let next = try TestVMM(device, on: turns)
    #expect(word64(try next.ask(.getQueueNumber).payload) == 2, "seed \(seed)")
  }
}
