/// Measures ours and the peer's in turns, so that what the machine does meanwhile hits both alike; who starts alternates too.
func interleave(
  rounds: Int, ours: () throws -> Double, peer: (() throws -> Double)?
) throws -> (ours: BenchReport.Series, peer: BenchReport.Series?) {
  var ourValues: [Double] = []
  var peerValues: [Double] = []
  let progress = ProgressLine()
  defer { progress.clear() }
  for round in 0..<rounds {
    progress.show("round \(round + 1) of \(rounds)")
    if round.isMultiple(of: 2) { ourValues.append(try ours()) }
    if let peer { peerValues.append(try peer()) }
    if !round.isMultiple(of: 2) { ourValues.append(try ours()) }
  }
  return (BenchReport.Series(values: ourValues), peer == nil ? nil : BenchReport.Series(values: peerValues))
}

/// As ``interleave(rounds:ours:peer:)``, for measurements that take time of their own and give several figures.
func interleave<Figures>(
  rounds: Int, ours: () async throws -> Figures, peer: (() async throws -> Figures)?
) async throws -> (ours: [Figures], peer: [Figures]?) {
  var ourFigures: [Figures] = []
  var peerFigures: [Figures] = []
  let progress = ProgressLine()
  defer { progress.clear() }
  for round in 0..<rounds {
    progress.show("round \(round + 1) of \(rounds)")
    if round.isMultiple(of: 2) { ourFigures.append(try await ours()) }
    if let peer { peerFigures.append(try await peer()) }
    if !round.isMultiple(of: 2) { ourFigures.append(try await ours()) }
  }
  return (ourFigures, peer == nil ? nil : peerFigures)
}
