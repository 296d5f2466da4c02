import Glibc
public import SystemPackage

/// Passes bytes between two pairs of descriptors on the calling thread, for as long as a person sits at one of them: no loop, no ring.
public enum DescriptorRelay {
  /// Why it stopped.
  public enum Ending: Sendable, Equatable {
    /// The person typed the byte that leaves.
    case escaped
    /// The far side is gone.
    case farSideEnded
    /// Somebody asked for it.
    case stopped
  }

  /// Passes what comes from `input` to `far`, and what comes from `far` to `output`, until one of the things in ``Ending`` happens. An
  /// input that ends only ends that direction.
  /// - Parameters:
  ///   - escape: a byte of the input that ends it and is not passed on.
  ///   - stop: becomes readable when it is to end.
  public static func run(input: Int32, output: Int32, far: Int32, escape: UInt8?, stop: Int32) throws(Errno) -> Ending {
    var buffer = [UInt8](repeating: 0, count: 4096)
    var inputIsOpen = true
    while true {
      var entries = [pollfd(fd: far, events: Int16(POLLIN), revents: 0), pollfd(fd: stop, events: Int16(POLLIN), revents: 0)]
      if inputIsOpen { entries.append(pollfd(fd: input, events: Int16(POLLIN), revents: 0)) }
      // SAFETY: the table has as many entries as it says.
      if unsafe poll(&entries, nfds_t(entries.count), -1) < 0 {
        if Errno.last == .interrupted { continue }
        throw .last
      }
      if entries[1].revents != 0 { return .stopped }
      if entries[0].revents != 0 {
        let count = read(far, into: &buffer)
        if count <= 0 { return .farSideEnded }
        try write(buffer, count: count, to: output)
      }
      guard inputIsOpen, entries[2].revents != 0 else { continue }
      let count = read(input, into: &buffer)
      inputIsOpen = count > 0
      guard count > 0 else { continue }
      let end = escape.flatMap { buffer[..<count].firstIndex(of: $0) }
      do { try write(buffer, count: end ?? count, to: far) } catch { return .farSideEnded }
      if end != nil { return .escaped }
    }
  }

  private static func read(_ descriptor: Int32, into buffer: inout [UInt8]) -> Int {
    while true {
      // SAFETY: at most `buffer.count` bytes are written.
      let count = unsafe Glibc.read(descriptor, &buffer, buffer.count)
      if count >= 0 || Errno.last != .interrupted { return count }
    }
  }

  private static func write(_ buffer: [UInt8], count: Int, to descriptor: Int32) throws(Errno) {
    var offset = 0
    while offset < count {
      // SAFETY: the bytes from `offset` on are there, `count - offset` of them.
      let written = unsafe buffer.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress! + offset, count - offset) }
      if written >= 0 {
        offset += written
      } else if Errno.last == .wouldBlock || Errno.last == .resourceTemporarilyUnavailable {
        var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        // SAFETY: one entry.
        _ = unsafe poll(&entry, 1, -1)
      } else if Errno.last != .interrupted {
        throw .last
      }
    }
  }
}
