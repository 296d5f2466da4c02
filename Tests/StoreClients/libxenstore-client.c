/* A client of libxenstore as programs are: each step says what it needs, and the first one that fails ends it. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenstore.h>

#define NEED(condition) \
  do { \
    if (!(condition)) { \
      fprintf(stderr, "line %d: %s (%s)\n", __LINE__, #condition, strerror(errno)); \
      exit(1); \
    } \
  } while (0)

static int holds(struct xs_handle *h, xs_transaction_t t, const char *path, const char *wanted) {
  unsigned length;
  char *value = xs_read(h, t, path, &length);
  int same = value && length == strlen(wanted) && !memcmp(value, wanted, length);
  free(value);
  return same;
}

static void write_text(struct xs_handle *h, xs_transaction_t t, const char *path, const char *text) {
  NEED(xs_write(h, t, path, text, strlen(text)));
}

static void transactions(struct xs_handle *h) {
  xs_transaction_t t = xs_transaction_start(h);
  NEED(t != XBT_NULL);
  write_text(h, t, "/lib/a", "1");
  NEED(holds(h, t, "/lib/a", "1"));
  NEED(!xs_read(h, XBT_NULL, "/lib/a", NULL) && errno == ENOENT);
  NEED(xs_transaction_end(h, t, false));
  NEED(holds(h, XBT_NULL, "/lib/a", "1"));

  t = xs_transaction_start(h);
  NEED(holds(h, t, "/lib/a", "1"));
  write_text(h, XBT_NULL, "/lib/a", "2");
  NEED(!xs_transaction_end(h, t, false) && errno == EAGAIN);

  t = xs_transaction_start(h);
  NEED(xs_rm(h, t, "/lib"));
  NEED(xs_transaction_end(h, t, true));
  NEED(holds(h, XBT_NULL, "/lib/a", "2"));
}

/* The next event, which the descriptor must announce when there is none in the library's hands yet. */
static void need_event(struct xs_handle *h, const char *path, const char *token) {
  char **event = xs_check_watch(h);
  while (!event && errno == EAGAIN) {
    struct pollfd waiting = {.fd = xs_fileno(h), .events = POLLIN};
    NEED(poll(&waiting, 1, 20000) == 1);
    event = xs_check_watch(h);
  }
  NEED(event);
  NEED(!strcmp(event[XS_WATCH_PATH], path) && !strcmp(event[XS_WATCH_TOKEN], token));
  free(event);
}

static void watches(struct xs_handle *h) {
  NEED(xs_fileno(h) >= 0);
  NEED(xs_watch(h, "/lib/w", "token"));
  need_event(h, "/lib/w", "token");
  NEED(!xs_watch(h, "/lib/w", "token") && errno == EEXIST);
  write_text(h, XBT_NULL, "/lib/w/below", "1");
  need_event(h, "/lib/w/below", "token");
  NEED(xs_rm(h, XBT_NULL, "/lib/w"));
  need_event(h, "/lib/w", "token");
  NEED(xs_unwatch(h, "/lib/w", "token"));
  NEED(!xs_unwatch(h, "/lib/w", "token") && errno == ENOENT);

  NEED(xs_watch(h, "@releaseDomain", "gone"));
  need_event(h, "@releaseDomain", "gone");
}

static void directories(struct xs_handle *h) {
  char path[64];
  unsigned count, i;
  for (i = 0; i < 1000; i++) {
    snprintf(path, sizeof path, "/lib/big/child-%u", i);
    NEED(xs_mkdir(h, XBT_NULL, path));
  }
  char **names = xs_directory(h, XBT_NULL, "/lib/big", &count);
  NEED(names && count == 1000);
  free(names);
  names = xs_directory(h, XBT_NULL, "/lib/missing", &count);
  NEED(!names && errno == ENOENT);
}

static void permissions(struct xs_handle *h) {
  struct xs_permissions set[2] = {{.id = 0, .perms = XS_PERM_NONE}, {.id = 5, .perms = XS_PERM_READ | XS_PERM_WRITE}};
  unsigned count;
  NEED(xs_set_permissions(h, XBT_NULL, "/lib/a", set, 2));
  struct xs_permissions *got = xs_get_permissions(h, XBT_NULL, "/lib/a", &count);
  NEED(got && count == 2 && got[0].id == 0 && got[0].perms == XS_PERM_NONE);
  NEED(got[1].id == 5 && got[1].perms == (XS_PERM_READ | XS_PERM_WRITE));
  free(got);
}

static void domains(struct xs_handle *h) {
  NEED(!xs_is_domain_introduced(h, 9));
  NEED(xs_introduce_domain(h, 9, 1, 1));
  NEED(xs_is_domain_introduced(h, 9));
  NEED(xs_introduce_domain(h, 10, 1, 1));
  NEED(xs_set_target(h, 10, 9));
  NEED(xs_resume_domain(h, 9));
  NEED(xs_release_domain(h, 9));
  need_event(h, "@releaseDomain", "gone");
  NEED(!xs_is_domain_introduced(h, 9));
  NEED(!xs_release_domain(h, 9) && errno == ENOENT);
  char *home = xs_get_domain_path(h, 9);
  NEED(home && !strcmp(home, "/local/domain/9"));
  free(home);
  char *answer = xs_control_command(h, "check", NULL, 0);
  NEED(answer && !strncmp(answer, "OK", 2));
  free(answer);
  NEED(!xs_control_command(h, "nonsense", NULL, 0) && errno == EINVAL);
}

/* Two threads, each with a handle of its own, count one node up in transactions. */
static void *count_up(void *unused) {
  struct xs_handle *h = xs_open(0);
  NEED(h);
  for (int done = 0; done < 100;) {
    unsigned length;
    char text[16];
    xs_transaction_t t = xs_transaction_start(h);
    NEED(t != XBT_NULL);
    char *value = xs_read(h, t, "/lib/counter", &length);
    NEED(value);
    snprintf(text, sizeof text, "%d", atoi(value) + 1);
    free(value);
    write_text(h, t, "/lib/counter", text);
    if (xs_transaction_end(h, t, false)) {
      done++;
    } else {
      NEED(errno == EAGAIN);
    }
  }
  xs_close(h);
  return unused;
}

static void threads(struct xs_handle *h) {
  pthread_t thread[2];
  write_text(h, XBT_NULL, "/lib/counter", "0");
  for (int i = 0; i < 2; i++) NEED(!pthread_create(&thread[i], NULL, count_up, NULL));
  for (int i = 0; i < 2; i++) NEED(!pthread_join(thread[i], NULL));
  NEED(holds(h, XBT_NULL, "/lib/counter", "200"));
}

int main(void) {
  struct xs_handle *h = xs_open(0);
  NEED(h);
  transactions(h);
  watches(h);
  directories(h);
  permissions(h);
  domains(h);
  threads(h);
  NEED(xs_rm(h, XBT_NULL, "/lib"));
  xs_close(h);
  puts("all steps done");
  return 0;
}
