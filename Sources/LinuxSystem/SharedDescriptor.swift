/// A descriptor with several owners in one process, closed when the last one lets go: what tables and outgoing messages hold.
public final class SharedDescriptor: Sendable {
  public let descriptor: OwnedDescriptor

  public init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }

  /// Takes over a descriptor that nobody else closes.
  public convenience init(owning rawValue: Int32) { self.init(OwnedDescriptor(owning: rawValue)) }

  /// Valid as long as this object lives.
  public var rawValue: Int32 { descriptor.rawValue }
}
