// What the Glibc module does not offer to Swift: calls behind macros, and single-access loads and stores for memory
// that another process can write. Header-only, so that the hot ones are inlined into Swift code.
#ifndef PVIO_CLINUXSHIMS_H
#define PVIO_CLINUXSHIMS_H

// No _GNU_SOURCE here: it would change structs that the Glibc module has already given Swift (fd_set).
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/stat.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

// --- shared memory: each function is exactly one access (or one fence) that the optimiser may neither repeat nor drop

static inline uint8_t pvio_load_relaxed_u8(const void *p) { return *(const volatile uint8_t *)p; }
static inline uint16_t pvio_load_relaxed_u16(const void *p) { return *(const volatile uint16_t *)p; }
static inline uint32_t pvio_load_relaxed_u32(const void *p) { return *(const volatile uint32_t *)p; }
static inline uint64_t pvio_load_relaxed_u64(const void *p) { return *(const volatile uint64_t *)p; }
static inline void pvio_store_relaxed_u8(void *p, uint8_t v) { *(volatile uint8_t *)p = v; }
static inline void pvio_store_relaxed_u16(void *p, uint16_t v) { *(volatile uint16_t *)p = v; }
static inline void pvio_store_relaxed_u32(void *p, uint32_t v) { *(volatile uint32_t *)p = v; }
static inline void pvio_store_relaxed_u64(void *p, uint64_t v) { *(volatile uint64_t *)p = v; }

// 64-bit words of wire records, aligned to four bytes only (the 32-bit ABI); one instruction on x86-64 and arm64.
typedef uint64_t __attribute__((aligned(4), may_alias)) pvio_wire_u64;
static inline uint64_t pvio_load_word_u64(const void *p) { return *(const volatile pvio_wire_u64 *)p; }
static inline void pvio_store_word_u64(void *p, uint64_t v) { *(volatile pvio_wire_u64 *)p = v; }

// A word at any address: one instruction on x86-64 and arm64, though not always one access.
typedef uint64_t __attribute__((aligned(1), may_alias)) pvio_unaligned_u64;
static inline uint64_t pvio_load_unaligned_u64(const void *p) { return *(const volatile pvio_unaligned_u64 *)p; }

// Copies a short stretch in blocks of 16 bytes, without a call. The last block may overlap the one before: a byte that a peer changes meanwhile
// is then what was read last. The optimiser must not see a call of memcpy in it, nor through it to where the bytes came from.
static inline __attribute__((always_inline)) void pvio_copy_short(void *to, const void *from, size_t count) {
  char *t = (char *)to;
  const char *f = (const char *)from;
  if (count >= 16) {
    size_t done = 0;
    do {
      __builtin_memcpy(t + done, f + done, 16);
      __asm__ __volatile__("" : : : "memory");
      done += 16;
    } while (done + 16 <= count);
    if (done != count) __builtin_memcpy(t + count - 16, f + count - 16, 16);
  } else if (count >= 8) {
    __builtin_memcpy(t, f, 8);
    __asm__ __volatile__("" : : : "memory");
    __builtin_memcpy(t + count - 8, f + count - 8, 8);
  } else {
    for (size_t done = 0; done < count; done++) {
      t[done] = f[done];
      __asm__ __volatile__("" : : : "memory");
    }
  }
  __asm__ __volatile__("" : : : "memory");
}

static inline uint16_t pvio_load_acquire_u16(const void *p) { return __atomic_load_n((const uint16_t *)p, __ATOMIC_ACQUIRE); }
static inline uint32_t pvio_load_acquire_u32(const void *p) { return __atomic_load_n((const uint32_t *)p, __ATOMIC_ACQUIRE); }
static inline void pvio_store_release_u16(void *p, uint16_t v) { __atomic_store_n((uint16_t *)p, v, __ATOMIC_RELEASE); }
static inline void pvio_store_release_u32(void *p, uint32_t v) { __atomic_store_n((uint32_t *)p, v, __ATOMIC_RELEASE); }

