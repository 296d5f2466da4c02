import Foundation
import Testing
import XenInterface
import XenStoreClient
import XenStoreWire

/// Debian's own store tools, unmodified, against a store of this process.
@Suite(.enabled(if: ClientProgram.isRequired || XenTool.arePresent, "Debian's xenstore-utils are not installed"), .timeLimit(.minutes(5)))
struct InteropTests {
  @Test func xenstoreWriteAndReadMeetTheSameNode() async throws {
    try await withDaemon { daemon in
      let client = try XenStoreClient(path: daemon.privilegedPath)
      #expect(try XenTool("write", "/a/b", "hello").run(daemon) == .success(""))
      #expect(try await client.read("/a/b") == "hello")
      try await client.write("/a/b", "again")
      #expect(try XenTool("read", "/a/b").run(daemon) == .success("again\n"))
      #expect(try XenTool("read", "/missing").run(daemon).status != 0)
      #expect(try XenTool("write", "relative/x", "1").run(daemon) == .success(""))
      #expect(try await client.read("/local/domain/0/relative/x") == "1")
    }
  }

  @Test func xenstoreLsShowsTheTree() async throws {
    try await withDaemon { daemon in
      let client = try XenStoreClient(path: daemon.privilegedPath)
      try await client.write("/local/domain/0/backend/vbd/5/51712/state", "4")
      try await client.write("/local/domain/0/backend/vbd/5/51712/online", "1")
      try await client.setPermissions(
        "/local/domain/0/backend/vbd", [XenStorePermission(.control, .none), XenStorePermission(DomainID(rawValue: 5), .read)])
      let listing = try XenTool("ls").run(daemon)
      #expect(
        listing == .success(
          """
          local = ""
           domain = ""
            0 = ""
             backend = ""
              vbd = ""
               5 = ""
                51712 = ""
                 online = "1"
                 state = "4"

          """))
      let full = try XenTool("ls", "-f", "-p").run(daemon)
      #expect(full.output.contains("/local/domain/0/backend/vbd = \"\"   (n0,r5)"), "\(full.output)")
      #expect(full.output.contains("/local/domain/0/backend/vbd/5/51712/state = \"4\""), "\(full.output)")
    }
  }

  @Test func xenstoreRmRemovesATree() async throws {
    try await withDaemon { daemon in
      let client = try XenStoreClient(path: daemon.privilegedPath)
      try await client.write("/a/b/c", "1")
      try await client.write("/a/d", "1")
      #expect(try XenTool("rm", "/a/b").run(daemon) == .success(""))
      #expect(try await client.directory("/a") == ["d"])
      #expect(try XenTool("rm", "-t", "/a/d").run(daemon) == .success(""))
      #expect(try await client.directory("/") == [])
    }
  }

  @Test func xenstoreListNamesChildrenBeyondOnePacket() async throws {
    try await withDaemon { daemon in
      let client = try XenStoreClient(path: daemon.privilegedPath)
      let names = (0..<2000).map { "child-\($0)" }
      for name in names { try await client.write("/big/\(name)", "") }
      let listing = try XenTool("list", "/big").run(daemon)
      #expect(listing.status == 0, "\(listing.output)")
      #expect(listing.output.split(separator: "\n").map(String.init).sorted() == names.sorted())
    }
  }

  @Test func xenstoreExistsTellsByItsStatus() async throws {
    try await withDaemon { daemon in
      try await XenStoreClient(path: daemon.privilegedPath).write("/a", "")
      #expect(try XenTool("exists", "/a").run(daemon).status == 0)
      #expect(try XenTool("exists", "/b").run(daemon).status == 1)
    }
  }

  @Test func xenstoreChmodSetsPermissions() async throws {
    try await withDaemon { daemon in
      let client = try XenStoreClient(path: daemon.privilegedPath)
      try await client.write("/a/b", "")
      #expect(try XenTool("chmod", "-r", "/a", "n0", "b5").run(daemon) == .success(""))
      let expected = [XenStorePermission(.control, .none), XenStorePermission(DomainID(rawValue: 5), .readWrite)]
      #expect(try await client.permissions("/a") == expected)
      #expect(try await client.permissions("/a/b") == expected)
    }
  }

  @Test func xenstoreWatchSeesChanges() async throws {
    try await withDaemon { daemon in
      let client = try XenStoreClient(path: daemon.privilegedPath)
      let watch = try XenTool("watch", "-n", "3", "/a").start(daemon)
      #expect(watch.nextLine() == "/a")
      try await client.write("/a/b", "1")
      #expect(watch.nextLine() == "/a/b")
      try await client.remove("/a")
      #expect(watch.nextLine() == "/a")
      #expect(watch.finish() == 0)
    }
  }

  @Test func theToolsOptionsMeanWhatTheyMeanWithXensOwnDaemon() async throws {
    try await withDaemon { daemon in
      let written = try XenTool("write", "/t/a", "1", "/t/b", "2").run(daemon)
      #expect(written == .success(""))
      #expect(try XenTool("read", "-p", "/t/a", "/t/b").run(daemon) == .success("/t/a: 1\n/t/b: 2\n"))
      #expect(try XenTool("read", "-s", "/t/a").run(daemon) == .success("1\n"))
      #expect(try XenTool("list", "-p", "/t").run(daemon) == .success("/t/a\n/t/b\n"))
      #expect(try XenTool("list", "-s", "/t").run(daemon) == .success("a\nb\n"))
      #expect(try XenTool("ls", "-f", "/t").run(daemon) == .success("/t/a = \"1\"\n/t/b = \"2\"\n"))
      #expect(try XenTool("ls", "-s", "/t").run(daemon) == .success("a = \"1\"\nb = \"2\"\n"))
      #expect(try XenTool("exists", "/t/a", "/t/b").run(daemon).status == 0)
      #expect(try XenTool("exists", "/t/a", "/t/c").run(daemon).status == 1)
      #expect(try XenTool("rm", "-s", "/t/a", "/t/b").run(daemon) == .success(""))
      #expect(try XenTool("list", "/t").run(daemon) == .success(""))
    }
  }

  @Test func aGuestsToolsAreHeldToItsPermissions() async throws {
    try await withDaemon { daemon in
      let client = try XenStoreClient(path: daemon.privilegedPath)
      try await client.write("/secret", "1")
      try await client.write("/local/domain/5/data", "mine")
      try await client.setPermissions("/local/domain/5/data", [XenStorePermission(DomainID(rawValue: 5), .none)])
      #expect(try XenTool("read", "/secret").run(daemon, path: daemon.guestPath).status != 0)
      #expect(try XenTool("read", "data").run(daemon, path: daemon.guestPath) == .success("mine\n"))
      #expect(try XenTool("write", "data/x", "1").run(daemon, path: daemon.guestPath) == .success(""))
      #expect(try await client.read("/local/domain/5/data/x") == "1")
    }
  }

  @Test(.enabled(if: XenTool.controlIsPresent, "xenstore-control comes with Xen itself"))
  func xenstoreControlReachesTheDaemon() async throws {
    try await withDaemon { daemon in
      let answer = try XenTool("control", "check").run(daemon)
      #expect(answer.status == 0)
      #expect(answer.output.contains("OK"), "\(answer.output)")
      #expect(try XenTool("control", "no-such-command").run(daemon).status != 0)
    }
  }
}
