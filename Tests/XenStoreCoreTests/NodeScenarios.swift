import XenInterface

let nodeScenarios: [Scenario] = [
  Scenario("a written value is read back, and what was missing on the way exists and is empty", [
    Step(.dom0, .write, "/a/b/c|hello", "dom0 OK"),
    Step(.dom0, .read, "/a/b/c|", "dom0 = hello"),
    Step(.dom0, .read, "/a/b|", "dom0 = "),
    Step(.dom0, .directory, "/a|", "dom0 = b|"),
    Step(.dom0, .directory, "/a/b/c|", "dom0 = "),
  ]),
  Scenario("a value may hold any bytes, NUL among them", [
    Step(.dom0, .write, "/a|x||y|", "dom0 OK"),
    Step(.dom0, .read, "/a|", "dom0 = x||y|"),
  ]),
  Scenario("a relative path is below the client's own domain", [
    Step(.dom0, .write, "tool/x|1", "dom0 OK"),
    Step(.dom0, .read, "/local/domain/0/tool/x|", "dom0 = 1"),
    Step(.dom0, .getDomainPath, "5|", "dom0 = /local/domain/5|"),
  ]),
  Scenario("creating a directory that exists changes nothing", [
    Step(.dom0, .write, "/a|1", "dom0 OK"),
    Step(.dom0, .makeDirectory, "/a|", "dom0 OK"),
    Step(.dom0, .read, "/a|", "dom0 = 1"),
  ]),
  Scenario("removing takes everything below along", [
    Step(.dom0, .write, "/a/b/c|1", "dom0 OK"),
    Step(.dom0, .remove, "/a|", "dom0 OK"),
    Step(.dom0, .read, "/a/b/c|", "dom0 ENOENT"),
    Step(.dom0, .directory, "/|", "dom0 = "),
  ]),
  Scenario("removing a missing node succeeds only under an existing one, and never the root", [
    Step(.dom0, .remove, "/missing|", "dom0 OK"),
    Step(.dom0, .remove, "/missing/below|", "dom0 ENOENT"),
    Step(.dom0, .remove, "/|", "dom0 EINVAL"),
  ]),
  Scenario("malformed paths are refused", [
    Step(.dom0, .read, "/a.b|", "dom0 EINVAL"),
    Step(.dom0, .read, "//|", "dom0 EINVAL"),
    Step(.dom0, .read, "/a//b|", "dom0 EINVAL"),
    Step(.dom0, .read, "/a/|", "dom0 EINVAL"),
    Step(.dom0, .read, "|", "dom0 EINVAL"),
    Step(.dom0, .read, "", "dom0 EINVAL"),
    Step(.dom0, .write, "/local/domain/|x", "dom0 EINVAL"),
    Step(.dom0, .write, "@releaseDomain|x", "dom0 EINVAL"),
  ]),
  Scenario("a payload without its NUL is refused", [
    Step(.dom0, .getPermissions, "/", "dom0 EINVAL"),
    Step(.dom0, .read, "/", "dom0 EINVAL"),
    Step(.dom0, .directory, "/", "dom0 EINVAL"),
    Step(.dom0, .makeDirectory, "/a", "dom0 EINVAL"),
    Step(.dom0, .remove, "/a", "dom0 EINVAL"),
    Step(.dom0, .write, "/a", "dom0 EINVAL"),
    Step(.dom0, .setPermissions, "/|n0", "dom0 EINVAL"),
    Step(.dom0, .watch, "/a|t", "dom0 EINVAL"),
    Step(.dom0, .transactionEnd, "T", "dom0 ENOENT"),
    Step(.dom0, .read, "/|/|", "dom0 EINVAL"),
  ]),
  Scenario("types that the store does not know are answered, not punished", [
    Step(.dom0, .watchEvent, "/|t|", "dom0 ENOSYS"),
    Step(.dom0, .error, "EINVAL|", "dom0 ENOSYS"),
    Step(.dom0, .invalid, "", "dom0 ENOSYS"),
    Step(.dom0, .read, "/|", "dom0 = "),
  ]),
  Scenario("the daemon answers the commands it has", [
    Step(.dom0, .control, "check|", "dom0 OK"),
    Step(.dom0, .control, "nonsense|", "dom0 EINVAL"),
    Step(.dom0, .control, "", "dom0 EINVAL"),
    Step(.dom5, .control, "check|", "dom5 EACCES"),
  ]),
]

