public import EventLoop
public import LinuxSystem
public import PVDriver
import SharedMemory
public import SharedRing
public import SystemPackage
import XenInterface
import XenPlatform

/// One end of a vchan, between its rings and descriptors of this process. Loop thread only.
///
/// A vchan cannot be closed in one direction. So an end whose input has ended stays until the peer has taken everything, and then leaves;
/// one whose input was empty only listens, until the peer leaves.
public final class VchanEndpoint: ByteStreamPump {
  /// How it ended.
  public enum Ending: Sendable, Equatable, CustomStringConvertible {
    /// The peer left, and everything that it had written was passed on.
    case peerLeft
    /// All of the input was sent and taken.
    case sent
    /// The output takes nothing any more.
    case outputEnded(Errno)
    /// The peer broke a rule of the ring.
    case broken(String)

    public var description: String {
      switch self {
      case .peerLeft: "the other end has left"
      case .sent: "everything was sent"
      case .outputEnded(let errno): "the output takes nothing any more: \(errno)"
      case .broken(let fault): "the other end broke a rule: \(fault)"
      }
    }
  }

  private let page: VchanPage
  private let side: VchanPage.Side
  private let staysOpen: Bool
  private var onEnd: ((Ending) -> Void)?
  private var peerIsDead = false
  private var channel: EventChannel?

  /// - Parameters:
  ///   - staysOpen: do not leave when the input has ended.
  ///   - onEnd: called once.
  init(
    page: VchanPage, side: VchanPage.Side, loop: EventLoop, streams: VchanStreams, polling: PollingPolicy, onEnd: @escaping (Ending) -> Void
  ) throws(Errno) {
    self.page = page
    self.side = side
    staysOpen = streams.staysOpen
    self.onEnd = onEnd
    try super.init(loop: loop, input: streams.input, output: streams.output, polling: polling)
  }

  /// Begins to move bytes.
  func begin(_ connection: ByteStreamConnection) {
    channel = connection.channel
    connect(connection) { [unowned self] in end(.broken("\($0)")) }
    // A client wakes the server, which does not know yet that it has come.
    if side == .client { signalPeer() }
  }

  /// Leaves: the peer can still read what was put in before. `done` is called when everything has been given back.
  public func leave(_ done: @escaping () -> Void) {
    onEnd = nil
    channel?.onPeerClosed(nil)
    channel = nil
    page.leave(side)
    signalPeer()
    disconnect { [self] _ in close(done) }
  }

  public override func transfer(_ connection: ByteStreamConnection) throws(ByteStreamFault) -> Service {
    let outcome = try super.transfer(connection)
    guard outcome == .idle, !isWriting, peerHasLeft else { return outcome }
    // What it wrote before it left was visible before it said so: one more look.
    if connection.cell.value.consumer.mayHaveBytes { return .moreToDo }
    end(.peerLeft)
    return .worked
  }

  public override func ended(_ ending: ByteStreamPump.Ending) {
    switch ending {
    case .inputEnded: break
    case .drained: if hasReadInput, !staysOpen { end(.sent) }
    case .outputEnded(let errno): end(.outputEnded(errno))
    }
  }

  private var peerHasLeft: Bool { peerIsDead || page.liveness(of: side == .server ? .client : .server) == .gone }

  /// Nobody holds the other end of the event channel any more.
  func peerDied() { peerIsDead = true }

  private func end(_ ending: Ending) {
    guard let onEnd = onEnd.take() else { return }
    onEnd(ending)
  }
}

/// What a vchan's end is connected to in this process.
public struct VchanStreams: Sendable {
  /// What is sent; nil: nothing.
  public var input: SharedDescriptor?
  /// What takes what arrives; nil: it is thrown away.
  public var output: SharedDescriptor?
  /// Do not leave when the input has ended and everything was taken.
  public var staysOpen: Bool

  public init(input: SharedDescriptor?, output: SharedDescriptor?, staysOpen: Bool = false) {
    self.input = input
    self.output = output
    self.staysOpen = staysOpen
  }
}
