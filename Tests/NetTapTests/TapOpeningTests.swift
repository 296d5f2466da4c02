import LinuxSystem
import NetPackets
import NetTap
import Testing

/// What an interface is like when it is opened, and one clear line when it cannot be.
@Suite(.serialized, .enabled(if: Sandbox.isPossible, Sandbox.reason)) struct TapOpeningTests {
  private func failure(_ configuration: TapConfiguration) -> TapError? {
    do {
      _ = try TapInterface.open(configuration)
      return nil
    } catch {
      return error
    }
  }

  @Test func aNewInterfaceIsUpWithoutCarrierAndGoesAwayWhenItIsClosed() throws {
    let sandbox = try Sandbox()
    do {
      var configuration = sandbox.configuration("t0")
      configuration.mtu = 9000
      configuration.address = MACAddress(rawValue: 0x0200_0000_0042)
      let tap = try TapInterface.open(configuration)
      #expect(tap.wasCreated && tap.mtu == 9000)
      var report = try tap.report()
      #expect(report.isUp && !report.hasCarrier && report.mtu == 9000 && report.kind == "tun")
      #expect(report.address == [2, 0, 0, 0, 0, 0x42])
      #expect(report.tun?.isTap == true && report.tun?.isPersistent == false)
      try tap.setCarrier(true)
      report = try tap.report()
      #expect(report.hasCarrier)
      let seen = try sandbox.ip("link", "show", "t0")
      #expect(seen.contains("mtu 9000") && seen.contains("02:00:00:00:00:42") && !seen.contains("NO-CARRIER"), "\(seen)")
    }
    try sandbox.waitUntilGone("t0")
  }

  @Test func aPersistentInterfaceStaysAndIsAttachedTo() throws {
    let sandbox = try Sandbox()
    var configuration = sandbox.configuration("t0")
    configuration.isPersistent = true
    configuration.mtu = 1400
    do { _ = try TapInterface.open(configuration) }
    configuration.opening = .attach
    configuration.isPersistent = nil
    configuration.mtu = nil
    do {
      let tap = try TapInterface.reopen(configuration)
      #expect(!tap.wasCreated && tap.mtu == 1400)
      #expect(try tap.report().tun?.isPersistent == true)
    }
    configuration.isPersistent = false
    do { _ = try TapInterface.reopen(configuration) }
    try sandbox.waitUntilGone("t0")
    #expect(failure(configuration) == .missing(name: "t0", sandbox.namespace()))
  }

  @Test func interfacesOfOtherProgramsAreAttachedToWithOneQueueOrSeveral() throws {
    let sandbox = try Sandbox()
    try sandbox.ip("tuntap", "add", "t1", "mode", "tap")
    try sandbox.ip("tuntap", "add", "t4", "mode", "tap", "multi_queue")
    for (name, count) in [("t1", 1), ("t4", 1), ("t4", 4)] {
      var configuration = sandbox.configuration(name, queueCount: count)
      configuration.opening = .attach
      let tap = try TapInterface.reopen(configuration)
      #expect(tap.queues.count == count)
      #expect(try tap.report().tun?.queueCount == (name == "t1" ? nil : count))
    }
    #expect(failure(sandbox.configuration("t1", queueCount: 2)) == .notMultiQueue(name: "t1", queueCount: 2))
  }

  @Test(arguments: [1, 3] as [Int])
  func anInterfaceInUseIsRefusedAndLeftAlone(queueCount: Int) throws {
    let sandbox = try Sandbox()
    let configuration = sandbox.configuration("t0", queueCount: queueCount)
    let tap = try TapInterface.open(configuration)
    #expect(failure(configuration) == .busy(name: "t0"))
    #expect(try tap.report().tun?.queueCount == (queueCount > 1 ? queueCount : nil))
    var fresh = configuration
    fresh.opening = .create
    #expect(failure(fresh) == .exists(name: "t0"))
  }

  @Test func somethingElseOfTheNameIsSaid() throws {
    let sandbox = try Sandbox()
    try sandbox.ip("link", "add", "v0", "type", "veth", "peer", "name", "v1")
    try sandbox.ip("tuntap", "add", "u0", "mode", "tun")
    #expect(failure(sandbox.configuration("v0")) == .notTap(name: "v0", kind: "veth"))
    #expect(failure(sandbox.configuration("u0")) == .notTap(name: "u0", kind: "tun"))
    #expect(failure(sandbox.configuration("lo")) == .notTap(name: "lo", kind: "hardware"))
  }

  @Test func aMissingInterfaceNamespaceOrValueIsSaid() throws {
    let sandbox = try Sandbox()
    var configuration = sandbox.configuration("t0")
    configuration.opening = .attach
    #expect(failure(configuration) == .missing(name: "t0", sandbox.namespace()))
    configuration.opening = .createOrAttach
    configuration.namespace = .named("pvio-tap-nowhere")
    #expect(failure(configuration) == .namespaceMissing(.named("pvio-tap-nowhere")))
    configuration.namespace = .path("/dev/null")
    #expect(failure(configuration) == .notANamespace(.path("/dev/null")))
    configuration.namespace = sandbox.namespace()
    configuration.mtu = 65_518
    #expect(failure(configuration) == .mtuOutOfRange(name: "t0", mtu: 65_518))
    configuration.mtu = nil
    configuration.queueCount = 257
    #expect(failure(configuration) == .queueCountOutOfRange(name: "t0", queueCount: 257))
  }

  @Test func anExistingInterfaceMustHaveTheMTUThatIsAskedFor() throws {
    let sandbox = try Sandbox()
    try sandbox.ip("tuntap", "add", "t0", "mode", "tap")
    var configuration = sandbox.configuration("t0")
    configuration.mtu = 9000
    #expect(failure(configuration) == .mtuMismatch(name: "t0", mtu: 1500, asked: 9000))
    #expect(try sandbox.ip("link", "show", "t0").contains("mtu 1500"))
    configuration.mtu = 1500
    #expect(failure(configuration) == nil)
  }

  @Test func aNamespaceCanBeGivenByTheProcessThatLivesInIt() throws {
    let sandbox = try Sandbox()
    let sleeper = try Program("ip", ["netns", "exec", sandbox.names[0], "sleep", "60"])
    defer { sleeper.end() }
    var configuration = sandbox.configuration("t0")
    // `ip` becomes the program that it was told to run, some time after it has entered the namespace.
    try waitUntil { (try? Program.run("ip", "netns", "pids", sandbox.names[0]).text.contains("\(sleeper.processID)")) == true }
    configuration.namespace = .process(sleeper.processID)
    let tap = try TapInterface.open(configuration)
    #expect(try sandbox.ip("link", "show", "t0").contains("t0"))
    #expect(tap.wasCreated)
  }

  @Test func openingLeavesThisProcessWhereItWas() throws {
    let sandbox = try Sandbox()
    let before = try Program.expect("readlink", "/proc/self/ns/net")
    let tap = try TapInterface.open(sandbox.configuration("t0"))
    #expect(try Program.expect("readlink", "/proc/self/ns/net") == before)
    #expect(try Program.run("ip", "link", "show", "t0").status != 0)
    #expect(tap.wasCreated)
  }
}

