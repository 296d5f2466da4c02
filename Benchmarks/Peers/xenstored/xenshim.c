/* Preloaded stand-in for Xen's libraries: lets xenstored and oxenstored run with no hypervisor.
 * State directory: $XENSHIM_DIR
 *   xsd_port, xsd_kva   stand in for /proc/xen/xsd_{port,kva}
 *   dom.N               "domain N exists"; content may hold: shutdown / crashed / dying
 *   ring.N              one 4096-byte page shared with the fake guest N
 *   evtchn              AF_UNIX dgram: a 4-byte local port = event to the daemon
 *                       (1 = VIRQ_DOM_EXC, 1000+N = domain N's xenstore channel)
 *   guest.N             AF_UNIX dgram bound by the fake guest: gets the notifies
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <xenctrl.h>
#include <xenevtchn.h>
#include <xengnttab.h>

static const char *dir(void) { const char *d = getenv("XENSHIM_DIR"); return d ? d : "/tmp/xenshim"; }
static char *pth(char *b, size_t n, const char *fmt, ...)
{ va_list ap; int k = snprintf(b, n, "%s/", dir()); va_start(ap, fmt); vsnprintf(b + k, n - k, fmt, ap); va_end(ap); return b; }

/* --- libc --- */
static const char *redir(const char *p, char *b, size_t n)
{
    if (p && !strcmp(p, "/proc/xen/xsd_kva")) return pth(b, n, "xsd_kva");
    if (p && !strcmp(p, "/proc/xen/xsd_port")) return pth(b, n, "xsd_port");
    return p;
}
#define OPENFN(fn) int fn(const char *p, int fl, ...) { \
    static int (*real)(const char *, int, ...); char b[512]; mode_t m = 0; \
    if (!real) real = dlsym(RTLD_NEXT, #fn); \
    if (fl & (O_CREAT | __O_TMPFILE)) { va_list ap; va_start(ap, fl); m = va_arg(ap, int); va_end(ap); } \
    return real(redir(p, b, sizeof b), fl, m); }
OPENFN(open)
OPENFN(open64)
int setrlimit(__rlimit_resource_t r, const struct rlimit *l)
{
    static int (*real)(int, const struct rlimit *);
    if (!real) real = dlsym(RTLD_NEXT, "setrlimit");
    int rc = real(r, l);
    return (rc && r == RLIMIT_NOFILE) ? 0 : rc;      /* no CAP_SYS_RESOURCE here */
}
/* --- libxenctrl --- */
static int dummy[64];
xc_interface *xc_interface_open(xentoollog_logger *a, xentoollog_logger *b, unsigned f) { return (void *)dummy; }
int xc_interface_close(xc_interface *x) { return 0; }
int xc_domain_getinfo(xc_interface *x, uint32_t first, unsigned int max, xc_dominfo_t *info)
{
    char b[512], c[64];
    for (uint32_t d = first; d < 0x7ff0; d++) {
        int fd, n = 0;
        if (d) {
            fd = open(pth(b, sizeof b, "dom.%u", d), O_RDONLY);
            if (fd < 0) { if (d > first + 64) break; continue; }
            n = read(fd, c, sizeof c - 1); close(fd); if (n < 0) n = 0;
        }
        c[n] = 0;
        memset(info, 0, sizeof *info);
        info->domid = d; info->running = 1;
        if (strstr(c, "shutdown")) info->shutdown = 1;
        if (strstr(c, "crashed")) info->crashed = 1, info->shutdown = 1;
        if (strstr(c, "dying")) info->dying = 1;
        return 1;
    }
    errno = ESRCH;
    return 0;
}
int xc_domain_getinfolist(xc_interface *x, uint32_t first, unsigned int max, xc_domaininfo_t *info)
{
    xc_dominfo_t i;
    if (xc_domain_getinfo(x, first, 1, &i) != 1) return 0;
    memset(info, 0, sizeof *info);
    info->domain = i.domid;
    info->flags = (i.dying ? XEN_DOMINF_dying : 0) | (i.shutdown ? XEN_DOMINF_shutdown : 0) | XEN_DOMINF_running;
    if (i.crashed) info->flags |= 3 << XEN_DOMINF_shutdownshift;
    return 1;
}
static void *mapring(unsigned d)
{
    char b[512]; int fd = open(pth(b, sizeof b, "ring.%u", d), O_RDWR | O_CREAT, 0600); void *p;
    if (fd < 0) return NULL;
    if (ftruncate(fd, 4096)) { close(fd); return NULL; }
    p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0); close(fd);
    return p == MAP_FAILED ? NULL : p;
}
static int exists(unsigned d) { char b[512]; struct stat st; return !stat(pth(b, sizeof b, "dom.%u", d), &st); }
void *xc_map_foreign_range(xc_interface *x, uint32_t dom, int size, int prot, unsigned long mfn)
{ if (!exists(dom)) { errno = ESRCH; return NULL; } return mapring(dom); }
/* --- libxengnttab --- */
xengnttab_handle *xengnttab_open(xentoollog_logger *l, unsigned f) { return (void *)dummy; }
int xengnttab_close(xengnttab_handle *h) { return 0; }
int xengnttab_set_max_grants(xengnttab_handle *h, uint32_t n) { return 0; }
void *xengnttab_map_grant_ref(xengnttab_handle *h, uint32_t dom, uint32_t ref, int prot)
{ if (!exists(dom)) { errno = EINVAL; return NULL; } return mapring(dom); }
int xengnttab_unmap(xengnttab_handle *h, void *p, uint32_t n) { return munmap(p, 4096 * n); }
/* --- libxenevtchn --- */
static int efd = -1;
static int mk(void)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    pth(a.sun_path, sizeof a.sun_path, "evtchn"); unlink(a.sun_path);
    efd = socket(AF_UNIX, SOCK_DGRAM, 0);
    return bind(efd, (void *)&a, sizeof a);
}
xenevtchn_handle *xenevtchn_open(xentoollog_logger *l, unsigned f) { if (mk()) return NULL; return (void *)dummy; }
xenevtchn_handle *xenevtchn_fdopen(xentoollog_logger *l, int fd, unsigned f) { efd = fd; return (void *)dummy; }
int xenevtchn_close(xenevtchn_handle *h) { return 0; }
int xenevtchn_fd(xenevtchn_handle *h) { return efd; }
xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *h, unsigned v) { return 1; }
xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *h, uint32_t d, evtchn_port_t p) { return 1000 + d; }
xenevtchn_port_or_error_t xenevtchn_bind_unbound_port(xenevtchn_handle *h, uint32_t d) { return 1000 + d; }
int xenevtchn_unbind(xenevtchn_handle *h, evtchn_port_t p) { return 0; }
int xenevtchn_unmask(xenevtchn_handle *h, evtchn_port_t p) { return 0; }
int xenevtchn_notify(xenevtchn_handle *h, evtchn_port_t p)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX }; uint32_t v = p;
    if (p < 1000) return 0;
    pth(a.sun_path, sizeof a.sun_path, "guest.%u", p - 1000);
    sendto(efd, &v, 4, MSG_DONTWAIT, (void *)&a, sizeof a);
    return 0;
}
xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *h)
{ uint32_t v; if (recv(efd, &v, 4, MSG_DONTWAIT) != 4) return 1; return v; }
