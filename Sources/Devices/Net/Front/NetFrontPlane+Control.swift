import PVDriver
import SharedMemory

/// What is asked for on the control ring. Only while ``State/isSettingUp``: afterwards nobody looks at it any more.
extension NetFrontPlane {
  /// Begins to have grants kept mapped, if there is a control ring.
  func beginControl() {
    guard phase == .connected, let control = connection?.control else { return }
    state.value.isSettingUp = true
    control.begin()
  }

  /// Takes what the back-end has answered. True when there was something.
  func advanceControl() -> Bool {
    guard let control = connection?.control else { return false }
    let worked = control.advance()
    noteEnd(of: control)
    return worked
  }

  /// Whether the back-end has answered.
  var controlHasWork: Bool { connection?.control?.hasResponses ?? false }

  /// Asks for an event at the next answer. True when it is there already.
  func prepareControlToSleep() -> Bool {
    guard let control = connection?.control else { return false }
    let isPending = control.prepareToSleep()
    noteEnd(of: control)
    return isPending
  }

  /// Nothing else depends on the control ring: whatever the back-end did to it, the interface goes on.
  private func noteEnd(of control: NetFrontControl) {
    guard let ending = control.ending else { return }
    state.value.isSettingUp = false
    onControlEnd?(ending, control.keptCount)
  }
}
