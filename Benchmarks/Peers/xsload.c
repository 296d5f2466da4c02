// Loads any xenstore socket and prints what came of it: operations a second, the 50th, 99th and 99.9th percentile of their latency in
// microseconds, and the transactions that had to be tried again. Speaks xs_wire itself; needs no library of Xen's.
//
//   xsload SOCKET OPERATION MODE CLIENTS SECONDS
//
// OPERATION  write, read, directory   one request
//            txn                      TRANSACTION_START, READ, WRITE, TRANSACTION_END on a node of the client's own
//            txnc                     the same on one node that all clients share; what meets a conflict is tried again
//            fanout                   a write that CLIENTS watchers are told of; an operation is one event
// MODE       threads                  each client is a thread with a connection and one request outstanding, as libxenstore's users are
//            loop                     the same clients, all driven by one thread: the store is the limit, not the scheduler
//            pipelined                as loop, with 16 operations at a time on each connection; in fanout, 16 writes of as many nodes
//
// Every reply is checked; the first wrong one ends the program with 1.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { DIRECTORY = 1, READ = 2, WATCH = 4, TRANSACTION_START = 6, TRANSACTION_END = 7, WRITE = 11, RM = 13, WATCH_EVENT = 15, ERROR = 16 };
enum operation { OP_WRITE, OP_READ, OP_DIRECTORY, OP_TXN, OP_TXNC, OP_FANOUT, OPERATIONS };
static const char *const operation_names[OPERATIONS] = {"write", "read", "directory", "txn", "txnc", "fanout"};

enum { KEYS = 64, VALUE_BYTES = 16, PIPELINE_DEPTH = 16, PAYLOAD_MAX = 4096, HEADER_BYTES = 16 };

struct header { uint32_t type, request, transaction, length; };

struct client {
  int fd, index;
  enum operation operation;
  uint64_t count;                      // operations begun
  uint32_t request;                    // the last request's identifier
  struct {
    int stage;                         // of a transaction: the request that is outstanding
    uint32_t transaction;
    uint64_t began;
  } slots[PIPELINE_DEPTH];             // the operations under way, each with one request outstanding
  unsigned order[PIPELINE_DEPTH];      // the slots in the order of their requests, which is that of the replies
  unsigned first, outstanding;
  char buffer[64 * 1024];
  size_t filled, taken;
  uint32_t *latencies;                 // nanoseconds
  size_t latency_count, latency_room;
  uint64_t retries;
};

static const char *socket_path;
static volatile int stop;

