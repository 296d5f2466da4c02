public import ArgumentParser
public import PVDriver

/// One driver as a command knows it: a line of the list that the command is made of.
///
/// ```swift
/// let drivers = [DriverRegistration(.disk, backend: BackendBlockCommand.self), DriverRegistration(DeviceKind("entropy"), …)]
/// ```
public struct DriverRegistration: Sendable {
  public let kind: DeviceKind
  /// What serves a device: a sub-command of `pvio backend`, named as the kind says.
  public let backend: any AsyncParsableCommand.Type
  /// What uses a device: commands of their own beside `pvio attach`.
  public let commands: [any AsyncParsableCommand.Type]

  public init(_ kind: DeviceKind, backend: any AsyncParsableCommand.Type, commands: [any AsyncParsableCommand.Type] = []) {
    self.kind = kind
    self.backend = backend
    self.commands = commands
  }
}