// Returns 1 and stores `desired` when *p was `expected`; otherwise returns 0 and leaves what was seen in *expected.
static inline int pvio_compare_exchange_u16(void *p, uint16_t *expected, uint16_t desired) {
  return __atomic_compare_exchange_n((uint16_t *)p, expected, desired, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}
static inline uint8_t pvio_fetch_and_u8(void *p, uint8_t v) { return __atomic_fetch_and((uint8_t *)p, v, __ATOMIC_SEQ_CST); }
static inline uint8_t pvio_fetch_or_u8(void *p, uint8_t v) { return __atomic_fetch_or((uint8_t *)p, v, __ATOMIC_SEQ_CST); }
static inline uint16_t pvio_fetch_and_u16(void *p, uint16_t v) { return __atomic_fetch_and((uint16_t *)p, v, __ATOMIC_SEQ_CST); }
static inline uint16_t pvio_fetch_or_u16(void *p, uint16_t v) { return __atomic_fetch_or((uint16_t *)p, v, __ATOMIC_SEQ_CST); }
// Loads before it are done before those after it. On x86 only the compiler has to be told.
static inline void pvio_load_fence(void) { __atomic_thread_fence(__ATOMIC_ACQUIRE); }
// A full fence. On x86 a locked instruction is one for ordinary memory, at less cost than the mfence that compilers make of it.
static inline void pvio_fence(void) {
#if defined(__x86_64__)
  __asm__ __volatile__("lock; orl $0, (%%rsp)" : : : "memory", "cc");
#else
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

// A release store and a full fence. On x86 one exchange is both, at about half the cost of a store and an mfence.
static inline void pvio_store_and_fence_u32(void *p, uint32_t v) {
#if defined(__x86_64__)
  __asm__ __volatile__("xchgl %0, %1" : "+r"(v), "+m"(*(volatile uint32_t *)p) : : "memory");
#else
  __atomic_store_n((uint32_t *)p, v, __ATOMIC_RELEASE);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

// Spelled out on x86: the builtin becomes a prefetch for reading when the target is the x86-64 baseline. Processors
// without prefetchw treat it as a no-op.
static inline void pvio_prefetch_write(const void *p) {
#if defined(__x86_64__)
  __asm__ __volatile__("prefetchw %0" : : "m"(*(const char *)p));
#else
  __builtin_prefetch(p, 1, 3);
#endif
}
static inline void pvio_prefetch_read(const void *p) { __builtin_prefetch(p, 0, 3); }

// All lines of addresses first..<end. Nothing is accessed, so these may be any.
static inline void pvio_prefetch_lines_for_writing(uintptr_t first, uintptr_t end) {
  for (uintptr_t line = first & ~(uintptr_t)63; line < end; line += 64) pvio_prefetch_write((const void *)line);
}
static inline void pvio_prefetch_lines_for_reading(uintptr_t first, uintptr_t end) {
  for (uintptr_t line = first & ~(uintptr_t)63; line < end; line += 64) pvio_prefetch_read((const void *)line);
}

static inline void pvio_spin_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}

// --- calls behind macros or missing from the Glibc module

static inline int pvio_memfd_create(const char *name, unsigned flags) { return (int)syscall(SYS_memfd_create, name, flags); }
#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#define F_GET_SEALS 1034
#endif
enum {
  PVIO_MFD_CLOEXEC = 1,
  PVIO_MFD_ALLOW_SEALING = 2,
  PVIO_SEAL_SEAL = 1,
  PVIO_SEAL_SHRINK = 2,
  PVIO_SEAL_GROW = 4,
  PVIO_SEAL_FUTURE_WRITE = 16,
  PVIO_O_DIRECT = __O_DIRECT,
  PVIO_O_PATH = __O_PATH,
};
static inline int pvio_add_seals(int fd, int seals) { return fcntl(fd, F_ADD_SEALS, seals); }
static inline int pvio_get_seals(int fd) { return fcntl(fd, F_GET_SEALS); }
// 1 for a file made of ordinary pages in memory (TMPFS_MAGIC), 0 for any other (huge pages), -1 with errno.
static inline int pvio_is_on_tmpfs(int fd) {
  struct statfs status;
  if (fstatfs(fd, &status) != 0) return -1;
  return status.f_type == 0x01021994;
}
static inline int pvio_eventfd(unsigned initial, int flags) { return eventfd(initial, flags); }
static inline int pvio_open(const char *path, int flags, int mode) { return open(path, flags, mode); }
static inline int pvio_get_fd_flags(int fd) { return fcntl(fd, F_GETFL); }
static inline int pvio_set_fd_flags(int fd, int flags) { return fcntl(fd, F_SETFL, flags); }

// BLKGETSIZE64, BLKSSZGET, BLKPBSZGET (linux/fs.h)
// Opens a path below a directory, resolved as `resolve` says (openat2(2)).
static inline int pvio_openat2(int directory, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
  struct { uint64_t flags, mode, resolve; } how = {flags, mode, resolve};
  return (int)syscall(437, directory, path, &how, sizeof how);
}
// Entries of a directory (getdents64(2)).
static inline long pvio_directory_entries(int fd, void *buffer, size_t size) { return syscall(SYS_getdents64, fd, buffer, size); }
// Pseudo terminals: lets the other end of a controlling end be opened, and says its number, or -1.
static inline int pvio_terminal_number(int fd) {
  int locked = 0;
  unsigned number = 0;
  if (ioctl(fd, TIOCSPTLCK, &locked) < 0 || ioctl(fd, TIOCGPTN, &number) < 0) return -1;
  return (int)number;
}
static inline int pvio_block_device_byte_count(int fd, uint64_t *bytes) { return ioctl(fd, BLKGETSIZE64, bytes); }
static inline int pvio_block_device_sector_size(int fd, int *bytes) { return ioctl(fd, BLKSSZGET, bytes); }
static inline int pvio_block_device_physical_sector_size(int fd, unsigned *bytes) { return ioctl(fd, BLKPBSZGET, bytes); }

static inline int pvio_fallocate(int fd, int mode, int64_t offset, int64_t length) { return (int)syscall(SYS_fallocate, fd, mode, offset, length); }

static inline int pvio_pin_to_cpu(int cpu) {
  unsigned long mask[16] = {0};
  if (cpu < 0 || cpu >= 1024) { errno = EINVAL; return -1; }
  mask[cpu / 64] = 1ul << (cpu % 64);
  return (int)syscall(SYS_sched_setaffinity, 0, sizeof mask, mask);
}

static inline int pvio_accept(int socket) { return (int)syscall(SYS_accept4, socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK); }

// Sends `length` bytes with `count` descriptors (at most 8) in one message. Returns bytes sent or -1 with errno.
static inline ssize_t pvio_send_with_descriptors(int socket, const void *bytes, size_t length, const int *fds, int count, int flags) {
  struct iovec vector = {(void *)bytes, length};
  union {
    struct cmsghdr align;
    char space[CMSG_SPACE(8 * sizeof(int))];
  } control;
  struct msghdr message;
  memset(&message, 0, sizeof message);
  memset(&control, 0, sizeof control);
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  if (count > 8) { errno = EINVAL; return -1; }
  if (count > 0) {
    message.msg_control = control.space;
    message.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
    memcpy(CMSG_DATA(header), fds, (size_t)count * sizeof(int));
  }
  return sendmsg(socket, &message, flags | MSG_NOSIGNAL);
}

// Receives one message and up to 8 descriptors (close-on-exec). `*count` becomes the number received; a message whose
// control data was cut has its descriptors closed and fails with EMSGSIZE.
static inline ssize_t pvio_receive_with_descriptors(int socket, void *bytes, size_t length, int *fds, int *count, int flags) {
  struct iovec vector = {bytes, length};
  union {
    struct cmsghdr align;
    char space[CMSG_SPACE(8 * sizeof(int))];
  } control;
  struct msghdr message;
  memset(&message, 0, sizeof message);
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control.space;
  message.msg_controllen = sizeof control.space;
  *count = 0;
  ssize_t received = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
  if (received < 0) return received;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    int n = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    const int *source = (const int *)CMSG_DATA(header);
    for (int i = 0; i < n; i++) {
      if (*count < 8) fds[(*count)++] = source[i];
      else close(source[i]);
    }
  }
  if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
    for (int i = 0; i < *count; i++) close(fds[i]);
    *count = 0;
    errno = EMSGSIZE;
    return -1;
  }
  return received;
}

