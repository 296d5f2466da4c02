public import XenInterface

/// A control request with values that make sense.
public enum NetControlRequest: Sendable, Equatable {
  /// Which hash types the back-end knows. Data of the response: `NetifHashTypes`.
  case hashTypes
  /// Use these hash types; none: no hash.
  case setHashTypes(NetifHashTypes)
  /// Use the key at the start of a page; no bytes: clear it. The rest of a key is zero.
  case setHashKey(GrantReference, byteCount: Int)
  /// How large the table from hash to queue may be. Data of the response: entries.
  case hashMappingSize
  /// Begin a new table of zeros; no entries: the remainder of hash and queue count is used instead.
  case setHashMappingSize(entryCount: Int)
  /// Set a part of the table from a page of 32-bit queue numbers. Each of them is still to be checked when it was copied:
  /// ``NetControlLimits/queueCount`` is not allowed any more.
  case setHashMapping(GrantReference, entryCount: Int, firstEntry: Int)
  case setHashAlgorithm(NetifHashAlgorithm)
  /// How many grants of a queue the back-end keeps mapped. Data of the response: their number.
  case grantMappingSize(queue: Int)
  /// Keep the grants mapped that a page of `NetifGrantMapping` names, all or none of them.
  case addGrantMappings(queue: Int, GrantReference, entryCount: Int)
  /// Keep them mapped no longer. Their status in the page says whether they were. Data of the response: their number.
  case removeGrantMappings(queue: Int, GrantReference, entryCount: Int)
}

/// What control requests are held against.
public struct NetControlLimits: Sendable, Equatable {
  /// Queues in use.
  public var queueCount: Int
  /// Entries of the current table from hash to queue.
  public var hashMappingEntryCount: Int
  /// Most entries that table may have.
  public var maximumHashMappingEntryCount: Int
  /// Longest key in bytes.
  public var hashKeyByteCount: Int
  /// Hash types that are known.
  public var hashTypes: NetifHashTypes

  public init(
    queueCount: Int, hashMappingEntryCount: Int = 0, maximumHashMappingEntryCount: Int = NetifLimits.hashMappingEntryCount,
    hashKeyByteCount: Int = NetifLimits.hashKeyByteCount, hashTypes: NetifHashTypes = [.ipv4, .ipv4TCP, .ipv6, .ipv6TCP]
  ) {
    self.queueCount = queueCount
    self.hashMappingEntryCount = hashMappingEntryCount
    self.maximumHashMappingEntryCount = maximumHashMappingEntryCount
    self.hashKeyByteCount = hashKeyByteCount
    self.hashTypes = hashTypes
  }
}

/// Why a control request is refused: the status of its response.
public struct NetControlRefusal: Error, Sendable, Equatable {
  public let status: NetifControlStatus

  public init(_ status: NetifControlStatus) { self.status = status }
}

// MARK: - On the wire

extension NetControlRequest {
  /// What `request` asks for. Throws the status to answer with when it does not exist, or breaks one of `limits`. Data that a type
  /// does not use is not looked at.
  public init(checking request: NetifControlRequest, _ limits: NetControlLimits) throws(NetControlRefusal) {
    let first = request.data(at: 0)
    let second = request.data(at: 1)
    let third = request.data(at: 2)
    switch NetifControlType(rawValue: request.type) {
    case nil, .invalid: throw NetControlRefusal(.notSupported)
    case .getHashFlags: self = .hashTypes
    case .setHashFlags:
      let types = NetifHashTypes(rawValue: first)
      guard types.isSubset(of: limits.hashTypes) else { throw NetControlRefusal(.invalidParameter) }
      self = .setHashTypes(types)
    case .setHashKey:
      guard second <= limits.hashKeyByteCount else { throw NetControlRefusal(.bufferOverflow) }
      self = .setHashKey(GrantReference(rawValue: first), byteCount: Int(second))
    case .getHashMappingSize: self = .hashMappingSize
    case .setHashMappingSize:
      guard first <= limits.maximumHashMappingEntryCount else { throw NetControlRefusal(.invalidParameter) }
      self = .setHashMappingSize(entryCount: Int(first))
    case .setHashMapping:
      // In 64 bits: the sum of two 32-bit numbers of the front-end does not fit 32 (XSA-270).
      guard Int(third) + Int(second) <= limits.hashMappingEntryCount, second <= NetifLimits.hashMappingEntriesPerPage else {
        throw NetControlRefusal(.invalidParameter)
      }
      self = .setHashMapping(GrantReference(rawValue: first), entryCount: Int(second), firstEntry: Int(third))
    case .setHashAlgorithm:
      guard let number = UInt8(exactly: first), let algorithm = NetifHashAlgorithm(rawValue: number) else {
        throw NetControlRefusal(.invalidParameter)
      }
      self = .setHashAlgorithm(algorithm)
    case .getGrantMappingSize:
      self = .grantMappingSize(queue: try Self.queue(first, limits))
    case .addGrantMapping:
      self = .addGrantMappings(queue: try Self.queue(first, limits), GrantReference(rawValue: second), entryCount: try Self.mappings(third))
    case .removeGrantMapping:
      self = .removeGrantMappings(queue: try Self.queue(first, limits), GrantReference(rawValue: second), entryCount: try Self.mappings(third))
    }
  }

