// The devices through which a Linux domain on a Xen host maps grants and uses event channels.
#include "CLinuxShims.h"

#include <stddef.h>
#include <sys/types.h>

// Xen's own types, which Linux's headers leave to Xen's.
typedef uint16_t domid_t;
typedef uint32_t grant_ref_t;
#include <xen/evtchn.h>
#include <xen/gntalloc.h>
#include <xen/gntdev.h>

int pvio_gntdev_map(int fd, uint16_t domid, const uint32_t *references, uint32_t count, uint64_t *index) {
  // The kernel's structure ends with an array that it declares as one element.
  union {
    struct ioctl_gntdev_map_grant_ref request;
    char room[offsetof(struct ioctl_gntdev_map_grant_ref, refs) + PVIO_GNTDEV_MAP_LIMIT * sizeof(struct ioctl_gntdev_grant_ref)];
  } place;
  if (count == 0 || count > PVIO_GNTDEV_MAP_LIMIT) {
    errno = EINVAL;
    return -1;
  }
  place.request.count = count;
  place.request.pad = 0;
  place.request.index = 0;
  struct ioctl_gntdev_grant_ref *refs = (void *)(place.room + offsetof(struct ioctl_gntdev_map_grant_ref, refs));
  for (uint32_t i = 0; i < count; i++) {
    refs[i].domid = domid;
    refs[i].ref = references[i];
  }
  int result = ioctl(fd, IOCTL_GNTDEV_MAP_GRANT_REF, &place.request);
  *index = place.request.index;
  return result;
}

int pvio_gntdev_unmap(int fd, uint64_t index, uint32_t count) {
  struct ioctl_gntdev_unmap_grant_ref request = {.index = index, .count = count};
  return ioctl(fd, IOCTL_GNTDEV_UNMAP_GRANT_REF, &request);
}

int pvio_gntdev_notify_unmap(int fd, uint64_t index, uint32_t port) {
  struct ioctl_gntdev_unmap_notify request = {
      .index = index, .action = UNMAP_NOTIFY_CLEAR_BYTE | UNMAP_NOTIFY_SEND_EVENT, .event_channel_port = port};
  return ioctl(fd, IOCTL_GNTDEV_SET_UNMAP_NOTIFY, &request);
}

// GNTCOPY_source_gref and GNTCOPY_dest_gref of xen/grant_table.h: which side is a grant; the other is an address of ours.
enum { copy_source_is_grant = 1 << 0, copy_destination_is_grant = 1 << 1 };

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

int pvio_gntdev_copy_in(int fd, uint16_t domid, uint32_t reference, uint16_t offset, const void *from, uint16_t count) {
  struct gntdev_grant_copy_segment segment = {.len = count, .flags = copy_destination_is_grant};
  segment.source.virt = (void *)from;
  segment.dest.foreign.ref = reference;
  segment.dest.foreign.domid = domid;
  segment.dest.foreign.offset = offset;
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

int pvio_gntalloc_notify_unmap(int fd, uint64_t index, uint32_t port) {
  struct ioctl_gntalloc_unmap_notify request = {
      .index = index, .action = UNMAP_NOTIFY_CLEAR_BYTE | UNMAP_NOTIFY_SEND_EVENT, .event_channel_port = port};
  return ioctl(fd, IOCTL_GNTALLOC_SET_UNMAP_NOTIFY, &request);
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
