public import Uring

/// Descriptors that a loop's operations name by index, which saves the kernel a look-up and two reference counts for each operation.
///
/// A table of the loop's io_uring, made when it is first asked for.
struct RegisteredFiles {
  /// What one loop may have in it: queues and disks, of which there are few. More of them are named by descriptor.
  private static let count = 64
  private var free: [Int32] = []
  private var isMade = false

  /// A free index of the table; nil when there is none, or the kernel gives no table.
  mutating func take(_ uring: inout Uring) -> Int32? {
    if !isMade {
      isMade = true
      if (try? uring.registerSparseFiles(count: UInt32(Self.count))) != nil { free = (0..<Int32(Self.count)).reversed() }
    }
    return free.popLast()
  }

  mutating func giveBack(_ index: Int32) { free.append(index) }
}

extension EventLoop {
  /// The name for `descriptor` in operations from now on: by index, or by descriptor where that cannot be had. The file stays open until
  /// ``unregisterFile(_:)``, whatever becomes of the descriptor. Loop thread only.
  public func registerFile(_ descriptor: Int32) -> UringFile {
    assertOnLoop()
    guard let index = registeredFiles.take(&uring) else { return .descriptor(descriptor) }
    guard (try? uring.setRegisteredFile(descriptor, at: Int(index))) != nil else {
      registeredFiles.giveBack(index)
      return .descriptor(descriptor)
    }
    return .registered(index)
  }

  /// Lets go of what ``registerFile(_:)`` gave, which no operation in flight may name. Loop thread only.
  public func unregisterFile(_ file: UringFile) {
    assertOnLoop()
    guard case .registered(let index) = file else { return }
    // Emptying an index of our own table fails only when the ring is gone, and the table with it.
    try? uring.setRegisteredFile(-1, at: Int(index))
    registeredFiles.giveBack(index)
  }
}
