public import Logging
public import PVDriver
import SystemPackage

extension DeviceFiles {
  /// Makes the file that `pvio trace` reads. Nil, with a line in the log, when that is not possible: the device is served all the same.
  /// - Parameters:
  ///   - operations: names of what can be asked of the device, as its records number them.
  ///   - fields: of the requests, beside what all have.
  public func makeTrace(operations: [String], fields: [TraceField] = [], logger: Logger) -> TraceFile? {
    do throws(Errno) { return try TraceFile.create(at: trace, operations: operations, fields: fields) } catch {
      logger.warning("the device cannot be traced: \(trace): \(error)")
      return nil
    }
  }
}
