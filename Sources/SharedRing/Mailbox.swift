public import SharedMemory

/// A page that holds one message at a time and a byte that says whose turn it is: `struct tpmif_shared_page`
/// (xen/include/public/io/tpmif.h).
public enum MailboxLayout {
  /// Bytes of the message (u32).
  @inlinable static var length: Int { 0 }
  /// Whose turn it is (u8, `enum tpmif_state`).
  @inlinable static var state: Int { 4 }
  /// What the message is about, for the protocol above (`locality`, u8).
  @inlinable static var locality: Int { 5 }
  /// Further pages of the message (u8); their references follow. This end offers none.
  @inlinable static var extraPageCount: Int { 7 }
  /// Where the message is when there are no further pages.
  @inlinable static var message: Int { 8 }

  /// Most bytes of a message in a page of `byteCount`.
  @inlinable public static func capacity(of byteCount: Int) -> Int { byteCount - message }
}

/// `enum tpmif_state`.
public enum MailboxState: UInt8, Sendable, CaseIterable {
  /// Nothing is under way (`TPMIF_STATE_IDLE`).
  case idle = 0
  /// The front-end's message is complete (`TPMIF_STATE_SUBMIT`).
  case submitted = 1
  /// The back-end's answer is complete (`TPMIF_STATE_FINISH`).
  case finished = 2
  /// The front-end does not want an answer any more (`TPMIF_STATE_CANCEL`).
  case cancelled = 3
}

/// What a peer wrote into a mailbox that no honest one does.
public enum MailboxFault: Error, Sendable, Equatable, CustomStringConvertible {
  case state(UInt8)
  case length(UInt32, capacity: Int)
  case extraPages(UInt8)

  public var description: String {
    switch self {
    case .state(let state): "the mailbox's state is \(state), which is none"
    case .length(let length, let capacity): "the mailbox's message has \(length) bytes; at most \(capacity) fit"
    case .extraPages(let count): "the mailbox names \(count) further pages; none were agreed on"
    }
  }
}

/// The front-end's side of a mailbox. Belongs to one thread.
public struct MailboxFront: ~Copyable {
  private let memory: SharedBytes
  private var isWaiting = false

  /// Makes an empty mailbox in a page that the back-end has not seen yet.
  public init(initializing memory: SharedBytes) {
    precondition(memory.byteCount > MailboxLayout.message)
    self.memory = memory
    memory.zero(at: 0, byteCount: memory.byteCount)
  }

  /// Hands a message over; the back-end is then to be signalled. False while another one is under way.
  /// - Precondition: it fits, ``MailboxLayout/capacity(of:)``.
  public mutating func submit(_ message: [UInt8], locality: UInt8 = 0) -> Bool {
    precondition(message.count <= MailboxLayout.capacity(of: memory.byteCount), "a message larger than its mailbox")
    let state = memory.load8(at: MailboxLayout.state)
    guard !isWaiting, state == MailboxState.idle.rawValue || state == MailboxState.finished.rawValue else { return false }
    memory.copyIn(message, at: MailboxLayout.message)
    memory.store32(UInt32(message.count), at: MailboxLayout.length)
    memory.store8(locality, at: MailboxLayout.locality)
    memory.store8(0, at: MailboxLayout.extraPageCount)
    // The message is complete before its state says so; pairs with the fence in MailboxBack.take.
    sharedMemoryFence()
    memory.store8(MailboxState.submitted.rawValue, at: MailboxLayout.state)
    isWaiting = true
    return true
  }

  /// Whether ``takeAnswer()`` may return or throw something: a look for the sake of scheduling.
  public var hasNews: Bool { isWaiting && ![MailboxState.submitted.rawValue, MailboxState.cancelled.rawValue].contains(memory.load8(at: MailboxLayout.state)) }

  /// The answer, once it is there. Throws when the back-end wrote what no honest one does.
  public mutating func takeAnswer() throws(MailboxFault) -> [UInt8]? {
    guard isWaiting else { return nil }
    switch try MailboxState(checking: memory) {
    case .submitted, .cancelled: return nil
    case .idle:
      // Cancelled, and the back-end let go of it.
      isWaiting = false
      return nil
    case .finished:
      isWaiting = false
      return try memory.mailboxMessage()
    }
  }

  /// Gives an answer up; the back-end is then to be signalled, and frees the mailbox when it has seen it.
  public mutating func cancel() {
    guard isWaiting else { return }
    memory.store8(MailboxState.cancelled.rawValue, at: MailboxLayout.state)
  }
}

/// The back-end's side of a mailbox. Belongs to one thread.
public struct MailboxBack: ~Copyable {
  private let memory: SharedBytes
  private var isAnswering = false

  public init(attaching memory: SharedBytes) {
    precondition(memory.byteCount > MailboxLayout.message)
    self.memory = memory
  }

  /// Whether ``take()`` would do something: a look for the sake of scheduling.
  public var hasNews: Bool { ![MailboxState.idle.rawValue, MailboxState.finished.rawValue].contains(memory.load8(at: MailboxLayout.state)) }

  /// The next message and its locality, copied once; nil when there is none, or while one waits for its answer.
  public mutating func take() throws(MailboxFault) -> (message: [UInt8], locality: UInt8)? {
    switch try MailboxState(checking: memory) {
    case .idle, .finished: return nil
    case .cancelled:
      isAnswering = false
      memory.store8(MailboxState.idle.rawValue, at: MailboxLayout.state)
      return nil
    case .submitted:
      guard !isAnswering else { return nil }
      let locality = memory.load8(at: MailboxLayout.locality)
      let message = try memory.mailboxMessage()
      isAnswering = true
      return (message, locality)
    }
  }

  /// Puts the answer to the message that was taken; the front-end is then to be signalled. Nobody gets it when the front-end has
  /// cancelled meanwhile.
  public mutating func answer(_ message: [UInt8]) {
    precondition(isAnswering, "an answer to nothing")
    precondition(message.count <= MailboxLayout.capacity(of: memory.byteCount), "an answer larger than its mailbox")
    isAnswering = false
    memory.copyIn(message, at: MailboxLayout.message)
    memory.store32(UInt32(message.count), at: MailboxLayout.length)
    // Pairs with the fence in MailboxFront.takeAnswer.
    sharedMemoryFence()
    memory.store8(MailboxState.finished.rawValue, at: MailboxLayout.state)
  }
}

extension MailboxState {
  fileprivate init(checking memory: SharedBytes) throws(MailboxFault) {
    let raw = memory.load8(at: MailboxLayout.state)
    // What was stored before the state is seen after it.
    sharedMemoryLoadFence()
    guard let state = MailboxState(rawValue: raw) else { throw .state(raw) }
    self = state
  }
}

extension SharedBytes {
  /// A copy of the message, as long as the length that was read once says.
  fileprivate func mailboxMessage() throws(MailboxFault) -> [UInt8] {
    let extra = load8(at: MailboxLayout.extraPageCount)
    guard extra == 0 else { throw .extraPages(extra) }
    let length = load32(at: MailboxLayout.length)
    let capacity = MailboxLayout.capacity(of: byteCount)
    guard length <= capacity else { throw .length(length, capacity: capacity) }
    return copyOut(at: MailboxLayout.message, byteCount: Int(length))
  }
}
