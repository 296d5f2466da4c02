// What cannot be inline: signal handlers need an address and a place to write to.
#include "CLinuxShims.h"

static int signal_pipe_writer = -1;
static int signal_record_writer = -1;
static int signal_record_reader = -1;
// What pvio_signal_pipe returned before main, for whoever asks for it.
static int early_reader = -1;

static void forward_signal(int number) {
  int saved = errno;
  uint8_t byte = (uint8_t)number;
  // A full pipe holds signals that nobody has looked at yet: one more says nothing new.
  ssize_t ignored = write(signal_pipe_writer, &byte, 1);
  ignored = write(signal_record_writer, &byte, 1);
  (void)ignored;
  errno = saved;
}

int pvio_signal_pipe(void) {
  if (early_reader >= 0) {
    int reader = early_reader;
    early_reader = -1;
    return reader;
  }
  int ends[2];
  if (pipe(ends) != 0) return -1;
  for (int i = 0; i < 2; i++) fcntl(ends[i], F_SETFD, FD_CLOEXEC);
  fcntl(ends[1], F_SETFL, O_NONBLOCK);
  int record[2];
  if (pipe(record) != 0) return -1;
  for (int i = 0; i < 2; i++) {
    fcntl(record[i], F_SETFD, FD_CLOEXEC);
    fcntl(record[i], F_SETFL, O_NONBLOCK);
  }
  signal_record_reader = record[0];
  signal_record_writer = record[1];
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

int pvio_signal_record(void) { return signal_record_reader; }

// A program that goes on where another one in its process has stopped gets signals that were meant for a running daemon. They are blocked
// at first, but the main thread of a Swift program waits with none blocked, before a line of it has run: so the handlers must be there earlier.
__attribute__((constructor)) static void take_signals_before_main(int count, char **arguments) {
  for (int i = 1; i < count; i++)
    if (strcmp(arguments[i], PVIO_STREAM_OPTION) == 0) {
      early_reader = pvio_signal_pipe();
      return;
    }
}
