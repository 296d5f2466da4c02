// The devices through which a Linux domain on a Xen host maps grants and uses event channels.
#include "CLinuxShims.h"

#include <stdlib.h>
#include <sys/types.h>

// Xen's own types, which Linux's headers leave to Xen's.
typedef uint16_t domid_t;
typedef uint32_t grant_ref_t;
#include <xen/evtchn.h>
#include <xen/gntalloc.h>
#include <xen/gntdev.h>

int pvio_gntdev_map(int fd, uint16_t domid, const uint32_t *references, uint32_t count, uint64_t *index) {
  // Most often one page: no allocation then.
  struct ioctl_gntdev_map_grant_ref one = {.count = 1}, *request = &one;
  if (count == 0) {
    errno = EINVAL;
    return -1;
  }
  if (count > 1) {
    request = calloc(1, sizeof *request + (count - 1) * sizeof request->refs[0]);
    if (!request) return -1;
    request->count = count;
  }
  for (uint32_t i = 0; i < count; i++) {
    request->refs[i].domid = domid;
    request->refs[i].ref = references[i];
  }
  int result = ioctl(fd, IOCTL_GNTDEV_MAP_GRANT_REF, request);
  *index = request->index;
  if (request != &one) free(request);
  return result;
}

int pvio_gntdev_unmap(int fd, uint64_t index, uint32_t count) {
  struct ioctl_gntdev_unmap_grant_ref request = {.index = index, .count = count};
  return ioctl(fd, IOCTL_GNTDEV_UNMAP_GRANT_REF, &request);
}

// GNTCOPY_source_gref of xen/grant_table.h: the source is a grant, the destination an address of ours.
enum { copy_source_is_grant = 1 << 0 };

static int copy(int fd, struct gntdev_grant_copy_segment *segment) {
  struct ioctl_gntdev_grant_copy request = {.count = 1, .segments = segment};
  if (ioctl(fd, IOCTL_GNTDEV_GRANT_COPY, &request) != 0) return -1;
  // GNTST_okay is 0, failures are negative: turned round, so that -1 stays for errno.
  return segment->status < 0 ? -segment->status : 0;
}

int pvio_gntdev_copy_out(int fd, uint16_t domid, uint32_t reference, uint16_t offset, void *to, uint16_t count) {
  struct gntdev_grant_copy_segment segment = {.len = count, .flags = copy_source_is_grant};
  segment.source.foreign.ref = reference;
  segment.source.foreign.domid = domid;
  segment.source.foreign.offset = offset;
  segment.dest.virt = to;
  return copy(fd, &segment);
}

int pvio_gntalloc_allocate(int fd, uint16_t domid, int writable, uint32_t *reference, uint64_t *index) {
  struct ioctl_gntalloc_alloc_gref request = {.domid = domid, .flags = writable ? GNTALLOC_FLAG_WRITABLE : 0, .count = 1};
  int result = ioctl(fd, IOCTL_GNTALLOC_ALLOC_GREF, &request);
  *reference = request.gref_ids[0];
  *index = request.index;
  return result;
}

int pvio_gntalloc_free(int fd, uint64_t index) {
  struct ioctl_gntalloc_dealloc_gref request = {.index = index, .count = 1};
  return ioctl(fd, IOCTL_GNTALLOC_DEALLOC_GREF, &request);
}

int pvio_evtchn_bind_interdomain(int fd, uint32_t domid, uint32_t port) {
  struct ioctl_evtchn_bind_interdomain request = {.remote_domain = domid, .remote_port = port};
  return ioctl(fd, IOCTL_EVTCHN_BIND_INTERDOMAIN, &request);
}

int pvio_evtchn_bind_unbound(int fd, uint32_t domid) {
  struct ioctl_evtchn_bind_unbound_port request = {.remote_domain = domid};
  return ioctl(fd, IOCTL_EVTCHN_BIND_UNBOUND_PORT, &request);
}

int pvio_evtchn_unbind(int fd, uint32_t port) {
  struct ioctl_evtchn_unbind request = {.port = port};
  return ioctl(fd, IOCTL_EVTCHN_UNBIND, &request);
}

int pvio_evtchn_notify(int fd, uint32_t port) {
  struct ioctl_evtchn_notify request = {.port = port};
  return ioctl(fd, IOCTL_EVTCHN_NOTIFY, &request);
}
