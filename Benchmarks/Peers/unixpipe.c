// What a pipe between two domains is measured against: bytes from /dev/zero to /dev/null through a Unix stream socket between two
// processes, each on a processor of its own. Usage: unixpipe SECONDS; prints bytes a second.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 64 << 10 };
static unsigned char piece[PIECE];

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

static void pin(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  sched_setaffinity(0, sizeof set, &set);
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void pass_to(int socket) {
  int zero = open("/dev/zero", O_RDONLY);
  if (zero < 0) fail("/dev/zero");
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  pin(0);
  for (;;) {
    ssize_t count = read(zero, piece, PIECE);
    if (count <= 0) fail("read");
    for (ssize_t sent = 0; sent < count;) {
      ssize_t more = write(socket, piece + sent, count - sent);
      if (more <= 0) fail("write");
      sent += more;
    }
  }
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0) fail("socketpair");
  pid_t child = fork();
  if (child < 0) fail("fork");
  if (child == 0) pass_to(ends[1]);
  int null = open("/dev/null", O_WRONLY);
  if (null < 0) fail("/dev/null");
  pin(1);
  uint64_t total = 0;
  double start = 0, end = 0;
  // The first fifth of a second is not counted.
  double warm = now() + 0.2;
  do {
    ssize_t count = read(ends[0], piece, PIECE);
    if (count <= 0) fail("read");
    if (write(null, piece, count) != count) fail("write");
    end = now();
    if (start == 0 && end >= warm) start = end;
    else if (start != 0) total += count;
  } while (start == 0 || end - start < atof(argv[1]));
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  printf("%.0f\n", total / (end - start));
  return 0;
}
