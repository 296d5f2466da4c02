import SharedMemory

/// The ports of a switch by number: lent to whoever passes frames on, without counting references. Changed between frames only.
final class SwitchPorts {
  private let slots = FixedCell(ObjectSlots<SwitchPortState>(count: 16))
  private let end = FixedCell(0)

  /// One more than the highest number that was ever in use.
  var count: Int { @inline(__always) get { end.value } }

  /// The port with a number, retained; nil when there is none.
  subscript(index: Int) -> SwitchPortState? { index < end.value ? slots.value[index] : nil }

  /// Lends the port with a number to `body`; nil when there is none.
  @inline(__always) func withPort<Result>(_ index: Int, _ body: (SwitchPortState) -> Result) -> Result? { slots.value.withObject(index, body) }

  /// All ports.
  var all: [SwitchPortState] { (0..<end.value).compactMap { slots.value[$0] } }

  /// Takes a port in, and returns its number: one that is free.
  func add(_ port: SwitchPortState) -> Int {
    let index = (0..<end.value).first { slots.value[$0] == nil } ?? end.value
    if index == slots.value.count { grow() }
    slots.value[index] = port
    end.value = max(end.value, index + 1)
    return index
  }

  func remove(_ index: Int) { slots.value[index] = nil }

  private func grow() {
    let larger = ObjectSlots<SwitchPortState>(count: slots.value.count * 2)
    for index in 0..<slots.value.count { larger[index] = slots.value[index] }
    slots.value = larger
  }
}
