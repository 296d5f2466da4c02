import Testing
import XenInterface
import XenStoreWire

@testable import XenStoreCore

/// Transactions that follow the live tree see what those with a copy from the start would see.
@Suite struct FollowerTests {
  private let script = StoreScript()

  private func write(_ path: String, _ value: String, in transaction: StoreScript.Transaction = .none) {
    #expect(script.ask(.dom0, .write, "\(path)|\(value)", in: transaction) == ["dom0 OK"])
  }

  private func expect(_ path: String, is value: String, in transaction: StoreScript.Transaction = .opened, _ location: SourceLocation = #_sourceLocation) {
    #expect(script.ask(.dom0, .read, "\(path)|", in: transaction) == ["dom0 = \(value)"], sourceLocation: location)
  }

  private func start() -> StoreScript.Transaction {
    _ = script.ask(.dom0, .transactionStart, "|")
    return .number(UInt32(script.core.lastSerial))
  }

  private func end(_ transaction: StoreScript.Transaction, _ outcome: String) {
    #expect(script.ask(.dom0, .transactionEnd, "T|", in: transaction) == ["dom0 \(outcome)"])
    #expect(script.core.checkConsistency() == [])
  }

  private var followerCount: Int { script.core.followers.transactions.count }

  init() {
    for path in ["/a", "/b", "/c"] { write(path, "old") }
  }

  @Test func readingAndWritingValuesNeedsNoCopyOfTheTree() {
    let transaction = start()
    expect("/a", is: "old", in: transaction)
    write("/a", "mine", in: transaction)
    write("/b", "other")
    expect("/a", is: "mine", in: transaction)
    expect("/a", is: "old", in: .none)
    #expect(followerCount == 1)
    end(transaction, "OK")
    #expect(followerCount == 0)
    expect("/a", is: "mine", in: .none)
    expect("/b", is: "other", in: .none)
  }

  @Test func whatChangedAfterItBeganIsNotSeenOnceThereIsAConflict() {
    let transaction = start()
    expect("/a", is: "old", in: transaction)
    write("/b", "newer")
    write("/c", "mine", in: transaction)
    write("/b", "newest")
    write("/a", "newer")
    #expect(followerCount == 1)
    expect("/b", is: "old", in: transaction)
    #expect(followerCount == 0)
    expect("/a", is: "old", in: transaction)
    expect("/c", is: "mine", in: transaction)
    end(transaction, "EAGAIN")
    expect("/c", is: "old", in: .none)
  }

  @Test func beginsAnewBeforeItLooksAtANodeThatChanged() {
    let transaction = start()
    expect("/a", is: "old", in: transaction)
    write("/b", "newer")
    expect("/b", is: "newer", in: transaction)
    write("/b", "newest")
    write("/a", "newer")
    expect("/c", is: "old", in: transaction)
    expect("/b", is: "newer", in: transaction)
    expect("/a", is: "old", in: transaction)
    end(transaction, "EAGAIN")
  }

  @Test(arguments: [("write", "/d|new"), ("mkdir", "/d|"), ("rm", "/c|"), ("permissions", "/c|r0|")])
  func getsItsCopyBeforeTheTreeChangesOtherwise(change: String, payload: String) {
    let transaction = start()
    expect("/a", is: "old", in: transaction)
    let type: XenStoreMessageType =
      switch change {
      case "write": .write
      case "mkdir": .makeDirectory
      case "rm": .remove
      default: .setPermissions
      }
    #expect(script.ask(.dom0, type, payload) == ["dom0 OK"])
    #expect(followerCount == 0)
    write("/a", "mine", in: transaction)
    end(transaction, "OK")
    expect("/a", is: "mine", in: .none)
  }

  @Test func keepsWhatItSawHoweverMuchChanges() {
    let transaction = start()
    expect("/a", is: "old", in: transaction)
    for number in 0..<3 * Followers.historyLimit { write("/b", "\(number)") }
    #expect(followerCount == 0)
    write("/a", "newer")
    expect("/b", is: "old", in: transaction)
    end(transaction, "EAGAIN")
  }

  @Test func eachSeesWhatWasWhenItBeganThoughAllGetTheirCopiesAtOnce() {
    let transactions = (0..<8).map { number in
      write("/b", "\(number)")
      let transaction = start()
      expect("/a", is: "old", in: transaction)
      write("/c", "of \(number)", in: transaction)
      return transaction
    }
    end(transactions[3], "OK")
    write("/a", "newer")
    write("/b", "newest")
    #expect(followerCount == 7)
    #expect(script.ask(.dom0, .makeDirectory, "/d|") == ["dom0 OK"])
    #expect(followerCount == 0)
    for (number, transaction) in transactions.enumerated() where number != 3 {
      expect("/b", is: "\(number)", in: transaction)
      expect("/a", is: "old", in: transaction)
      expect("/c", is: "of \(number)", in: transaction)
      end(transaction, "EAGAIN")
    }
    expect("/c", is: "of 3", in: .none)
  }

  @Test func thereMayBeManyAtATime() {
    let transactions = (0..<2 * Followers.limit).map { number in
      write("/n/\(number)", "old")
      return start()
    }
    for (number, transaction) in transactions.enumerated() {
      expect("/n/\(number)", is: "old", in: transaction)
      write("/n/\(number)", "mine", in: transaction)
    }
    #expect(followerCount == Followers.limit)
    write("/n/0", "newer")
    for (number, transaction) in transactions.enumerated() { end(transaction, number == 0 ? "EAGAIN" : "OK") }
    for number in 1..<transactions.count { expect("/n/\(number)", is: "mine", in: .none) }
  }

  @Test func looksAtAsManyNodesAsItLikes() {
    let paths = (0..<2 * Followers.pathLimit).map { "/n/\($0)" }
    for path in paths { write(path, "old") }
    let transaction = start()
    for path in paths {
      expect(path, is: "old", in: transaction)
      write(path, "mine", in: transaction)
    }
    #expect(followerCount == 0)
    for path in paths { expect(path, is: "mine", in: transaction) }
    end(transaction, "OK")
    for path in paths { expect(path, is: "mine", in: .none) }
  }

  @Test func aConnectionThatGoesTakesItsFollowersWithIt() {
    expect("/a", is: "old", in: start())
    expect("/a", is: "old", in: start())
    #expect(followerCount == 2)
    script.core.disconnect(script.connections[.dom0]!)
    #expect(followerCount == 0)
    #expect(script.core.checkConsistency() == [])
  }
}
