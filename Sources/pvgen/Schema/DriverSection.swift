/// The `driver:` section: a protocol of our own with one ring of requests and responses, and the code around it.
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
    case ring
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
  let minimumVersion: Int
  let version: Int
  let isRepeatable: Bool
  let ringPageOrder: Int
  /// Pages that a request can name; 0: requests have no data.
  let dataPageCount: Int
  let dataDirection: DataDirection
  let features: [Feature]
  /// For each of the author's fields that came later than version 1: record, field, version.
  let laterFields: [(record: String, field: String, version: Int)]
  let location: SourceLocation

  /// Largest ring entry in bytes (`RequestRingLimits.entryByteCount`).
  static let largestEntry = 512
  static let largestRingPageOrder = 4
  static let mostDataPages = 64
}
