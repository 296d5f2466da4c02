// A store that keeps nothing: answers every request at once with what xsload expects, and looks at no more than the packet's type.
// After a request it looks 100 us for the next one before it sleeps, as ours does. What it reaches is what this machine's sockets and
// wake-ups give to any store in one process: a ceiling, not a peer.
//
//   xsceiling SOCKET
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { DIRECTORY = 1, READ = 2, WATCH = 4, TRANSACTION_START = 6, WRITE = 11, WATCH_EVENT = 15, NAMES = 64, CLIENTS = 4200, ROOM = 64 * 1024, PATIENCE_NS = 100 * 1000 };

struct header { uint32_t type, request, transaction, length; };

struct client {
  int fd;
  size_t filled;
  char buffer[ROOM];
};

static struct client *watchers[CLIENTS];
static int watcher_count;
static char names[NAMES * 4], event[64];
static size_t event_length;

static void answer(struct client *c, const struct header *request, const void *payload, size_t length) {
  char packet[sizeof *request + 512];
  struct header reply = {request->type, request->request, request->transaction, (uint32_t)length};
  memcpy(packet, &reply, sizeof reply);
  memcpy(packet + sizeof reply, payload, length);
  if (send(c->fd, packet, sizeof reply + length, MSG_NOSIGNAL) < 0) perror("send");
}

static void tell(struct client *c) {
  struct header header = {.type = WATCH_EVENT};
  answer(c, &header, event, event_length);
}

static void serve(struct client *c, const struct header *h, const char *payload) {
  switch (h->type) {
    case DIRECTORY: answer(c, h, names, sizeof names); break;
    case READ: answer(c, h, "aaaaaaaaaaaaaaaa", 16); break;
    case TRANSACTION_START: answer(c, h, "1", 2); break;
    case WATCH:
      answer(c, h, "OK", 3);
      if (watcher_count < CLIENTS) watchers[watcher_count++] = c;
      tell(c);
      break;
    case WRITE:
      // Of all that is written, only nodes of this name, with a number, are watched.
      if (watcher_count && !strncmp(payload, "/xsload/fan/x", 13))
        for (int i = 0; i < watcher_count; i++) tell(watchers[i]);
      answer(c, h, "OK", 3);
      break;
    default: answer(c, h, "OK", 3);
  }
}

static int receive(struct client *c) {
  ssize_t count = recv(c->fd, c->buffer + c->filled, ROOM - c->filled, 0);
  if (count <= 0) return 0;
  c->filled += (size_t)count;
  size_t taken = 0;
  struct header h;
  while (c->filled - taken >= sizeof h) {
    memcpy(&h, c->buffer + taken, sizeof h);
    if (h.length > 4096) return 0;
    if (c->filled - taken < sizeof h + h.length) break;
    serve(c, &h, c->buffer + taken + sizeof h);
    taken += sizeof h + h.length;
  }
  memmove(c->buffer, c->buffer + taken, c->filled - taken);
  c->filled -= taken;
  return 1;
}

static void drop(struct client *c) {
  for (int i = 0; i < watcher_count; i++)
    if (watchers[i] == c) watchers[i--] = watchers[--watcher_count];
  close(c->fd);
  free(c);
}

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ll + t.tv_nsec;
}

int main(int argc, char **argv) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (argc != 2 || strlen(argv[1]) >= sizeof address.sun_path) return 2;
  strcpy(address.sun_path, argv[1]);
  for (int i = 0; i < NAMES; i++) snprintf(names + i * 4, 4, "k%02d", i);
  event_length = (size_t)sprintf(event, "/xsload/fan/x") + 1;
  event_length += (size_t)sprintf(event + event_length, "token") + 1;
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), epoll = epoll_create1(EPOLL_CLOEXEC);
  unlink(argv[1]);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1024)) return perror(argv[1]), 1;
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[256];
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  int64_t served = now();
  for (;;) {
    int ready = epoll_wait(epoll, events, 256, now() - served < PATIENCE_NS ? 0 : -1);
    if (ready > 0) served = now();
    for (int i = 0; i < ready; i++) {
      struct client *c = events[i].data.ptr;
      if (c) {
        if (!receive(c)) drop(c);
        continue;
      }
      if (!(c = calloc(1, sizeof *c))) return 1;
      if ((c->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0) {
        free(c);
        continue;
      }
      struct epoll_event added = {.events = EPOLLIN, .data.ptr = c};
      epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &added);
    }
  }
}
