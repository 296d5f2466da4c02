import DriverCommands
import EntropyDriver
import KeyboardDriver
import PVDriver

/// The drivers that this command is made of. A new one is a line here.
enum Drivers {
  static let all: [DriverRegistration] = [
    DriverRegistration(.disk, backend: BackendBlockCommand.self),
    DriverRegistration(.net, backend: BackendNetCommand.self),
    DriverRegistration(BackendNinePCommand.kind, backend: BackendNinePCommand.self),
    DriverRegistration(BackendConsoleCommand.kind, backend: BackendConsoleCommand.self, commands: [ConsoleCommand.self]),
    .keyboard,
    .entropy,
  ]

  static var kinds: DeviceKinds { DeviceKinds(all.map(\.kind)) }
}
