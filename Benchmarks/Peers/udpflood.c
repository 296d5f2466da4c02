// Generator and sink of `pvio bench net`'s case udp-64.
//
//   udpflood send INTERFACE MAC BYTES FRAMES-A-SECOND     sends UDP frames of so many bytes (without checksum sequence) until it is killed
//   udpflood sink INTERFACE                               has the interface's driver drop what arrives, and count it as dropped
//
// Frames go straight to the interface's driver: a packet socket without queueing discipline, 64 a system call. What the driver has no
// room for is lost, as on a wire. Frames are due at the rate that was asked for; a sender that was not running catches up for at most a
// tick of 4 ms. Addresses are those of the benchmark's namespaces.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, PORT = 7000 };

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static uint16_t ip_checksum(const void *header) {
  const uint16_t *words = header;
  uint32_t sum = 0;
  for (int i = 0; i < 10; i++) sum += words[i];
  sum = (sum & 0xffff) + (sum >> 16);
  return ~(sum + (sum >> 16));
}

// Two instructions: r0 = XDP_DROP; exit.
static int drop_program(void) {
  struct bpf_insn program[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_DROP},
      {.code = BPF_JMP | BPF_EXIT},
  };
  union bpf_attr load = {
      .prog_type = BPF_PROG_TYPE_XDP,
      .expected_attach_type = BPF_XDP,
      .insn_cnt = sizeof program / sizeof *program,
      .insns = (uintptr_t)program,
      .license = (uintptr_t)"",
  };
  int descriptor = syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load);
  if (descriptor < 0) fail("BPF_PROG_LOAD");
  return descriptor;
}

// Everything is dropped in the driver, until this process ends. What a link is attached to is this namespace's.
static void sink(const char *interface) {
  union bpf_attr attach = {.link_create = {
                               .prog_fd = drop_program(),
                               .target_ifindex = if_nametoindex(interface),
                               .attach_type = BPF_XDP,
                               .flags = XDP_FLAGS_DRV_MODE,
                           }};
  if (syscall(SYS_bpf, BPF_LINK_CREATE, &attach, sizeof attach) < 0) fail("BPF_LINK_CREATE");
  for (;;) pause();
}

static int transmit(const char *interface, const char *mac, int length, double rate) {
  static unsigned char frame[1514];
  unsigned int target[6];
  if (length < 42 || length > (int)sizeof frame || rate < 1 ||
      sscanf(mac, "%x:%x:%x:%x:%x:%x", target, target + 1, target + 2, target + 3, target + 4, target + 5) != 6) {
    fprintf(stderr, "udpflood: bad length, rate or address\n");
    return 2;
  }
  for (int i = 0; i < 6; i++) frame[i] = target[i];
  // A sender of its own, so that it is not taken for the interface.
  memcpy(frame + 6, "\x02\x00\x00\x00\x00\x01\x08\x00", 8);
  struct iphdr *ip = (struct iphdr *)(frame + 14);
  *ip = (struct iphdr){.version = 4, .ihl = 5, .tot_len = htons(length - 14), .ttl = 64, .protocol = IPPROTO_UDP};
  ip->saddr = inet_addr("10.76.0.2");
  ip->daddr = inet_addr("10.76.0.1");
  ip->check = ip_checksum(ip);
  // Without a checksum, which UDP over IPv4 may be.
  *(struct udphdr *)(frame + 34) = (struct udphdr){.source = htons(PORT), .dest = htons(PORT), .len = htons(length - 34)};

  int descriptor = socket(AF_PACKET, SOCK_RAW, 0), one = 1;
  if (descriptor < 0 || setsockopt(descriptor, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one) < 0) fail("packet socket");
  struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = if_nametoindex(interface)};
  if (bind(descriptor, (struct sockaddr *)&address, sizeof address) < 0) fail(interface);
  struct iovec part = {frame, length};
  struct mmsghdr messages[BATCH];
  for (int i = 0; i < BATCH; i++) messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}};

  double interval = 1e9 / rate, due = now();
  for (;;) {
    uint64_t time = now();
    if (due + 4e6 < time) due = time - 4e6;
    int ready = (time - due) / interval;
    if (time < due || ready < BATCH / 2) {
      struct timespec wait = {0, 20000};
      nanosleep(&wait, NULL);
      continue;
    }
    if (ready > BATCH) ready = BATCH;
    int sent = sendmmsg(descriptor, messages, ready, 0);
    // The driver's queue is full: those frames are lost.
    due += interval * (sent > 0 ? sent : 1);
    if (sent < 0 && errno != ENOBUFS && errno != EAGAIN) fail("sendmmsg");
  }
}

int main(int count, char **arguments) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (count == 3 && !strcmp(arguments[1], "sink")) sink(arguments[2]);
  if (count == 6 && !strcmp(arguments[1], "send")) return transmit(arguments[2], arguments[3], atoi(arguments[4]), atof(arguments[5]));
  fprintf(stderr, "usage: udpflood send INTERFACE MAC BYTES FRAMES-A-SECOND | udpflood sink INTERFACE\n");
  return 2;
}
