import XenInterface
import Xenbus

/// Every state that a model can reach, and how.
struct Exploration {
  private(set) var states: [DeviceModel] = []
  private var number: [DeviceModel: Int] = [:]
  /// How a state was reached first.
  private var parent: [(state: Int, choice: DeviceModel.Choice)?] = []
  /// Steps that need no fault, backwards.
  private var predecessors: [[Int32]] = []
  /// The first broken rule, with the way there.
  private(set) var violation: String?

  init(from start: DeviceModel, limit: Int) {
    visit(start, nil)
    var next = 0
    while next < states.count && violation == nil && states.count < limit {
      let current = states[next]
      for choice in current.choices() {
        var successor = current
        do {
          try successor.take(choice)
        } catch {
          violation = "\(error)\n" + path(to: next) + "\n  \(choice)"
          break
        }
        let index = visit(successor, (next, choice))
        if !choice.isFault { predecessors[index].append(Int32(next)) }
      }
      next += 1
    }
    if next < states.count && violation == nil { violation = "more than \(limit) states" }
  }

  @discardableResult
  private mutating func visit(_ state: DeviceModel, _ origin: (state: Int, choice: DeviceModel.Choice)?) -> Int {
    if let index = number[state] { return index }
    let index = states.count
    number[state] = index
    states.append(state)
    parent.append(origin)
    predecessors.append([])
    return index
  }

  /// A state from which no sequence of steps without faults leads to a state that `isGoal`; nil when there is none.
  func stuck(_ isGoal: (DeviceModel) -> Bool) -> String? {
    var canReach = states.map(isGoal)
    var pending = states.indices.filter { canReach[$0] }
    while let index = pending.popLast() {
      for predecessor in predecessors[index] where !canReach[Int(predecessor)] {
        canReach[Int(predecessor)] = true
        pending.append(Int(predecessor))
      }
    }
    guard let index = canReach.firstIndex(of: false) else { return nil }
    return "no way out of \(states[index])\n" + path(to: index)
  }

  func path(to index: Int) -> String {
    var lines: [String] = []
    var index = index
    while let (origin, choice) = parent[index] {
      let state = states[index]
      lines.append("  \(choice): back \(state.backend.state.rawValue)/\(state.backend.key.rawValue), front \(state.frontend.state.rawValue)/\(state.frontend.key.rawValue)")
      index = origin
    }
    return lines.reversed().joined(separator: "\n")
  }
}
