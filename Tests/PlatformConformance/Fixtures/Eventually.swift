import Glibc

/// Waits until `condition` holds, for as long as a test is ready to hang before it fails.
func eventually(_ condition: () -> Bool) -> Bool {
  for _ in 0..<2000 {
    if condition() { return true }
    usleep(5000)
  }
  return condition()
}