static void die(const char *what) {
  fprintf(stderr, "xsload: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
  exit(1);
}

static void wrong(const char *what) {
  errno = 0;
  die(what);
}

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int dial(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(socket_path) >= sizeof address.sun_path) wrong("the socket's path is too long");
  strcpy(address.sun_path, socket_path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  for (int attempt = 0;; attempt++) {
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    if (attempt == 400 || (errno != EAGAIN && errno != ECONNREFUSED)) die(socket_path);
    usleep(5000);
  }
}

static void send_request(struct client *c, uint32_t type, uint32_t transaction, const void *payload, size_t length) {
  char packet[HEADER_BYTES + 512];
  if (length > sizeof packet - HEADER_BYTES) wrong("a request is too long");
  struct header h = {type, ++c->request, transaction, (uint32_t)length};
  memcpy(packet, &h, HEADER_BYTES);
  memcpy(packet + HEADER_BYTES, payload, length);
  for (size_t sent = 0; sent < HEADER_BYTES + length;) {
    ssize_t n = send(c->fd, packet + sent, HEADER_BYTES + length - sent, MSG_NOSIGNAL);
    if (n < 0 && errno != EINTR) die("send");
    if (n > 0) sent += (size_t)n;
  }
}

// The next packet that has arrived, or 0. The payload stays valid until the next `fill`.
static int take(struct client *c, struct header *h, const char **payload) {
  if (c->filled - c->taken < HEADER_BYTES) return 0;
  memcpy(h, c->buffer + c->taken, HEADER_BYTES);
  if (h->length > PAYLOAD_MAX) wrong("a reply is longer than the protocol allows");
  if (c->filled - c->taken < HEADER_BYTES + h->length) return 0;
  *payload = c->buffer + c->taken + HEADER_BYTES;
  c->taken += HEADER_BYTES + h->length;
  return 1;
}

// Waits for bytes: one call for all that are there.
static void fill(struct client *c) {
  memmove(c->buffer, c->buffer + c->taken, c->filled - c->taken);
  c->filled -= c->taken;
  c->taken = 0;
  ssize_t n;
  do n = recv(c->fd, c->buffer + c->filled, sizeof c->buffer - c->filled, 0);
  while (n < 0 && errno == EINTR);
  if (n < 0) die("recv");
  if (n == 0) wrong("the store closed the connection");
  c->filled += (size_t)n;
}

static void call(struct client *c, uint32_t type, const void *payload, size_t length) {
  struct header h;
  const char *reply;
  send_request(c, type, 0, payload, length);
  for (;;) {
    while (take(c, &h, &reply))
      if (h.type != WATCH_EVENT) {
        if (h.type != type) wrong("a request was refused while preparing");
        return;
      }
    fill(c);
  }
}

static size_t path_of(const struct client *c, char *out, uint64_t key) {
  if (c->operation == OP_TXNC) return (size_t)sprintf(out, "/xsload/shared");
  if (c->operation == OP_DIRECTORY) return (size_t)sprintf(out, "/xsload/c%d", c->index);
  return (size_t)sprintf(out, "/xsload/c%d/k%d", c->index, (int)(key % KEYS));
}

static size_t write_payload(char *out, const struct client *c, uint64_t key, uint64_t salt) {
  size_t length = path_of(c, out, key) + 1;
  memset(out + length, 'a' + (int)(salt % 26), VALUE_BYTES);
  return length + VALUE_BYTES;
}

// Sends the request that the slot's stage calls for. Each slot has a node of its own for its transactions.
static void issue(struct client *c, unsigned slot) {
  char payload[256];
  uint32_t transaction = c->slots[slot].transaction;
  c->order[(c->first + c->outstanding++) % PIPELINE_DEPTH] = slot;
  switch (c->operation) {
    case OP_WRITE: send_request(c, WRITE, 0, payload, write_payload(payload, c, c->count, c->count)); break;
    case OP_READ: send_request(c, READ, 0, payload, path_of(c, payload, c->count) + 1); break;
    case OP_DIRECTORY: send_request(c, DIRECTORY, 0, payload, path_of(c, payload, 0) + 1); break;
    default:
      switch (c->slots[slot].stage) {
        case 0: send_request(c, TRANSACTION_START, 0, "", 1); break;
        case 1: send_request(c, READ, transaction, payload, path_of(c, payload, slot) + 1); break;
        case 2: send_request(c, WRITE, transaction, payload, write_payload(payload, c, slot, c->count)); break;
        case 3: send_request(c, TRANSACTION_END, transaction, "T", 2); break;
      }
  }
}

static void begin(struct client *c, unsigned slot) {
  c->slots[slot].began = now();
  c->slots[slot].stage = 0;
  issue(c, slot);
  c->count++;
}

static void finish(struct client *c, unsigned slot) {
  uint64_t took = now() - c->slots[slot].began;
  if (c->latency_count == c->latency_room) {
    c->latency_room = c->latency_room ? c->latency_room * 2 : 1 << 16;
    c->latencies = realloc(c->latencies, c->latency_room * sizeof *c->latencies);
    if (!c->latencies) die("memory");
  }
  c->latencies[c->latency_count++] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
}

// Takes the reply to the request of the slot that is given back in `slot`. True when its operation is complete.
static int handle(struct client *c, const struct header *h, const char *payload, unsigned *slot) {
  if (h->request != c->request - (c->outstanding - 1)) wrong("a reply has another request's identifier");
  *slot = c->order[c->first];
  c->first = (c->first + 1) % PIPELINE_DEPTH;
  c->outstanding--;
  switch (c->operation) {
    case OP_WRITE:
      if (h->type != WRITE || h->length != 3 || memcmp(payload, "OK", 3)) wrong("a write was refused");
      return 1;
    case OP_READ:
      if (h->type != READ || h->length != VALUE_BYTES || payload[0] < 'a' || payload[0] > 'z') wrong("a read gave something else");
      return 1;
    case OP_DIRECTORY: {
      int names = 0;
      for (uint32_t i = 0; i < h->length; i++) names += payload[i] == 0;
      if (h->type != DIRECTORY || names != KEYS) wrong("a directory is not complete");
      return 1;
    }
    default: break;
  }
  switch (c->slots[*slot].stage++) {
    case 0:
      if (h->type != TRANSACTION_START) wrong("a transaction was refused");
      c->slots[*slot].transaction = (uint32_t)strtoul(payload, 0, 10);
      break;
    case 1:
      if (h->type != READ || h->length != VALUE_BYTES) wrong("a read in a transaction gave something else");
      break;
    case 2:
      if (h->type != WRITE) wrong("a write in a transaction was refused");
      break;
    case 3:
      if (h->type == TRANSACTION_END) return 1;
      if (h->type != ERROR || h->length != 7 || memcmp(payload, "EAGAIN", 7)) wrong("a commit was refused");
      c->retries++;
      c->slots[*slot].stage = 0;
      if (stop) return 0;  // given up: not an operation
      break;
  }
  issue(c, *slot);
  return 0;
}

static void prepare(struct client *c) {
  c->fd = dial();
  enum operation operation = c->operation;
  c->operation = OP_WRITE;
  char payload[256];
  for (uint64_t key = 0; key < KEYS; key++) call(c, WRITE, payload, write_payload(payload, c, key, key));
  c->operation = operation;
}

static pthread_barrier_t barrier;

static void *run_thread(void *argument) {
  struct client *c = argument;
  prepare(c);
  pthread_barrier_wait(&barrier);
  while (!stop) {
    unsigned slot = 0;
    int done = 0;
    begin(c, slot);
    while (!done && c->outstanding) {
      struct header h;
      const char *payload;
      while (!take(c, &h, &payload)) fill(c);
      done = handle(c, &h, payload, &slot);
    }
    if (done) finish(c, slot);
  }
  return 0;
}

static void run_threads(struct client *clients, int count, double seconds) {
  pthread_t threads[count];
  pthread_barrier_init(&barrier, 0, (unsigned)count + 1);
  for (int i = 0; i < count; i++)
    if (pthread_create(&threads[i], 0, run_thread, &clients[i])) die("thread");
  pthread_barrier_wait(&barrier);
  usleep((useconds_t)(seconds * 1e6));
  stop = 1;
  for (int i = 0; i < count; i++) pthread_join(threads[i], 0);
}

static void run_loop(struct client *clients, int count, unsigned depth, double seconds) {
  int epoll = epoll_create1(0), open = count;
  for (int i = 0; i < count; i++) {
    prepare(&clients[i]);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[i]};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, clients[i].fd, &event)) die("epoll");
  }
  uint64_t end = now() + (uint64_t)(seconds * 1e9);
  for (int i = 0; i < count; i++)
    for (unsigned slot = 0; slot < depth; slot++) begin(&clients[i], slot);
  while (open) {
    struct epoll_event events[64];
    int ready = epoll_wait(epoll, events, 64, 5000);
    if (ready == 0) wrong("no reply for five seconds");
    if (now() >= end) stop = 1;
    for (int i = 0; i < ready; i++) {
      struct client *c = events[i].data.ptr;
      struct header h;
      const char *payload;
      unsigned slot;
      fill(c);
      while (take(c, &h, &payload))
        if (handle(c, &h, payload, &slot)) {
          finish(c, slot);
          if (!stop) begin(c, slot);
        }
      if (stop && !c->outstanding) open--;
    }
  }
}

