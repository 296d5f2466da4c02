// What cannot be inline: signal handlers need an address and a place to write to.
#include "CLinuxShims.h"

static int signal_pipe_writer = -1;

static void forward_signal(int number) {
  int saved = errno;
  uint8_t byte = (uint8_t)number;
  // A full pipe holds signals that nobody has looked at yet: one more says nothing new.
  ssize_t ignored = write(signal_pipe_writer, &byte, 1);
  (void)ignored;
  errno = saved;
}

int pvio_signal_pipe(void) {
  int ends[2];
  if (pipe(ends) != 0) return -1;
  for (int i = 0; i < 2; i++) fcntl(ends[i], F_SETFD, FD_CLOEXEC);
  fcntl(ends[1], F_SETFL, O_NONBLOCK);
  signal_pipe_writer = ends[1];
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = forward_signal;
  action.sa_flags = SA_RESTART;
  const int signals[] = {SIGINT, SIGTERM, SIGHUP};
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
    if (sigaction(signals[i], &action, NULL) != 0) return -1;
  return ends[0];
}
