/// The `driver:` section: a protocol of our own, what carries it, and the code around it.
struct DriverSection: Sendable {
  /// Which way a request's data goes, as the file spells it and as Swift does.
  enum DataDirection: String, CaseIterable, Sendable {
    case toBackend = "to_backend"
    case toFrontend = "to_frontend"
    case both

    var swiftName: String {
      switch self {
      case .toBackend: "toBackend"
      case .toFrontend: "toFrontend"
      case .both: "both"
      }
    }
  }

  /// What the framework can carry a driver over.
  enum TransportKind: String, CaseIterable, Sendable {
    case requestRing = "request-ring"
    case mailbox
    case eventRing = "event-ring"
    case byteStream = "byte-stream"

    /// Keys of the section beside those that all drivers have.
    var keys: Set<String> {
      switch self {
      case .requestRing: ["request", "response", "data", "repeatable", "ring_page_order"]
      case .mailbox: ["request", "response", "data", "repeatable"]
      case .eventRing: ["to_frontend", "from_frontend"]
      case .byteStream: ["ring_page_order"]
      }
    }

    /// What a ring can be, as log2 of pages; the first is what it is when the file does not say.
    var ringPageOrders: (usual: Int, range: ClosedRange<Int>) {
      self == .byteStream ? (3, 1...DriverSection.largestRingPageOrder) : (0, 0...DriverSection.largestRingPageOrder)
    }

    /// Whether requests are answered.
    var hasRequests: Bool { self == .requestRing || self == .mailbox }

    var summary: String {
      switch self {
      case .requestRing: "One shared ring of requests and responses, and one event channel"
      case .mailbox: "A shared page with one request or response at a time, and one event channel"
      case .eventRing: "One shared page with a ring of events each way, and one event channel"
      case .byteStream: "A byte ring each way, described by a page, and one event channel"
      }
    }

    var kind: Transport.Kind {
      switch self {
      case .requestRing: .ring
      case .mailbox: .mailbox
      case .eventRing: .events
      case .byteStream: .stream
      }
    }
  }

  /// Something that the engine counts, for the status file.
  struct Counter: Sendable {
    let name: String
    let doc: String
    let location: SourceLocation
  }

  /// How the two ends of a feature arrive at a common value.
  enum Agreement: String, CaseIterable, Sendable {
    /// A yes of both.
    case both
    /// The smaller number.
    case minimum
    /// The back-end says it; the front-end only reads.
    case backend
  }

  struct Feature: Sendable {
    let key: String
    let swiftName: String
    let type: KeyType
    let agreement: Agreement
    /// What this build has.
    let value: String
    /// What an end has that does not say.
    let absent: String
    let minimum: UInt64?
    let maximum: UInt64?
    let doc: String
    let location: SourceLocation
  }

  /// First word of the generated types, and of the folder: `Entropy`.
  let prefix: String
  /// Name in commands and store paths: `entropy`.
  let kind: String
  let transport: TransportKind
  let minimumVersion: Int
  let version: Int
  let isRepeatable: Bool
  let ringPageOrder: Int
  /// Pages that a request can name; 0: requests have no data.
  let dataPageCount: Int
  let dataDirection: DataDirection
  let features: [Feature]
  let counters: [Counter]
  /// For each of the author's fields that came later than version 1: record, field, version.
  let laterFields: [(record: String, field: String, version: Int)]
  let location: SourceLocation

  /// Largest ring entry in bytes (`DriverLimits.entryByteCount`).
  static let largestEntry = 512
  static let largestRingPageOrder = 4
  static let mostDataPages = 64
}