static const char fan_path[] = "/xsload/fan/x";

static void run_fanout(struct client *watchers, int count, unsigned depth, double seconds) {
  int epoll = epoll_create1(0);
  static struct client writer;
  struct header h;
  const char *payload;
  writer.fd = dial();
  char request[256];
  for (unsigned node = 0; node < depth; node++) call(&writer, WRITE, request, (size_t)sprintf(request, "%s%u", fan_path, node) + 1);
  for (int i = 0; i < count; i++) {
    struct client *w = &watchers[i];
    w->fd = dial();
    char watch[64];
    size_t n = (size_t)sprintf(watch, "/xsload/fan") + 1;
    n += (size_t)sprintf(watch + n, "t%d", i) + 1;
    call(w, WATCH, watch, n);
    while (!take(w, &h, &payload)) fill(w);
    if (h.type != WATCH_EVENT) wrong("a watch did not begin with an event");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = w};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, w->fd, &event)) die("epoll");
  }
  uint64_t end = now() + (uint64_t)(seconds * 1e9), began;
  while ((began = now()) < end) {
    writer.count++;
    for (unsigned node = 0; node < depth; node++) {
      size_t length = (size_t)sprintf(request, "%s%u", fan_path, node) + 1;
      memset(request + length, 'a' + (int)(writer.count % 26), VALUE_BYTES);
      send_request(&writer, WRITE, 0, request, length + VALUE_BYTES);
    }
    for (unsigned missing = (unsigned)count * depth; missing;) {
      struct epoll_event events[256];
      int ready = epoll_wait(epoll, events, 256, 5000);
      if (ready == 0) wrong("watchers were not told for five seconds");
      for (int i = 0; i < ready; i++) {
        struct client *w = events[i].data.ptr;
        fill(w);
        while (take(w, &h, &payload)) {
          if (h.type != WATCH_EVENT || strncmp(payload, fan_path, sizeof fan_path - 1)) wrong("a watcher got something else");
          missing--;
        }
      }
    }
    for (unsigned node = 0; node < depth; node++) {
      while (!take(&writer, &h, &payload)) fill(&writer);
      if (h.type != WRITE) wrong("a write was refused");
    }
    writer.slots[0].began = began;
    finish(&writer, 0);
  }
  watchers[0].latencies = writer.latencies;
  watchers[0].latency_count = writer.latency_count;
}

