import NetInterface
import XenInterface

/// The rules of a transmit chain once more, as plainly as they can be said: with the whole chain at hand, one rule after the other.
enum TransmitModel {
  /// What must become of the chain that `slots` begin with, and how many slots it takes.
  static func outcome(of slots: ArraySlice<NetifTransmitRequest>) -> (outcome: ChainOutcome, slotCount: Int) {
    var rest = slots
    guard let first = rest.popFirst() else { return (.unfinished, 0) }
    var taken = 1
    var lastExtras: [UInt8: NetifExtraInfo] = [:]
    var goesOn = first.flags & 8 != 0
    while goesOn {
      guard let slot = rest.popFirst() else { return (.unfinished, taken) }
      taken += 1
      let extra = NetifExtraInfo(slot: slot)
      if extra.type == 0 || extra.type > 5 { return (.fault(.extraInfo(.type(extra.type))), taken) }
      if extra.type == 1 {
        if extra.data(at: 0) == 0 { return (.fault(.extraInfo(.emptySegments)), taken) }
        let type = UInt8(extra.data(at: 1) & 0xff)
        if type != 1 && type != 2 { return (.fault(.extraInfo(.segmentationType(type))), taken) }
      }
      lastExtras[extra.type] = extra
      goesOn = extra.flags & 1 != 0
    }
    var fragments: [NetifTransmitRequest] = []
    goesOn = first.flags & 4 != 0
    while goesOn {
      guard let slot = rest.popFirst() else { return (.unfinished, taken) }
      taken += 1
      fragments.append(slot)
      if fragments.count > 20 { return (.fault(.fragmentCount), taken) }
      if Int(slot.offset) + Int(slot.byteCount) > 4096 { return (.fault(outside(slot, Int(slot.byteCount))), taken) }
      goesOn = slot.flags & 4 != 0
    }
    var left = Int(first.byteCount)
    for (index, fragment) in fragments.enumerated() {
      if index == 18 { return (.rejected(.fragmentCount), taken) }
      if Int(fragment.byteCount) > left { return (.rejected(.fragmentExceedsFrame), taken) }
      left -= Int(fragment.byteCount)
    }
    if lastExtras[2] != nil || lastExtras[3] != nil { return (.multicastChange, taken) }
    if first.byteCount < 14 { return (.rejected(.tooShort), taken) }
    if Int(first.offset) + left > 4096 { return (.fault(outside(first, left)), taken) }
    let pieces = ([(first, left)] + fragments.map { ($0, Int($0.byteCount)) }).filter { $0.1 > 0 }
    return (.frame(pieces: pieces.map { TransmitPiece(grantReference: $0.grantReference, offset: Int($0.offset), byteCount: $1) }), taken)
  }

  private static func outside(_ slot: NetifTransmitRequest, _ byteCount: Int) -> TransmitFault {
    .pieceOutsidePage(slot.grantReference, offset: Int(slot.offset), byteCount: byteCount)
  }
}
