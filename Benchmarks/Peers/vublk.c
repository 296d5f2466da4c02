// A vhost-user-blk front-end without a guest: random reads through one split ring, polled.
// It drives qemu-storage-daemon in the shape in which `pvio bench block` drives our back-end: one process a side,
// shared memory between them, an event counter only when the other side asks for one.
//
//   vublk SOCKET DEPTH BYTES SECONDS CPU
// prints one line: requests a second, median and 99th percentile latency in ns.
//
// Protocol: docs/interop/vhost-user.rst of QEMU (messages by number below), virtio 1.2 chapters 2.7 and 5.2.
#define _GNU_SOURCE
#include <linux/virtio_blk.h>
#include <linux/virtio_ring.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { ENTRIES = 256, HEADERS = 65536, STATUSES = HEADERS + ENTRIES * 16, DATA = 1 << 20 };
enum { GET_FEATURES = 1, SET_FEATURES = 2, SET_OWNER = 3, SET_MEM_TABLE = 5, SET_VRING_NUM = 8, SET_VRING_ADDR = 9,
       SET_VRING_BASE = 10, SET_VRING_KICK = 12, SET_VRING_CALL = 13, GET_PROTOCOL_FEATURES = 15,
       SET_PROTOCOL_FEATURES = 16, SET_VRING_ENABLE = 18, GET_CONFIG = 24 };
#define VERSION_1 (1ull << 32)
#define PROTOCOL_FEATURES (1ull << 30)
#define EVENT_IDX (1ull << 29)
#define PROTOCOL_CONFIG (1ull << 9)

static int server;

static void fail(const char *what) { perror(what); exit(1); }

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void say(uint32_t request, const void *body, uint32_t size, const int *fd) {
  uint32_t header[3] = {request, 1, size};
  struct iovec parts[2] = {{header, 12}, {(void *)body, size}};
  char control[CMSG_SPACE(sizeof(int))] = {0};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = size ? 2 : 1};
  if (fd) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), fd, sizeof(int));
  }
  if (sendmsg(server, &message, 0) < 0) fail("sendmsg");
}

static void hear(void *body, uint32_t size) {
  uint32_t header[3];
  char rest[4096];
  if (recv(server, header, 12, MSG_WAITALL) != 12 || header[2] > sizeof rest) fail("recv");
  if (recv(server, rest, header[2], MSG_WAITALL) != (ssize_t)header[2]) fail("recv");
  memcpy(body, rest, header[2] < size ? header[2] : size);
}

static uint64_t get(uint32_t request) {
  uint64_t value = 0;
  say(request, 0, 0, 0);
  hear(&value, 8);
  return value;
}

static void set(uint32_t request, uint64_t value) { say(request, &value, 8, 0); }

