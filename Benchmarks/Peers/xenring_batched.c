// The strongest C use of Xen's own ring.h that we know, as the peer of `pvio bench ring`: two pinned processes that poll
// without a fence a look, take whole batches, and publish once a batch.
//
// usage: xenring_batched ORDER polled|notified DEPTH COUNT rate|rtt
//   ORDER 0 is a ring of one page, 3 of eight pages. Prints one number: requests a second (rate), or the median round
//   trip in nanoseconds (rtt, meant for DEPTH 1).
// build: cc -O2 xenring_batched.c (libxen-dev)
#define _GNU_SOURCE
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define mb() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define rmb() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define wmb() __atomic_thread_fence(__ATOMIC_RELEASE)
#include <xen/xen.h>
#include <xen/io/ring.h>
#include <xen/io/blkif.h>

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set)) { perror("sched_setaffinity"); exit(1); }
}

static void signal_event(int fd) {
  uint64_t one = 1;
  if (write(fd, &one, 8) < 0) abort();
}

static void wait_event(int fd) {
  uint64_t count;
  if (read(fd, &count, 8) < 0) abort();
}

static int ascending(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

static void back(blkif_sring_t *shared, size_t size, int notify, uint64_t count, int to_back, int to_front) {
  blkif_back_ring_t ring;
  BACK_RING_INIT(&ring, shared, size);
  for (uint64_t done = 0; done < count;) {
    RING_IDX produced = ring.sring->req_prod;
    rmb();
    int did = 0;
    while (ring.req_cons != produced) {
      blkif_request_t request;
      RING_COPY_REQUEST(&ring, ring.req_cons, &request);
      ring.req_cons++;
      blkif_response_t *response = RING_GET_RESPONSE(&ring, ring.rsp_prod_pvt);
      response->id = request.id;
      response->operation = request.operation;
      response->status = 0;
      ring.rsp_prod_pvt++;
      done++;
      did = 1;
    }
    if (did) {
      int due;
      RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(&ring, due);
      if (due && notify) signal_event(to_front);
    } else if (notify) {
      int more;
      RING_FINAL_CHECK_FOR_REQUESTS(&ring, more);
      if (!more) wait_event(to_back);
    } else {
      __builtin_ia32_pause();
    }
  }
}

int main(int argc, char **argv) {
  if (argc != 6) { fprintf(stderr, "usage: %s ORDER polled|notified DEPTH COUNT rate|rtt\n", argv[0]); return 2; }
  size_t size = 4096u << atoi(argv[1]);
  int notify = !strcmp(argv[2], "notified");
  uint64_t depth = strtoull(argv[3], NULL, 10), count = strtoull(argv[4], NULL, 10);
  int latency = !strcmp(argv[5], "rtt");

  blkif_sring_t *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  uint32_t *times = latency ? malloc(4 * count) : NULL;
  int to_back = eventfd(0, 0), to_front = eventfd(0, 0);
  if (shared == MAP_FAILED || to_back < 0 || to_front < 0 || (latency && !times)) { perror("setup"); return 1; }
  SHARED_RING_INIT(shared);
  pid_t child = fork();
  if (child < 0) { perror("fork"); return 1; }
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin(1);
    back(shared, size, notify, count, to_back, to_front);
    _exit(0);
  }
  pin(0);

  blkif_front_ring_t ring;
  FRONT_RING_INIT(&ring, shared, size);
  uint64_t sent = 0, completed = 0, checksum = 0, start = now(), sent_at = start;
  while (completed < count) {
    int did = 0;
    if (latency && sent == completed) sent_at = now();
    while (sent < count && !RING_FULL(&ring) && sent - completed < depth) {
      blkif_request_t *request = RING_GET_REQUEST(&ring, ring.req_prod_pvt);
      request->operation = BLKIF_OP_READ;
      request->nr_segments = 1;
      request->handle = 0;
      request->id = sent;
      request->sector_number = sent * 8;
      request->seg[0].gref = sent & 1023;
      request->seg[0].first_sect = 0;
      request->seg[0].last_sect = 7;
      ring.req_prod_pvt++;
      sent++;
      did = 1;
    }
    if (did) {
      int due;
      RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&ring, due);
      if (due && notify) signal_event(to_back);
    }
    RING_IDX produced = ring.sring->rsp_prod;
    rmb();
    int got = 0;
    while (ring.rsp_cons != produced) {
      blkif_response_t response;
      memcpy(&response, RING_GET_RESPONSE(&ring, ring.rsp_cons), sizeof response);
      checksum += response.id;
      ring.rsp_cons++;
      if (latency) times[completed] = now() - sent_at;
      completed++;
      got = 1;
    }
    if (got) continue;
    if (notify) {
      int more;
      RING_FINAL_CHECK_FOR_RESPONSES(&ring, more);
      if (!more && completed < count) wait_event(to_front);
    } else {
      __builtin_ia32_pause();
    }
  }
  uint64_t elapsed = now() - start;
  waitpid(child, NULL, 0);
  if (checksum != count * (count - 1) / 2) { fprintf(stderr, "wrong responses\n"); return 1; }
  if (latency) {
    qsort(times, count, 4, ascending);
    printf("%u\n", times[count / 2]);
  } else {
    printf("%.0f\n", count * 1e9 / elapsed);
  }
  return 0;
}
