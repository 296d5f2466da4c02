// One end of a pipe by Xen's own libxenvchan, for tests against ours: peer server|client DOMID PATH send|receive.
// Sends standard input until it ends, or writes what arrives to standard output until the other end has left.
#include <libxenvchan.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char buffer[65536];

static int fail(const char *what) {
  perror(what);
  return 1;
}

static int send_all(struct libxenvchan *pipe) {
  ssize_t count;
  while ((count = read(0, buffer, sizeof buffer)) > 0)
    for (ssize_t done = 0; done < count;) {
      int sent = libxenvchan_write(pipe, buffer + done, (size_t)(count - done));
      if (sent <= 0) return fail("libxenvchan_write");
      done += sent;
    }
  return 0;
}

static int receive_all(struct libxenvchan *pipe) {
  for (;;) {
    int count = libxenvchan_read(pipe, buffer, sizeof buffer);
    if (count <= 0) return libxenvchan_is_open(pipe) ? fail("libxenvchan_read") : 0;
    for (int done = 0; done < count;) {
      ssize_t written = write(1, buffer + done, (size_t)(count - done));
      if (written <= 0) return fail("write");
      done += (int)written;
    }
  }
}

int main(int count, char **arguments) {
  if (count != 5) return 2;
  int domain = atoi(arguments[2]);
  struct libxenvchan *pipe = NULL;
  if (!strcmp(arguments[1], "server")) {
    pipe = libxenvchan_server_init(NULL, domain, arguments[3], 65536, 65536);
  } else {
    // A client of this library does not wait for its server.
    for (int tries = 0; !pipe && tries < 100; tries++, usleep(100000)) pipe = libxenvchan_client_init(NULL, domain, arguments[3]);
  }
  if (!pipe) return fail("cannot open the vchan");
  pipe->blocking = 1;
  fprintf(stderr, "open\n");
  int result = !strcmp(arguments[4], "send") ? send_all(pipe) : receive_all(pipe);
  libxenvchan_close(pipe);
  return result;
}