// pipe2(2), both ends close-on-exec.
static inline int pvio_pipe(int ends[2]) { return (int)syscall(SYS_pipe2, ends, O_CLOEXEC); }

static inline int pvio_peer_credentials(int socket, int *pid, unsigned *uid, unsigned *gid) {
  struct { int pid; unsigned uid, gid; } credentials; // struct ucred
  socklen_t length = sizeof credentials;
  int result = getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length);
  if (result == 0) {
    *pid = credentials.pid;
    *uid = credentials.uid;
    *gid = credentials.gid;
  }
  return result;
}

// Makes SIGINT, SIGTERM and SIGHUP write their number, one byte each, to a pipe whose reading end is returned (-1 with
// errno on failure). A handler and not a blocked mask: runtimes start threads before `main`, and those would take the signal.
// A program with the argument PVIO_STREAM_OPTION has the handlers from its very beginning.
int pvio_signal_pipe(void);
#define PVIO_STREAM_OPTION "--live-update-stream"
// The read end of a second pipe that gets the same bytes and that nobody reads, or -1: for the next program in this process.
int pvio_signal_record(void);

// Memory and offset alignment that O_DIRECT asks of this file (STATX_DIOALIGN); 0/0 where the kernel cannot say.
static inline int pvio_direct_io_alignment(int fd, unsigned *memory, unsigned *offset) {
  struct pvio_statx {
    uint32_t mask, blksize; uint64_t attributes; uint32_t nlink, uid, gid; uint16_t mode, spare0; uint64_t ino, size, blocks, attributes_mask;
    struct { int64_t sec; uint32_t nsec; int32_t pad; } times[4];
    uint32_t rdev_major, rdev_minor, dev_major, dev_minor; uint64_t mnt_id; uint32_t dio_mem_align, dio_offset_align; uint64_t spare3[12];
  } buffer;
  memset(&buffer, 0, sizeof buffer);
  if (syscall(SYS_statx, fd, "", 0x1000 /* AT_EMPTY_PATH */, 0x2000u, &buffer) != 0) return -1;
  *memory = buffer.mask & 0x2000u ? buffer.dio_mem_align : 0;
  *offset = buffer.mask & 0x2000u ? buffer.dio_offset_align : 0;
  return 0;
}