static int compare(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

int main(int count, char **arguments) {
  if (count != 6) { fprintf(stderr, "usage: vublk SOCKET DEPTH BYTES SECONDS CPU\n"); return 2; }
  int depth = atoi(arguments[2]);
  size_t bytes = atol(arguments[3]);
  double seconds = atof(arguments[4]);
  if (3 * depth > ENTRIES) { fprintf(stderr, "vublk: DEPTH is at most %d\n", ENTRIES / 3); return 2; }
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(atoi(arguments[5]), &cpus);
  sched_setaffinity(0, sizeof cpus, &cpus);

  server = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, arguments[1], sizeof address.sun_path - 1);
  if (connect(server, (void *)&address, sizeof address)) fail("connect");

  uint64_t features = get(GET_FEATURES) & (VERSION_1 | PROTOCOL_FEATURES | EVENT_IDX);
  uint64_t protocol = get(GET_PROTOCOL_FEATURES) & PROTOCOL_CONFIG;
  if (!(features & EVENT_IDX) || !protocol) { fprintf(stderr, "vublk: the back-end lacks a feature\n"); return 1; }
  set(SET_PROTOCOL_FEATURES, protocol);
  set(SET_FEATURES, features);
  say(SET_OWNER, 0, 0, 0);
  struct __attribute__((packed)) { uint32_t offset, size, flags; uint8_t bytes[60]; } config = {0, 60, 0, {0}};
  say(GET_CONFIG, &config, sizeof config, 0);
  hear(&config, sizeof config);
  uint64_t sectors;
  memcpy(&sectors, config.bytes, 8);

  size_t total = DATA + ((bytes * depth + 4095) & ~4095ul);
  int file = memfd_create("guest", 0);
  if (ftruncate(file, total)) fail("ftruncate");
  char *memory = mmap(0, total, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file, 0);
  if (memory == MAP_FAILED) fail("mmap");
  struct __attribute__((packed)) { uint32_t count, padding; uint64_t guest, size, user, offset; } table =
      {1, 0, 0, total, (uint64_t)memory, 0};
  say(SET_MEM_TABLE, &table, sizeof table, &file);

  struct vring ring;
  vring_init(&ring, ENTRIES, memory, 4096);
  int kick = eventfd(0, 0), call = eventfd(0, 0);
  struct { uint32_t index, number; } state = {0, ENTRIES};
  say(SET_VRING_NUM, &state, 8, 0);
  state.number = 0;
  say(SET_VRING_BASE, &state, 8, 0);
  struct __attribute__((packed)) { uint32_t index, flags; uint64_t descriptors, used, available, log; } places =
      {0, 0, (uint64_t)ring.desc, (uint64_t)ring.used, (uint64_t)ring.avail, 0};
  say(SET_VRING_ADDR, &places, sizeof places, 0);
  uint64_t queue = 0;
  say(SET_VRING_CALL, &queue, 8, &call);
  say(SET_VRING_KICK, &queue, 8, &kick);
  state.number = 1;
  say(SET_VRING_ENABLE, &state, 8, 0);

  struct virtio_blk_outhdr *headers = (void *)(memory + HEADERS);
  volatile uint8_t *statuses = (void *)(memory + STATUSES);
  uint64_t blocks = sectors / (bytes / 512);
  uint64_t starts[ENTRIES];
  int free_slots[ENTRIES], free_count = 0;
  for (int slot = depth - 1; slot >= 0; slot--) free_slots[free_count++] = slot;
  size_t capacity = 20000000, latency_count = 0;
  uint32_t *latencies = malloc(4 * capacity);
  uint16_t available = 0, used = 0;
  unsigned seed = 12345;
  long done = 0;
  uint64_t start = now(), time = start, end = start + seconds * 1e9;
  while (time <= end) {
    uint16_t old = available;
    while (free_count) {
      int slot = free_slots[--free_count];
      seed = seed * 1103515245 + 12345;
      headers[slot] = (struct virtio_blk_outhdr){VIRTIO_BLK_T_IN, 0, (seed >> 4) % blocks * (bytes / 512)};
      struct vring_desc *chain = &ring.desc[3 * slot];
      chain[0] = (struct vring_desc){HEADERS + 16 * slot, 16, VRING_DESC_F_NEXT, 3 * slot + 1};
      chain[1] = (struct vring_desc){DATA + bytes * slot, bytes, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 3 * slot + 2};
      chain[2] = (struct vring_desc){STATUSES + slot, 1, VRING_DESC_F_WRITE, 0};
      statuses[slot] = 255;
      ring.avail->ring[available++ % ENTRIES] = 3 * slot;
      starts[slot] = now();
    }
    if (available != old) {
      __atomic_store_n(&ring.avail->idx, available, __ATOMIC_RELEASE);
      __sync_synchronize();
      if (vring_need_event(vring_avail_event(&ring), available, old)) {
        uint64_t one = 1;
        if (write(kick, &one, 8) != 8) fail("write");
      }
    }
    vring_used_event(&ring) = used - 1;  // No event: this side polls.
    uint16_t now_used = __atomic_load_n(&ring.used->idx, __ATOMIC_ACQUIRE);
    if (now_used == used) continue;
    time = now();
    for (; used != now_used; used++, done++) {
      int slot = ring.used->ring[used % ENTRIES].id / 3;
      if (statuses[slot]) { fprintf(stderr, "vublk: a read failed (%d)\n", statuses[slot]); return 1; }
      if (latency_count < capacity) latencies[latency_count++] = time - starts[slot];
      free_slots[free_count++] = slot;
    }
  }
  qsort(latencies, latency_count, 4, compare);
  printf("%.0f %u %u\n", done * 1e9 / (time - start), latencies[latency_count / 2], latencies[(size_t)(latency_count * .99)]);
}