  private static func queue(_ number: UInt32, _ limits: NetControlLimits) throws(NetControlRefusal) -> Int {
    guard number < limits.queueCount else { throw NetControlRefusal(.invalidParameter) }
    return Int(number)
  }

  private static func mappings(_ number: UInt32) throws(NetControlRefusal) -> Int {
    guard number <= NetifLimits.grantMappingsPerPage else { throw NetControlRefusal(.invalidParameter) }
    return Int(number)
  }

  /// The request as it is put on the ring.
  ///
  /// - Precondition: counts are not negative and fit 32 bits.
  public func message(identifier: UInt16) -> NetifControlRequest {
    switch self {
    case .hashTypes: NetifControlRequest(identifier, .getHashFlags)
    case .setHashTypes(let types): NetifControlRequest(identifier, .setHashFlags, types.rawValue)
    case .setHashKey(let grant, let byteCount): NetifControlRequest(identifier, .setHashKey, grant.rawValue, UInt32(byteCount))
    case .hashMappingSize: NetifControlRequest(identifier, .getHashMappingSize)
    case .setHashMappingSize(let entryCount): NetifControlRequest(identifier, .setHashMappingSize, UInt32(entryCount))
    case .setHashMapping(let grant, let entryCount, let firstEntry):
      NetifControlRequest(identifier, .setHashMapping, grant.rawValue, UInt32(entryCount), UInt32(firstEntry))
    case .setHashAlgorithm(let algorithm): NetifControlRequest(identifier, .setHashAlgorithm, UInt32(algorithm.rawValue))
    case .grantMappingSize(let queue): NetifControlRequest(identifier, .getGrantMappingSize, UInt32(queue))
    case .addGrantMappings(let queue, let grant, let entryCount):
      NetifControlRequest(identifier, .addGrantMapping, UInt32(queue), grant.rawValue, UInt32(entryCount))
    case .removeGrantMappings(let queue, let grant, let entryCount):
      NetifControlRequest(identifier, .removeGrantMapping, UInt32(queue), grant.rawValue, UInt32(entryCount))
    }
  }
}

extension NetifControlRequest {
  fileprivate init(_ identifier: UInt16, _ type: NetifControlType, _ first: UInt32 = 0, _ second: UInt32 = 0, _ third: UInt32 = 0) {
    self.init()
    self.identifier = identifier
    self.type = type.rawValue
    setData(first, at: 0)
    setData(second, at: 1)
    setData(third, at: 2)
  }
}

extension NetifControlResponse {
  /// The answer to `request`.
  public init(to request: NetifControlRequest, _ status: NetifControlStatus, data: UInt32 = 0) {
    self.init()
    identifier = request.identifier
    type = request.type
    self.status = status.rawValue
    self.data = data
  }

  /// How the request went; nil when the back-end says something that does not exist.
  public var outcome: NetifControlStatus? { NetifControlStatus(rawValue: status) }
}
