// Surviving SIGBUS: a peer that shrinks a file under our mapping of it would otherwise end the process.
//
// The handler puts a page of zeros in the place of the one that vanished, notes it, and lets the access go on. It uses nothing but
// lock-free words, mmap and sigaction, which may be called from a handler.
#include "CLinuxShims.h"

#include <stdatomic.h>

struct range {
  _Atomic uintptr_t start, end;  // end 0: free
  atomic_int happened;
};
static struct range ranges[PVIO_FAULT_RANGES];
static atomic_int installed;

static void handle(int signal, siginfo_t *info, void *context) {
  (void)context;
  uintptr_t address = (uintptr_t)info->si_addr;
  for (int i = 0; i < PVIO_FAULT_RANGES; i++) {
    if (address < atomic_load(&ranges[i].start) || address >= atomic_load(&ranges[i].end)) continue;
    atomic_store(&ranges[i].happened, 1);
    void *page = (void *)(address & ~(uintptr_t)4095);
    if (mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED) return;
  }
  // Nobody's: the access is made again and ends the process as it would have without us.
  struct sigaction fatal = {.sa_handler = SIG_DFL};
  sigaction(signal, &fatal, NULL);
}

int pvio_faults_watch(uintptr_t start, size_t length) {
  if (!atomic_exchange(&installed, 1)) {
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
  }
  for (int i = 0; i < PVIO_FAULT_RANGES; i++) {
    uintptr_t free_end = 0;
    // Claimed with a range that holds nothing, until both ends are right.
    if (!atomic_compare_exchange_strong(&ranges[i].end, &free_end, 1)) continue;
    atomic_store(&ranges[i].happened, 0);
    atomic_store(&ranges[i].start, start);
    atomic_store(&ranges[i].end, start + length);
    return i;
  }
  return -1;
}

void pvio_faults_forget(int number) {
  atomic_store(&ranges[number].start, UINTPTR_MAX);
  atomic_store(&ranges[number].end, 0);
}

int pvio_faults_happened(int number) { return atomic_load(&ranges[number].happened); }
