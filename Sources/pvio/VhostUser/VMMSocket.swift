import LinuxSystem

/// Where a VMM comes from: a socket that it finds by its path, or one that is connected already (`--fd`).
enum VMMSocket: Sendable {
  case path(String)
  case connected(SharedDescriptor)
}
