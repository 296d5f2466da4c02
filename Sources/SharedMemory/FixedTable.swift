/// A fixed number of private records, made once and used by one thread: what a data path keeps per request.
///
/// Held in a `let`, an access costs a bounds check and nothing else. An array in a class costs a run-time check for
/// overlapping accesses each time, and one for sharing at each change: together more than all the rest of a request.
@safe public struct FixedTable<Element>: ~Copyable {
  @usableFromInline let base: UnsafeMutablePointer<Element>
  public let count: Int

  /// A table of `count` records, each made by `element` from its index.
  public init(count: Int, _ element: (Int) -> Element) {
    precondition(count >= 0)
    unsafe base = .allocate(capacity: max(1, count))
    for index in 0..<count { unsafe (base + index).initialize(to: element(index)) }
    self.count = count
  }

  /// A table of `count` equal records.
  public init(repeating element: Element, count: Int) { self.init(count: count) { _ in element } }

  deinit {
    unsafe base.deinitialize(count: count)
    unsafe base.deallocate()
  }

  @inlinable public subscript(index: Int) -> Element {
    @inline(__always) _read {
      precondition(index >= 0 && index < count, "index outside its table")
      // SAFETY: checked just above; all `count` records were initialised.
      yield unsafe base[index]
    }
    @inline(__always) nonmutating _modify {
      precondition(index >= 0 && index < count, "index outside its table")
      // SAFETY: checked just above. Overlapping changes of one record would need a second thread, or a callee that is
      // handed the record and changes it through the table: neither happens to state that one loop owns.
      yield unsafe &base[index]
    }
  }
}

/// One private value at a fixed place, changed without run-time checks for overlapping accesses. For the state of an
/// object that one loop owns; see ``FixedTable``.
@safe public struct FixedCell<Value: ~Copyable>: ~Copyable {
  @usableFromInline let pointer: UnsafeMutablePointer<Value>

  @inlinable public init(_ value: consuming Value) {
    unsafe pointer = .allocate(capacity: 1)
    unsafe pointer.initialize(to: value)
  }

  @inlinable deinit {
    unsafe pointer.deinitialize(count: 1)
    unsafe pointer.deallocate()
  }

  @inlinable public var value: Value {
    @inline(__always) _read {
      // SAFETY: initialised, and alive as long as `self`.
      yield unsafe pointer.pointee
    }
    @inline(__always) nonmutating _modify {
      // SAFETY: as above; see FixedTable on overlapping changes.
      yield unsafe &pointer.pointee
    }
  }
}