static int compare(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
  int operation = 0;
  if (argc == 6)
    while (operation < OPERATIONS && strcmp(argv[2], operation_names[operation])) operation++;
  int count = argc == 6 ? atoi(argv[4]) : 0;
  double seconds = argc == 6 ? atof(argv[5]) : 0;
  if (argc != 6 || operation == OPERATIONS || count < 1 || count > 4096 || !(seconds > 0)) {
    fprintf(stderr, "usage: xsload SOCKET write|read|directory|txn|txnc|fanout threads|loop|pipelined CLIENTS SECONDS\n");
    return 2;
  }
  socket_path = argv[1];
  struct client setup = {.fd = dial()}, *clients = calloc((size_t)count, sizeof *clients);
  if (!clients) die("memory");
  call(&setup, WRITE, "/xsload/shared\0aaaaaaaaaaaaaaaa", 31);
  for (int i = 0; i < count; i++) clients[i] = (struct client){.index = i, .operation = (enum operation)operation};

  unsigned depth = strcmp(argv[3], "pipelined") ? 1 : PIPELINE_DEPTH;
  if (operation == OP_FANOUT) run_fanout(clients, count, depth, seconds);
  else if (!strcmp(argv[3], "threads")) run_threads(clients, count, seconds);
  else run_loop(clients, count, depth, seconds);

  size_t total = 0;
  uint64_t retries = 0;
  for (int i = 0; i < count; i++) total += clients[i].latency_count, retries += clients[i].retries;
  uint32_t *all = malloc(total * sizeof *all + 1);
  size_t filled = 0;
  for (int i = 0; i < count; i++) {
    memcpy(all + filled, clients[i].latencies, clients[i].latency_count * sizeof *all);
    filled += clients[i].latency_count;
    close(clients[i].fd);
  }
  if (!total) wrong("no operation was completed");
  qsort(all, total, sizeof *all, compare);
  double rate = (double)total * (operation == OP_FANOUT ? (double)count * depth : 1) / seconds;
  printf("%.0f %.1f %.1f %.1f %llu\n", rate, all[(size_t)(.5 * (double)(total - 1))] / 1e3, all[(size_t)(.99 * (double)(total - 1))] / 1e3,
         all[(size_t)(.999 * (double)(total - 1))] / 1e3, (unsigned long long)retries);
  call(&setup, RM, "/xsload", 8);
  return 0;
}
