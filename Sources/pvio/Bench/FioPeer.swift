import LinuxSystem

/// fio with io_uring on the file itself, on processor 1, with registered file and buffers.
enum FioPeer {
  static func measure(path: String, depth: Int, seconds: Double) throws -> BlockFigures {
    let arguments = [
      "--name=read", "--filename=\(path)", "--readonly", "--rw=randread", "--norandommap", "--randrepeat=0", "--bs=\(BlockCase.blockByteCount)",
      "--size=\(BlockCase.diskMebibytes)M", "--iodepth=\(depth)", "--ioengine=io_uring", "--direct=1", "--fixedbufs=1", "--registerfiles=1",
      "--cpus_allowed=1", "--time_based", "--runtime=\(Int((seconds * 1000).rounded()))ms", "--output-format=terse", "--terse-version=3",
    ]
    let text: String
    do { text = try BenchProcess.output(of: "fio", arguments) } catch { throw BenchFailure("\(error); install it (apt-get install fio)") }
    return try parse(text)
  }

  /// Fields of terse format 3 by number (fio(1), "TERSE OUTPUT").
  private enum Field { static let rate = 7, runTime = 8, percentiles = 17..<37, userPercent = 87, systemPercent = 88 }

  private static func parse(_ text: String) throws -> BlockFigures {
    guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("3;fio") }) else { throw BenchFailure("fio printed no result") }
    let fields = line.split(separator: ";", omittingEmptySubsequences: false)
    guard fields.count > Field.systemPercent, let rate = Double(fields[Field.rate]), rate > 0 else { throw BenchFailure("fio's result has an unknown form") }
    func percent(_ field: Int) -> Double { Double(fields[field].prefix { $0 != "%" }) ?? 0 }
    func latency(_ percentile: String) -> Double {
      let cell = fields[Field.percentiles].first { $0.hasPrefix(percentile) }
      return (Double(cell?.split(separator: "=").last ?? "") ?? 0) * 1000
    }
    let busy = (percent(Field.userPercent) + percent(Field.systemPercent)) / 100
    return BlockFigures(
      requestsPerSecond: rate, medianNanoseconds: latency("50.0"), tailNanoseconds: latency("99.0"), backendNanoseconds: busy * 1e9 / rate)
  }
}
