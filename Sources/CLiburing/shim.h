// liburing's inline functions, and the few things in it that are macros.
// The kernel's own header first: it takes the place of liburing's copy, and is the one that other modules (swift-system) see.
#include <linux/io_uring.h>
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>

static inline struct io_uring *pvio_uring_allocate(void) { return (struct io_uring *)calloc(1, sizeof(struct io_uring)); }

// Whether the kernel has completions to hand over that need a call (deferred task work, or an overflowed queue).
static inline int pvio_uring_needs_enter(const struct io_uring *ring) {
  return (__atomic_load_n(ring->sq.kflags, __ATOMIC_RELAXED) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

// Number of completions that can be looked at without a call.
static inline unsigned pvio_uring_ready(const struct io_uring *ring) { return io_uring_cq_ready(ring); }

// Copies the oldest completion out and frees its slot. Returns 0 when there is none.
static inline int pvio_uring_take(struct io_uring *ring, unsigned long long *user_data, int *result, unsigned *flags) {
  unsigned head = *ring->cq.khead;
  if (head == __atomic_load_n(ring->cq.ktail, __ATOMIC_ACQUIRE)) return 0;
  const struct io_uring_cqe *cqe = &ring->cq.cqes[head & *ring->cq.kring_mask];
  *user_data = cqe->user_data;
  *result = cqe->res;
  *flags = cqe->flags;
  __atomic_store_n(ring->cq.khead, head + 1, __ATOMIC_RELEASE);
  return 1;
}

// Submits everything prepared; waits for `wait` completions, at most `timeout_ns` (negative: without limit).
// Returns the number submitted or -errno; a timeout and an interruption are not errors.
static inline int pvio_uring_submit(struct io_uring *ring, unsigned wait, long long timeout_ns) {
  int result;
  if (wait == 0) {
    result = io_uring_submit(ring);
  } else if (timeout_ns < 0) {
    result = io_uring_submit_and_wait(ring, wait);
  } else {
    struct __kernel_timespec limit = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    struct io_uring_cqe *cqe = NULL;
    result = io_uring_submit_and_wait_timeout(ring, &cqe, wait, &limit, NULL);
  }
  if (result == -ETIME || result == -EINTR) return 0;
  return result;
}
