// The plain way to join two TAP interfaces: one process, one thread, a read and a write a frame, no offloads, nothing between.
// Peer of `pvio bench net --peer relay`.
//
//   taprelay NAME NAME
//
// Makes both interfaces and passes every frame of one to the other until it is killed. No header before a frame: so the kernel computes
// checksums, and cuts segments, before it hands frames over.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <signal.h>
#include <unistd.h>

// Frames that are taken from one side before the other one is looked at.
enum { BUDGET = 64 };

static int make_tap(const char *name) {
  int tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  if (tap < 0 || ioctl(tap, TUNSETIFF, &request) < 0) {
    perror(name);
    _exit(1);
  }
  return tap;
}

int main(int count, char **arguments) {
  if (count != 3) {
    fprintf(stderr, "usage: taprelay NAME NAME\n");
    return 2;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  static char frame[65536];
  int taps[2] = {make_tap(arguments[1]), make_tap(arguments[2])};
  struct pollfd events[2] = {{taps[0], POLLIN, 0}, {taps[1], POLLIN, 0}};
  for (;;) {
    poll(events, 2, -1);
    for (int side = 0; side < 2; side++) {
      for (int i = 0; i < BUDGET; i++) {
        ssize_t length = read(taps[side], frame, sizeof frame);
        if (length <= 0) break;
        // An interface that is not up yet takes nothing.
        if (write(taps[1 - side], frame, length) < 0) continue;
      }
    }
  }
}