// --- network namespaces and interfaces

// The calling thread alone enters the network namespace that `fd` names (CLONE_NEWNET).
static inline int pvio_enter_network_namespace(int fd) { return (int)syscall(SYS_setns, fd, 0x40000000); }

// TUNSETIFF and TUNSETQUEUE take a struct ifreq, which linux/if.h and net/if.h both define: spelled out here.
struct pvio_tun_request { char name[16]; short flags; char unused[22]; };
enum {
  PVIO_TAP = IFF_TAP,
  PVIO_TAP_NO_PACKET_INFORMATION = IFF_NO_PI,
  PVIO_TAP_VNET_HEADER = IFF_VNET_HDR,
  PVIO_TAP_MULTI_QUEUE = IFF_MULTI_QUEUE,
  PVIO_TAP_EXCLUSIVE = IFF_TUN_EXCL,
  PVIO_TAP_CHECKSUM = TUN_F_CSUM,
  PVIO_TAP_TSO4 = TUN_F_TSO4,
  PVIO_TAP_TSO6 = TUN_F_TSO6,
  PVIO_TAP_USO = 0x60, // TUN_F_USO4 | TUN_F_USO6, newer than the header of Debian 12
};
static inline int pvio_tap_attach(int fd, const char *name, int flags) {
  struct pvio_tun_request request;
  memset(&request, 0, sizeof request);
  strncpy(request.name, name, sizeof request.name - 1);
  request.flags = (short)flags;
  return ioctl(fd, TUNSETIFF, &request);
}
static inline int pvio_tap_set_queue(int fd, int attached) {
  struct pvio_tun_request request;
  memset(&request, 0, sizeof request);
  request.flags = attached ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE;
  return ioctl(fd, TUNSETQUEUE, &request);
}
static inline int pvio_tap_set_persistent(int fd, int persistent) { return ioctl(fd, TUNSETPERSIST, (unsigned long)persistent); }
static inline int pvio_tap_set_offload(int fd, unsigned offload) { return ioctl(fd, TUNSETOFFLOAD, (unsigned long)offload); }
static inline int pvio_tap_set_vnet_header_size(int fd, int size) { return ioctl(fd, TUNSETVNETHDRSZ, &size); }
static inline int pvio_tap_set_carrier(int fd, int up) { return ioctl(fd, TUNSETCARRIER, &up); }

// A socket for requests on the interfaces of the calling thread's network namespace (NETLINK_ROUTE). With `groups`, also for
// what the kernel tells of them unasked (RTMGRP_LINK is 1). -1 with errno.
static inline int pvio_route_socket(unsigned groups) {
  int fd = socket(16 /* AF_NETLINK */, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd < 0 || groups == 0) return fd;
  struct { unsigned short family, pad; unsigned port, groups; } address = {16, 0, 0, groups}; // struct sockaddr_nl
  if (bind(fd, (const struct sockaddr *)&address, sizeof address) == 0) return fd;
  int saved = errno;
  close(fd);
  errno = saved;
  return -1;
}

