import LinuxSystem
import SystemPackage

/// Why a benchmark cannot run, in one line with the remedy.
struct BenchFailure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// Writes a result file, or says why not.
func write(_ text: String, to path: String) throws {
  do { try TextFile.write(text, to: path) } catch { throw BenchFailure("\(path): cannot write: \(error)") }
}
