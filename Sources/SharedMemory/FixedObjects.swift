/// A fixed number of objects, made once, that live as long as the table: what a data path passes around without counting references.
///
/// Taken out of an array or a ``FixedTable``, an object is retained and released around each use: two atomic operations, several times
/// a frame. Here the table itself is the owner, for good, and an object is lent to a closure.
@safe public struct FixedObjects<Object: AnyObject>: ~Copyable {
  @usableFromInline let base: UnsafeMutablePointer<Unmanaged<Object>>
  public let count: Int

  /// A table of `count` objects, each made by `object` from its index.
  public init(count: Int, _ object: (Int) -> Object) {
    precondition(count >= 0)
    unsafe base = .allocate(capacity: max(1, count))
    for index in 0..<count { unsafe (base + index).initialize(to: .passRetained(object(index))) }
    self.count = count
  }

  deinit {
    for index in 0..<count { unsafe base[index].release() }
    unsafe base.deallocate()
  }

  /// Lends object `index` to `body`. To be kept beyond it, it has to be taken by the subscript.
  @inlinable @inline(__always) public func withObject<Result>(_ index: Int, _ body: (Object) -> Result) -> Result {
    precondition(index >= 0 && index < count, "index outside its table")
    // SAFETY: checked just above; all `count` places were initialised, and none is released or replaced before the table is, which the
    // caller holds during the call.
    return unsafe base[index]._withUnsafeGuaranteedRef(body)
  }

  /// Object `index`, retained.
  @inlinable public subscript(index: Int) -> Object {
    precondition(index >= 0 && index < count, "index outside its table")
    // SAFETY: as above.
    return unsafe base[index].takeUnretainedValue()
  }
}
