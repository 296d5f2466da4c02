import NetInterface
import TestSupport
import Testing
import XenInterface

/// The assembler against the plain model, over whole ranges and at random.
@Suite struct TransmitModelTests {
  /// How the bytes of a frame are spread over its fragments.
  enum Spread: Int, CaseIterable, Sendable {
    /// One byte each, as a front-end splits headers (XSA-423).
    case single
    /// None in each (XSA-448).
    case empty
    /// All in the fragments, none left for the first piece.
    case everything
    /// At random, within the frame.
    case random
    /// At random, without looking at the frame (XSA-432).
    case wild
  }

  /// Each number of fragments with each small size: what XSA-432 was about.
  @Test(arguments: Spread.allCases)
  func eachCountOfFragmentsWithEachSizeIsWhatTheModelSays(spread: Spread) {
    for count in 0...22 {
      for total in 14...300 {
        let seed = UInt64(spread.rawValue) << 32 | UInt64(count) << 16 | UInt64(total)
        var random = SeededGenerator(seed: seed)
        let slots = chain(total: total, fragments: sizes(spread, count: count, total: total, &random))
        let assembler = TransmitChains()
        let expected = TransmitModel.outcome(of: slots[...])
        let got = assembler.assemble(slots[...])
        #expect(got == expected, "seed \(seed): \(count) fragments, \(total) bytes")
        if case .frame(let pieces) = got.outcome {
          #expect(pieces.map(\.byteCount).reduce(0, +) == total && assembler.byteCount == total, "seed \(seed)")
        }
        if case .fault = got.outcome { continue }
        #expect(assembler.identifiers == Array(0...count), "seed \(seed)")
      }
    }
  }

  private func sizes(_ spread: Spread, count: Int, total: Int, _ random: inout SeededGenerator) -> [Int] {
    switch spread {
    case .single: return [Int](repeating: 1, count: count)
    case .empty: return [Int](repeating: 0, count: count)
    case .everything:
      guard count > 0 else { return [] }
      return (0..<count).map { total / count + ($0 < total % count ? 1 : 0) }
    case .random:
      var left = total
      return (0..<count).map { _ in
        let size = Int.random(in: 0...left, using: &random) / 2
        left -= size
        return size
      }
    case .wild: return (0..<count).map { _ in random.one(in: 6) ? Int.random(in: 0...4096, using: &random) : Int.random(in: 0...40, using: &random) }
    }
  }

