// A vhost-user-blk front-end without a guest: random reads through one split ring, polled.
// It drives qemu-storage-daemon in the shape in which `pvio bench block` drives our back-end: one process a side,
// shared memory between them, an event counter only when the other side asks for one.
//
//   vublk SOCKET DEPTH BYTES SECONDS CPU [fill]
// prints one line: requests a second, median and 99th percentile latency in ns. With "fill", the disk is written full first.
//   vublk connect CPU SOCKET...
// prints one line: nanoseconds from the first socket's connect until every device has answered a read, one after the other; the memory is
// there before.
//
// Protocol: docs/interop/vhost-user.rst of QEMU (messages by number below), virtio 1.2 chapters 2.7 and 5.2.
#define _GNU_SOURCE
#include <fcntl.h>
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


static void fail(const char *what) { perror(what); exit(1); }

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void say(int server, uint32_t request, const void *body, uint32_t size, const int *fd) {
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

static void hear(int server, void *body, uint32_t size) {
  uint32_t header[3];
  char rest[4096];
  if (recv(server, header, 12, MSG_WAITALL) != 12 || header[2] > sizeof rest) fail("recv");
  if (recv(server, rest, header[2], MSG_WAITALL) != (ssize_t)header[2]) fail("recv");
  memcpy(body, rest, header[2] < size ? header[2] : size);
}

static uint64_t get(int server, uint32_t request) {
  uint64_t value = 0;
  say(server, request, 0, 0, 0);
  hear(server, &value, 8);
  return value;
}

static void set(int server, uint32_t request, uint64_t value) { say(server, request, &value, 8, 0); }

static int compare(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

// A connected device, its memory and its ring.
struct device {
  char *memory;
  struct vring ring;
  int kick;
  uint64_t sectors;
  uint16_t available, used;
};

// Memory for the ring, headers, statuses and data.
struct memory {
  char *start;
  size_t total;
  int file;
};

static struct memory make_memory(size_t data_bytes) {
  struct memory memory = {.total = DATA + ((data_bytes + 4095) & ~4095ul), .file = memfd_create("guest", MFD_ALLOW_SEALING)};
  if (ftruncate(memory.file, memory.total) || fcntl(memory.file, F_ADD_SEALS, F_SEAL_SHRINK)) fail("memfd");
  memory.start = mmap(0, memory.total, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, memory.file, 0);
  if (memory.start == MAP_FAILED) fail("mmap");
  return memory;
}

static struct device open_device(const char *path, struct memory memory) {
  struct device device = {.memory = memory.start};
  int server = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  if (connect(server, (void *)&address, sizeof address)) fail("connect");

  uint64_t features = get(server, GET_FEATURES) & (VERSION_1 | PROTOCOL_FEATURES | EVENT_IDX);
  uint64_t protocol = get(server, GET_PROTOCOL_FEATURES) & PROTOCOL_CONFIG;
  if (!(features & EVENT_IDX) || !protocol) { fprintf(stderr, "vublk: the back-end lacks a feature\n"); exit(1); }
  set(server, SET_PROTOCOL_FEATURES, protocol);
  set(server, SET_FEATURES, features);
  say(server, SET_OWNER, 0, 0, 0);
  struct __attribute__((packed)) { uint32_t offset, size, flags; uint8_t bytes[60]; } config = {0, 60, 0, {0}};
  say(server, GET_CONFIG, &config, sizeof config, 0);
  hear(server, &config, sizeof config);
  memcpy(&device.sectors, config.bytes, 8);

  struct __attribute__((packed)) { uint32_t count, padding; uint64_t guest, size, user, offset; } table =
      {1, 0, 0, memory.total, (uint64_t)device.memory, 0};
  say(server, SET_MEM_TABLE, &table, sizeof table, &memory.file);

  vring_init(&device.ring, ENTRIES, device.memory, 4096);
  device.kick = eventfd(0, 0);
  int call = eventfd(0, 0);
  struct { uint32_t index, number; } state = {0, ENTRIES};
  say(server, SET_VRING_NUM, &state, 8, 0);
  state.number = 0;
  say(server, SET_VRING_BASE, &state, 8, 0);
  struct __attribute__((packed)) { uint32_t index, flags; uint64_t descriptors, used, available, log; } places =
      {0, 0, (uint64_t)device.ring.desc, (uint64_t)device.ring.used, (uint64_t)device.ring.avail, 0};
  say(server, SET_VRING_ADDR, &places, sizeof places, 0);
  uint64_t queue = 0;
  say(server, SET_VRING_CALL, &queue, 8, &call);
  say(server, SET_VRING_KICK, &queue, 8, &device.kick);
  state.number = 1;
  say(server, SET_VRING_ENABLE, &state, 8, 0);
  return device;
}

// Puts a request with its data in `slot` on the ring; publish() shows it to the device.
static void put(struct device *device, int slot, uint32_t type, uint64_t sector, size_t bytes) {
  struct virtio_blk_outhdr *headers = (void *)(device->memory + HEADERS);
  headers[slot] = (struct virtio_blk_outhdr){type, 0, sector};
  struct vring_desc *chain = &device->ring.desc[3 * slot];
  chain[0] = (struct vring_desc){HEADERS + 16 * slot, 16, VRING_DESC_F_NEXT, 3 * slot + 1};
  chain[1] = (struct vring_desc){
      DATA + bytes * slot, bytes, VRING_DESC_F_NEXT | (type == VIRTIO_BLK_T_IN ? VRING_DESC_F_WRITE : 0), 3 * slot + 2};
  chain[2] = (struct vring_desc){STATUSES + slot, 1, VRING_DESC_F_WRITE, 0};
  device->memory[STATUSES + slot] = (char)255;
  device->ring.avail->ring[device->available++ % ENTRIES] = 3 * slot;
}

static void publish(struct device *device, uint16_t old) {
  if (device->available == old) return;
  __atomic_store_n(&device->ring.avail->idx, device->available, __ATOMIC_RELEASE);
  __sync_synchronize();
  if (vring_need_event(vring_avail_event(&device->ring), device->available, old)) {
    uint64_t one = 1;
    if (write(device->kick, &one, 8) != 8) fail("write");
  }
}

// The index up to which the device has answered.
static uint16_t answered(struct device *device) {
  vring_used_event(&device->ring) = device->used - 1;  // No event: this side polls.
  return __atomic_load_n(&device->ring.used->idx, __ATOMIC_ACQUIRE);
}

// The slot of the next answer, which has to be a good one.
static int take(struct device *device) {
  int slot = device->ring.used->ring[device->used++ % ENTRIES].id / 3;
  int status = *(volatile uint8_t *)(device->memory + STATUSES + slot);
  if (status) { fprintf(stderr, "vublk: a request failed (%d)\n", status); exit(1); }
  return slot;
}

static void one(struct device *device, uint32_t type, uint64_t sector, size_t bytes) {
  put(device, 0, type, sector, bytes);
  publish(device, device->available - 1);
  while (answered(device) == device->used) {}
  take(device);
}

static void pin(const char *cpu) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(atoi(cpu), &cpus);
  sched_setaffinity(0, sizeof cpus, &cpus);
}

static int connect_all(int count, char **paths) {
  struct memory *memories = malloc(count * sizeof *memories);
  for (int i = 0; i < count; i++) memories[i] = make_memory(4096);
  uint64_t start = now();
  for (int i = 0; i < count; i++) {
    struct device device = open_device(paths[i], memories[i]);
    one(&device, VIRTIO_BLK_T_IN, 0, 4096);
  }
  printf("%llu\n", (unsigned long long)(now() - start));
  return 0;
}

static void fill(struct device *device) {
  size_t bytes = 1 << 16;
  for (size_t i = 0; i < bytes; i += 8) *(uint64_t *)(device->memory + DATA + i) = i * 0x9e3779b97f4a7c15ull + 1;
  for (uint64_t sector = 0; sector + bytes / 512 <= device->sectors; sector += bytes / 512) one(device, VIRTIO_BLK_T_OUT, sector, bytes);
}

int main(int count, char **arguments) {
  if (count > 3 && !strcmp(arguments[1], "connect")) {
    pin(arguments[2]);
    return connect_all(count - 3, arguments + 3);
  }
  if (count != 6 && count != 7) { fprintf(stderr, "usage: vublk SOCKET DEPTH BYTES SECONDS CPU [fill]\n"); return 2; }
  int depth = atoi(arguments[2]);
  size_t bytes = atol(arguments[3]);
  double seconds = atof(arguments[4]);
  if (3 * depth > ENTRIES) { fprintf(stderr, "vublk: DEPTH is at most %d\n", ENTRIES / 3); return 2; }
  pin(arguments[5]);
  struct device device = open_device(arguments[1], make_memory(bytes * depth + (1 << 16)));
  if (count == 7) fill(&device);

  uint64_t blocks = device.sectors / (bytes / 512);
  uint64_t starts[ENTRIES];
  int free_slots[ENTRIES], free_count = 0;
  for (int slot = depth - 1; slot >= 0; slot--) free_slots[free_count++] = slot;
  size_t capacity = 20000000, latency_count = 0;
  uint32_t *latencies = malloc(4 * capacity);
  unsigned seed = 12345;
  long done = 0;
  uint64_t start = now(), time = start, end = start + seconds * 1e9;
  while (time <= end) {
    uint16_t old = device.available;
    while (free_count) {
      int slot = free_slots[--free_count];
      seed = seed * 1103515245 + 12345;
      put(&device, slot, VIRTIO_BLK_T_IN, (seed >> 4) % blocks * (bytes / 512), bytes);
      starts[slot] = now();
    }
    publish(&device, old);
    uint16_t now_used = answered(&device);
    if (now_used == device.used) continue;
    time = now();
    while (device.used != now_used) {
      int slot = take(&device);
      done++;
      if (latency_count < capacity) latencies[latency_count++] = time - starts[slot];
      free_slots[free_count++] = slot;
    }
  }
  qsort(latencies, latency_count, 4, compare);
  printf("%.0f %u %u\n", done * 1e9 / (time - start), latencies[latency_count / 2], latencies[(size_t)(latency_count * .99)]);
}
