/// A fixed number of places for objects, each of which holds one or none: what a data path looks things up in without counting references.
///
/// As ``FixedObjects``, for objects that come and go. Changed by one thread, and never the place whose object is lent at the moment.
@safe public struct ObjectSlots<Object: AnyObject>: ~Copyable {
  @usableFromInline let base: UnsafeMutablePointer<Unmanaged<Object>?>
  public let count: Int

  /// `count` empty places.
  public init(count: Int) {
    precondition(count >= 0)
    unsafe base = .allocate(capacity: max(1, count))
    unsafe base.initialize(repeating: nil, count: max(1, count))
    self.count = count
  }

  deinit {
    for index in 0..<count { unsafe base[index]?.release() }
    unsafe base.deallocate()
  }

  /// The object at a place, retained; nil when it is empty.
  public subscript(index: Int) -> Object? {
    get {
      precondition(index >= 0 && index < count, "index outside its table")
      // SAFETY: checked just above; what is there is held by the table.
      return unsafe base[index]?.takeUnretainedValue()
    }
    nonmutating set {
      precondition(index >= 0 && index < count, "index outside its table")
      // SAFETY: as above; the old object is let go of after the new one is in its place.
      let old = unsafe base[index]
      unsafe base[index] = newValue.map { unsafe .passRetained($0) }
      unsafe old?.release()
    }
  }

  /// Lends the object at a place to `body`; nil when it is empty.
  @inlinable @inline(__always) public func withObject<Result>(_ index: Int, _ body: (Object) -> Result) -> Result? {
    precondition(index >= 0 && index < count, "index outside its table")
    // SAFETY: checked just above; the table holds the object, and its place is not changed during the call.
    guard let object = unsafe base[index] else { return nil }
    return unsafe object._withUnsafeGuaranteedRef(body)
  }
}