  /// Streams of slots that nobody meant as anything. `PVIO_SEED` repeats one.
  @Test(arguments: 0..<8)
  func streamsOfRandomSlotsAreTakenAsTheModelSaysAndAccountedFor(part: Int) {
    var kinds: Set<String> = []
    for seed in Seeds.chosen(part: part, count: 500) {
      var random = SeededGenerator(seed: seed)
      let slots = seed % 4 == 0 ? randomSlots(&random) : damagedChains(&random)
      let assembler = TransmitChains()
      var position = 0
      while position < slots.count {
        let rest = slots[position...]
        let expected = TransmitModel.outcome(of: rest)
        let got = assembler.assemble(rest)
        #expect(got == expected, "PVIO_SEED=\(seed), slot \(position)")
        guard got == expected else { return }
        kinds.insert(kind(got.outcome))
        switch got.outcome {
        case .fault(let fault):
          #expect(throws: fault) { try assembler.add(slots[position]) }
          #expect(throws: fault) { try assembler.endOfRequests() }
          position = slots.count
        case .unfinished:
          #expect(!assembler.isBetweenFrames, "PVIO_SEED=\(seed)")
          #expect(throws: TransmitFault.self) { try assembler.endOfRequests() }
          position = slots.count
        case .frame, .multicastChange, .rejected:
          // Each slot is accounted for once: the requests by their identifiers, which here are their numbers, the others as extras.
          #expect(assembler.slotCount == got.slotCount, "PVIO_SEED=\(seed), slot \(position)")
          let extras = position + 1..<position + 1 + assembler.extraCount
          let requests = (position..<position + got.slotCount).filter { !extras.contains($0) }
          #expect(assembler.identifiers == requests, "PVIO_SEED=\(seed), slot \(position)")
          position += got.slotCount
        }
      }
    }
    // The streams are wild enough to end in every way, and tame enough to get there.
    if Seeds.named == nil { #expect(kinds.count == 12, "\(kinds.sorted())") }
  }

  private func kind(_ outcome: ChainOutcome) -> String {
    switch outcome {
    case .frame(let pieces): pieces.count > 1 ? "frame" : "frame of one piece"
    case .multicastChange: "multicast change"
    case .rejected(let rejection): "\(rejection)"
    case .fault(.pieceOutsidePage): "piece outside page"
    case .fault(.extraInfo(.type)): "type"
    case .fault(.extraInfo(.segmentationType)): "segmentation type"
    case .fault(let fault): "fault \(fault)"
    case .unfinished: "unfinished"
    }
  }

  private func randomSlots(_ random: inout SeededGenerator) -> [NetifTransmitRequest] {
    (0..<Int.random(in: 1...300, using: &random)).map { randomSlot(number: $0, &random) }
  }

  /// Honest chains and such as break a limit, with a slot in some hundred replaced; the requests' identifiers are their numbers.
  private func damagedChains(_ random: inout SeededGenerator) -> [NetifTransmitRequest] {
    var slots: [NetifTransmitRequest] = []
    let extras = [segmentationExtra(), segmentationExtra(type: 2), multicastExtra(.multicastRemove), hashExtra(), otherExtra(type: 5)]
    while slots.count < 300 && !random.one(in: 30) {
      let count = random.one(in: 20) ? Int.random(in: 18...21, using: &random) : random.one(in: 2) ? 0 : Int.random(in: 1...18, using: &random)
      let fragments = (0..<count).map { _ in Int.random(in: 0...4096, using: &random) / 2 }
      let total = max(random.one(in: 20) ? 0 : 14, fragments.reduce(0, +) + Int.random(in: (random.one(in: 20) ? -100 : 0)...4096, using: &random))
      let chosen = (0..<(random.one(in: 3) ? Int.random(in: 1...3, using: &random) : 0)).map { _ in
        random.one(in: 40) ? (random.one(in: 2) ? segmentationExtra(size: 0) : segmentationExtra(type: 3)) : extras[Int.random(in: 0..<extras.count, using: &random)]
      }
      slots += chain(total: min(total, 65535), fragments: fragments, extras: chosen)
    }
    for index in slots.indices {
      if random.one(in: 200) { slots[index] = randomSlot(number: index, &random) }
      slots[index].identifier = UInt16(index)
    }
    return slots
  }

  /// Mostly what could be right, so that chains grow long; now and then anything.
  private func randomSlot(number: Int, _ random: inout SeededGenerator) -> NetifTransmitRequest {
    if random.one(in: 8) {
      // Also as an extra info the bytes make sense.
      var extra = otherExtra(type: UInt8.random(in: random.one(in: 20) ? 0...255 : 1...5, using: &random), more: random.one(in: 3))
      for index in 0..<3 { extra.setData(UInt16.random(in: random.one(in: 20) ? 0...65535 : 1...2, using: &random), at: index) }
      var slot = NetifTransmitRequest(extra)
      slot.identifier = UInt16(number)
      slot.byteCount = UInt16.random(in: 0...4096, using: &random)
      return slot
    }
    var flags = NetifTransmitFlags(rawValue: random.one(in: 20) ? UInt16.random(in: 0...65535, using: &random) : UInt16.random(in: 0...3, using: &random))
    if !random.one(in: 3) { flags.insert(.moreData) }
    if random.one(in: 8) { flags.insert(.extraInfo) }
    let size = random.one(in: 30) ? Int.random(in: 0...65535, using: &random) : Int.random(in: 0...(random.one(in: 2) ? 4096 : 64), using: &random)
    let offset = random.one(in: 200) ? Int.random(in: 0...65535, using: &random) : Int.random(in: 0...max(0, 4096 - size), using: &random)
    return request(size, offset: offset, flags: flags, identifier: number, grant: UInt32.random(in: 0...99, using: &random))
  }
}