/// What is said, whether or not it can be brought about here.
@Suite struct TapErrorTests {
  static let errors: [TapError] = [
    .deviceMissing, .deviceForbidden, .namespaceMissing(.named("blue")), .namespaceForbidden(.named("blue")), .notANamespace(.path("/x")),
    .notPermitted(name: "t0"), .missing(name: "t0", nil), .missing(name: "t0", .named("blue")), .exists(name: "t0"), .busy(name: "t0"),
    .notTap(name: "t0", kind: "veth"), .notMultiQueue(name: "t0", queueCount: 4), .queueCountOutOfRange(name: "t0", queueCount: 0),
    .mtuOutOfRange(name: "t0", mtu: 3), .mtuMismatch(name: "t0", mtu: 1500, asked: 9000), .addressClash(name: "t0", address: "02:00:00:00:00:01"),
  ]

  @Test(arguments: errors)
  func everyErrorIsOneLineThatNamesTheObject(error: TapError) {
    let line = error.description
    #expect(!line.contains("\n") && line.utf8.count < 200, "\(line)")
    #expect(["t0", "/dev/net/tun", "blue", "/x"].contains { line.contains($0) }, "\(line)")
  }

  @Test func missingPermissionSaysWhatToDo() {
    #expect(TapError.notPermitted(name: "t0").description.contains("run as root"))
    #expect(TapError.deviceForbidden.description.contains("run as root"))
    #expect(TapError.deviceMissing.description.contains("modprobe tun"))
  }
}