// Frames of the network interface `index`, as they are on the wire: with a virtio header before each (PACKET_VNET_HDR), their VLAN tag
// beside them (PACKET_AUXDATA), whoever they are for (PACKET_MR_PROMISC), without those that this host sends. -1 with errno.
static inline int pvio_packet_socket(int index, int buffer_bytes) {
  int fd = socket(17 /* AF_PACKET */, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  int on = 1;
  struct packet_mreq everything = {.mr_ifindex = index, .mr_type = PACKET_MR_PROMISC};
  struct sockaddr_ll address = {.sll_family = 17, .sll_protocol = 0x0300 /* ETH_P_ALL, big-endian */, .sll_ifindex = index};
  // The first two may be refused to a user who has CAP_NET_RAW alone: then the system's own limit holds.
  (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer_bytes, sizeof buffer_bytes);
  (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer_bytes, sizeof buffer_bytes);
  if (setsockopt(fd, 263 /* SOL_PACKET */, PACKET_VNET_HDR, &on, sizeof on) == 0
      && setsockopt(fd, 263, PACKET_AUXDATA, &on, sizeof on) == 0
      && setsockopt(fd, 263, PACKET_IGNORE_OUTGOING, &on, sizeof on) == 0
      && setsockopt(fd, 263, PACKET_ADD_MEMBERSHIP, &everything, sizeof everything) == 0
      && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0)
    return fd;
  int saved = errno;
  close(fd);
  errno = saved;
  return -1;
}

// Frames that did not fit the socket since this was last asked (PACKET_STATISTICS); 0 when it cannot be said.
static inline unsigned pvio_packet_take_dropped(int fd) {
  struct tpacket_stats statistics = {0, 0};
  socklen_t size = sizeof statistics;
  return getsockopt(fd, 263, PACKET_STATISTICS, &statistics, &size) == 0 ? statistics.tp_drops : 0;
}

static inline uint64_t pvio_monotonic_nanoseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline uint64_t pvio_unix_microseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

// A descriptor that becomes readable when the process ends (pidfd_open). Not PR_SET_PDEATHSIG, which tells of the end of the thread that
// started this process, and threads come and go.
static inline int pvio_pidfd_open(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

// Names the calling thread in ps and top (at most 15 bytes are kept).
static inline void pvio_set_thread_name(const char *name) { prctl(PR_SET_NAME, name); }

// getrandom(2), which the Glibc module does not have.
static inline ssize_t pvio_getrandom(void *bytes, size_t count) { return getrandom(bytes, count, 0); }

// --- memory that can vanish: ranges in which SIGBUS is survived

enum { PVIO_FAULT_RANGES = 1024 };
// Begins to survive SIGBUS between `start` and `start + length`. Returns a number for the calls below, or -1 when there are too many.
int pvio_faults_watch(uintptr_t start, size_t length);
// Ends it. The memory must not be accessed any more.
void pvio_faults_forget(int number);
// Whether a page of the range has vanished since it is watched. Zeros stand in its place.
int pvio_faults_happened(int number);

// --- a Xen host's devices: /dev/xen/gntdev, /dev/xen/gntalloc, /dev/xen/evtchn (xen/gntdev.h, gntalloc.h, evtchn.h of Linux)

// More grants in one mapping are refused with EINVAL.
#define PVIO_GNTDEV_MAP_LIMIT 1024
// Announces grants to be mapped; what comes back in *index is the offset for mmap. 0, or -1 with errno.
int pvio_gntdev_map(int fd, uint16_t domid, const uint32_t *references, uint32_t count, uint64_t *index);
int pvio_gntdev_unmap(int fd, uint64_t index, uint32_t count);
// Copies bytes of one granted page by the hypervisor, without mapping it. 0, -1 with errno, or a positive GNTST_ status.
int pvio_gntdev_copy_out(int fd, uint16_t domid, uint32_t reference, uint16_t offset, void *to, uint16_t count);
int pvio_gntdev_copy_in(int fd, uint16_t domid, uint32_t reference, uint16_t offset, const void *from, uint16_t count);
// Clears the byte at `index` and signals `port` of this process when what is mapped there is unmapped.
int pvio_gntdev_notify_unmap(int fd, uint64_t index, uint32_t port);
int pvio_gntalloc_notify_unmap(int fd, uint64_t index, uint32_t port);
// One page of this domain's own that `domid` may map.
int pvio_gntalloc_allocate(int fd, uint16_t domid, int writable, uint32_t *reference, uint64_t *index);
int pvio_gntalloc_free(int fd, uint64_t index);
int pvio_evtchn_bind_interdomain(int fd, uint32_t domid, uint32_t port);
int pvio_evtchn_bind_unbound(int fd, uint32_t domid);
int pvio_evtchn_unbind(int fd, uint32_t port);
int pvio_evtchn_notify(int fd, uint32_t port);

#endif
