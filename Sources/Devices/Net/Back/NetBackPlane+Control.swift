import EventLoop
import Logging
import NetEngine
import NetInterface
import PVDriver
import SharedMemory
import SharedRing
import XenInterface

extension NetBackPlane {
  /// Control requests that are handled in one turn: each may copy a page.
  private static var controlBudget: Int { 8 }

  /// Handles what the control ring has. True when there was something.
  func serve(_ control: NetControl) -> Bool {
    guard control.fault == nil else { return false }
    var count = 0
    do throws(RingFault) {
      while count < Self.controlBudget, let request = try control.ring.cell.value.takeRequest() {
        count += 1
        control.sawRequests = true
        control.ring.cell.value.putResponse(response(to: request, control))
      }
    } catch {
      giveUp(control, error)
      return true
    }
    if count > 0, control.ring.cell.value.publishResponses() { control.channel?.signal() }
    return count > 0
  }

  private func response(to request: NetifControlRequest, _ control: NetControl) -> NetifControlResponse {
    do throws(NetControlRefusal) {
      let data = try control.execute(NetControlRequest(checking: request, control.limits), grants)
      return NetifControlResponse(to: request, .success, data: data)
    } catch {
      return NetifControlResponse(to: request, error.status)
    }
  }

  /// Asks for an event at the next control request. True when there is one already.
  func prepareToSleep(_ control: NetControl) -> Bool {
    guard control.fault == nil else { return false }
    if let channel = control.channel, channel.isPending {
      channel.rearm(spurious: !control.sawRequests)
      control.sawRequests = false
    }
    do throws(RingFault) { return try control.ring.cell.value.armRequestEvent() } catch {
      giveUp(control, error)
      return false
    }
  }

  private func giveUp(_ control: NetControl, _ fault: RingFault) {
    control.fault = fault
    logger.error("the control ring is broken: \(fault)")
    onFault(0, .ring(.control, fault))
  }
}
