/* The connection of a client: which hub it is made to, what a lost one means, and its end. */
#include "tests/support/test.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/client/client_kit.h"

/* A socket that is bound at a path, or connected to it. */
static int
socket_at(const char *path, bool is_bound)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    cr_assert_eq(is_bound ? bind(fd, (struct sockaddr *)&address, sizeof address)
                          : connect(fd, (struct sockaddr *)&address, sizeof address),
                 0);
    return fd;
}

/* ---- lost and found again ------------------------------------------------------------------- */

Test(connection, the_same_hub_is_found_again_and_nothing_runs_twice, .init = set_up,
     .fini = tear_down)
{
    prong_reply *held = start("hold", 30000, 0, 0);
    cr_assert_eq(prong_flush(c), PRONG_OK);
    await_messages(2);
    cr_expect_eq(call_int("drop"), 2, "its connection is closed; it is asked again on another");
    cr_expect_eq(hub.opened, 2);
    cr_expect_eq(call_int("count"), 2, "hold and count");
    cr_assert_eq(prong_call(c, "w", "release", NULL, 0, NULL), PRONG_OK);
    cr_assert_eq(prong_reply_wait(held, 5000), PRONG_OK);
    cr_expect_eq(prong_reply_code(held), PRONG_OK);
    prong_reply_free(held);
}

Test(connection, a_hub_that_comes_back_in_time_is_waited_for, .init = set_up, .fini = tear_down)
{
    fake_stop(&hub);
    prong_reply *r = start("echo", 10000, 0, 0);
    cr_expect_eq(prong_reply_wait(r, 100), PRONG_DEADLINE_EXCEEDED);
    cr_expect_not(prong_client_is_connected(c));
    cr_expect_eq(prong_flush(c), PRONG_UNAVAILABLE);
    fake_start(&hub);
    cr_expect_eq(prong_reply_wait(r, 5000), PRONG_OK);
    cr_expect_eq(prong_reply_code(r), PRONG_OK);
    prong_reply_free(r);
}

/* Between a client and the hub, one connection at a time: what it takes it passes on a while later.
 */
struct slow_relay {
    int fd;
    pthread_t thread;
    char url[50];
};

static void
relay_pass(int client, int server)
{
    struct pollfd ends[] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};
    for (bool goes_on = true; goes_on;) {
        char bytes[4096];
        cr_assert(poll(ends, 2, -1) > 0);
        for (int i = 0; i < 2 && goes_on; i++) {
            const ssize_t n = ends[i].revents != 0 ? read(ends[i].fd, bytes, sizeof bytes) : 1;
            goes_on = n > 0 && (ends[i].revents == 0 ||
                                send(ends[1 - i].fd, bytes, (size_t)n, MSG_NOSIGNAL) == n);
        }
    }
}

static void *
relay_run(void *context)
{
    enum { LATE_MS = 80 }; /* more than an attempt of a client that does not wait */
    const struct slow_relay *relay = context;
    int client;
    while ((client = accept4(relay->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        (void)poll(NULL, 0, LATE_MS);
        const int server = socket_at(hub.url + strlen("ipc://"), false);
        relay_pass(client, server);
        (void)close(server);
        (void)close(client);
    }
    return NULL;
}

Test(connection, a_hub_that_is_slow_to_greet_is_reached_by_who_does_not_wait, .init = set_up,
     .fini = tear_down)
{
    struct slow_relay relay = {.url = "ipc://relay.sock"};
    relay.fd = socket_at(relay.url + strlen("ipc://"), true);
    cr_assert_eq(listen(relay.fd, 100), 0);
    cr_assert_eq(pthread_create(&relay.thread, NULL, relay_run, &relay), 0);
    prong_client *slow = NULL;
    char why[300];
    cr_assert_eq(prong_connect(relay.url, NULL, &slow, why, sizeof why), PRONG_OK, "%s", why);
    prong_reply *r = NULL;
    const prong_call_options o = {.size_bytes = sizeof o, .timeout_ms = 20000};
    cr_assert_eq(prong_call_async(slow, "w", "drop", NULL, &o, &r), PRONG_OK);
    while (!prong_reply_is_done(r)) {
        (void)prong_dispatch(slow, 0);
    }
    cr_expect_eq(prong_reply_code(r), PRONG_OK);
    prong_reply_free(r);
    prong_client_free(slow);
    (void)shutdown(relay.fd, SHUT_RDWR);
    cr_assert_eq(pthread_join(relay.thread, NULL), 0);
    (void)close(relay.fd);
}

Test(connection, another_hub_does_not_run_what_the_old_one_may_have_begun, .init = set_up,
     .fini = tear_down)
{
    prong_reply *r = start("hold", 30000, 0, 0);
    cr_assert_eq(prong_flush(c), PRONG_OK);
    await_messages(2);
    fake_stop(&hub);
    fake_forget(&hub);
    hub.epoch = 2;
    fake_start(&hub);
    cr_assert_eq(prong_reply_wait(r, 5000), PRONG_OK);
    cr_expect_eq(prong_reply_code(r), PRONG_UNAVAILABLE);
    cr_expect_eq(prong_reply_began(r), PRONG_BEGAN_MAYBE);
    prong_reply_free(r);
    cr_expect_eq(prong_call(c, "w", "echo", NULL, 0, NULL), PRONG_OK);
}

Test(connection, a_hub_that_went_while_nobody_looked_costs_no_call, .init = set_up,
     .fini = tear_down)
{
    cr_assert_eq(call_int("acked"), 0);
    fake_stop(&hub);
    fake_forget(&hub);
    hub.epoch = 2;
    fake_start(&hub);
    (void)poll(NULL, 0, 5); /* the client is idle, that is what this is about */
    cr_expect_eq(call_int("acked"), 1);
}

Test(connection, without_a_hub_the_deadline_is_kept, .init = set_up, .fini = tear_down)
{
    prong_reply *r = NULL;
    fake_stop(&hub);
    const int64_t begin = now_ms();
    cr_expect_eq(prong_call(c, "w", "echo", NULL, 300, &r), PRONG_DEADLINE_EXCEEDED);
    const int64_t took = now_ms() - begin;
    cr_expect(took >= 299 && took < 1500, "%lld ms", (long long)took);
    prong_reply_free(r);
}

Test(connection, reconnecting_can_be_bounded_or_switched_off, .init = set_up, .fini = tear_down)
{
    prong_reply *r = NULL;
    prong_client_free(c);
    connect_with((prong_options){.reconnect_ms = -1});
    cr_assert_eq(call_int("acked"), 0);
    fake_stop(&hub);
    cr_expect_eq(prong_call(c, "w", "echo", NULL, 20000, &r), PRONG_UNAVAILABLE);
    prong_reply_free(r);
    cr_expect_eq(prong_call(c, "w", "echo", NULL, 20000, &r), PRONG_UNAVAILABLE);
    cr_expect_eq(prong_reply_began(r), PRONG_BEGAN_NO);
    prong_reply_free(r);
    cr_expect_eq(prong_dispatch(c, 0), PRONG_UNAVAILABLE);
    fake_start(&hub);
    prong_client_free(c);
    connect_with((prong_options){.reconnect_ms = 200});
    fake_stop(&hub);
    const int64_t begin = now_ms();
    cr_expect_eq(prong_call(c, "w", "echo", NULL, 20000, &r), PRONG_UNAVAILABLE);
    const int64_t took = now_ms() - begin;
    cr_expect(took >= 190 && took < 3000, "%lld ms", (long long)took);
    prong_reply_free(r);
}

Test(connection, a_refused_or_unanswered_hello_is_told, .init = set_up, .fini = tear_down)
{
    char why[300];
    prong_client *none = NULL;
    fake_stop(&hub);
    hub.refuse = true;
    fake_start(&hub);
    cr_expect_eq(prong_connect(hub.url, NULL, &none, why, sizeof why), PRONG_UNAUTHENTICATED);
    cr_expect_not_null(strstr(why, "token is wrong"), "%s", why);
    fake_stop(&hub);
    hub.refuse = false;
    hub.mute = true;
    fake_start(&hub);
    const prong_options quick = {.size_bytes = sizeof quick, .connect_timeout_ms = 100};
    cr_expect_eq(prong_connect(hub.url, &quick, &none, why, sizeof why), PRONG_DEADLINE_EXCEEDED);
    cr_expect_not_null(strstr(why, "the hub does not answer within 100 ms"), "%s", why);
    cr_expect_null(none);
}

Test(connection, the_environment_names_the_hub, .init = set_up, .fini = tear_down)
{
    prong_client *other = NULL;
    char here[100], run[150], path[200], target[400];
    setenv("PRONG_URL", hub.url, 1);
    cr_expect_eq(prong_connect(NULL, NULL, &other, NULL, 0), PRONG_OK);
    prong_client_free(other);
    unsetenv("PRONG_URL");
    cr_assert(getcwd(here, sizeof here) != NULL);
    (void)snprintf(run, sizeof run, "%s/run", here);
    (void)snprintf(path, sizeof path, "%s/prong", run);
    (void)snprintf(target, sizeof target, "%s/%.*s", here, 200, hub.url + strlen("ipc://"));
    cr_assert(mkdir(run, 0700) == 0 && mkdir(path, 0700) == 0);
    (void)snprintf(path, sizeof path, "%s/prong/hub.sock", run);
    cr_assert_eq(symlink(target, path), 0);
    setenv("XDG_RUNTIME_DIR", run, 1);
    cr_expect_eq(prong_connect(NULL, NULL, &other, path, sizeof path), PRONG_OK, "%s", path);
    prong_client_free(other);
}

/* ---- which hub ------------------------------------------------------------------------------ */

/* Connects in a thread of its own. */
struct seeker {
    pthread_t thread;
    const char *url;
    prong_client *client;
    prong_err err;
    char why[300];
};

static void *
seek(void *context)
{
    struct seeker *s = context;
    const prong_options o = {.size_bytes = sizeof o, .connect_timeout_ms = 20000};
    s->err = prong_connect(s->url, &o, &s->client, s->why, sizeof s->why);
    return NULL;
}

static void
seek_end(struct seeker *s)
{
    cr_assert_eq(pthread_join(s->thread, NULL), 0);
    cr_expect_eq(s->err, PRONG_OK, "%s", s->why);
    prong_client_free(s->client);
}

/* As prongd does: our pid in it, and locked. */
static int
hold_lock(const char *dir)
{
    char path[300], text[30];
    (void)snprintf(path, sizeof path, "%s/lock", dir);
    (void)snprintf(text, sizeof text, "%d\n", (int)getpid());
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    cr_assert(fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    return fd;
}

/* What a dead hub leaves behind. */
static void
leave_socket(const char *path)
{
    close(socket_at(path, true));
}

/* Two places where a hub may be: `first`, where none is yet, and that of XDG_RUNTIME_DIR, with a
 * way to ours. */
static void
make_places(char first[100], char ours[400])
{
    char here[60], root[] = "XXXXXX", path[200];
    cr_assert(getcwd(here, sizeof here) != NULL && mkdtemp(root) != NULL);
    (void)snprintf(ours, 400, "%s/%.*s", here, 200, hub.url + strlen("ipc://"));
    (void)snprintf(first, 100, "%s/%s/first", here, root);
    (void)snprintf(path, sizeof path, "%s:/second/of/the/list", first);
    setenv("RUNTIME_DIRECTORY", path, 1);
    (void)snprintf(path, sizeof path, "%s/%s", here, root);
    setenv("XDG_RUNTIME_DIR", path, 1);
    unsetenv("PRONG_URL");
    (void)snprintf(path, sizeof path, "%s/prong", root);
    cr_assert_eq(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/prong/hub.sock", root);
    cr_assert_eq(symlink(ours, path), 0);
}

Test(connection, only_what_does_not_exist_is_passed_over, .init = set_up, .fini = tear_down)
{
    char first[100], path[120], ours[400], why[300];
    const prong_options quick = {.size_bytes = sizeof quick, .connect_timeout_ms = 100};
    prong_client *other = NULL;
    make_places(first, ours);
    (void)snprintf(path, sizeof path, "%s/hub.sock", first);
    cr_expect_eq(prong_connect(NULL, NULL, &other, why, sizeof why), PRONG_OK, "%s", why);
    prong_client_free(other);
    cr_assert_eq(mkdir(first, 0700), 0);
    cr_expect_eq(prong_connect(NULL, NULL, &other, why, sizeof why), PRONG_OK, "%s", why);
    prong_client_free(other);
    const int lock = hold_lock(first);
    cr_expect_eq(prong_connect(NULL, &quick, &other, why, sizeof why), PRONG_DEADLINE_EXCEEDED);
    cr_expect_not_null(strstr(why, "first/hub.sock: the hub does not answer within"), "%s", why);
    leave_socket(path);
    cr_expect_eq(prong_connect(NULL, &quick, &other, why, sizeof why), PRONG_DEADLINE_EXCEEDED);
    close(lock);
    cr_expect_eq(prong_connect(NULL, NULL, &other, why, sizeof why), PRONG_UNAVAILABLE);
    cr_expect_not_null(strstr(why, "first/hub.sock: Connection refused"), "%s", why);
}

Test(connection, a_broker_that_is_being_started_anew_is_waited_for, .init = set_up,
     .fini = tear_down)
{
    char first[100], path[120], ours[400];
    struct seeker s = {0};
    make_places(first, ours);
    cr_assert_eq(mkdir(first, 0700), 0);
    const int lock = hold_lock(first), watch = inotify_init1(IN_CLOEXEC);
    (void)snprintf(path, sizeof path, "%s/lock", first);
    cr_assert_geq(inotify_add_watch(watch, path, IN_OPEN), 0);
    cr_assert_eq(pthread_create(&s.thread, NULL, seek, &s), 0);
    cr_assert_eq(poll(&(struct pollfd){.fd = watch, .events = POLLIN}, 1, 10000), 1);
    (void)snprintf(path, sizeof path, "%s/hub.sock", first);
    cr_assert_eq(symlink(ours, path), 0); /* it has found nothing yet */
    seek_end(&s);
    close(watch);
    close(lock);
}

Test(connection, a_broker_that_dies_before_it_greets_is_waited_for, .init = set_up,
     .fini = tear_down)
{
    struct seeker s = {.url = hub.url};
    char dir[200];
    (void)snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(hub.url, '/') - hub.url) - 6,
                   hub.url + strlen("ipc://"));
    const int lock = hold_lock(dir);
    fake_stop(&hub);
    hub.mute = true;
    fake_start(&hub);
    const int before = hub.messages;
    cr_assert_eq(pthread_create(&s.thread, NULL, seek, &s), 0);
    await_messages(before + 1);
    fake_stop(&hub);
    hub.mute = false;
    fake_start(&hub);
    seek_end(&s);
    close(lock);
}

/* The lock of another user's hub cannot be opened, its socket may be there for us all the same. */
Test(connection, a_lock_that_cannot_be_read_is_trusted_for_a_second, .init = set_up,
     .fini = tear_down)
{
    char first[100], path[120], ours[400], why[300];
    const prong_options o = {.size_bytes = sizeof o, .connect_timeout_ms = 20000};
    prong_client *other = NULL;
    make_places(first, ours);
    (void)snprintf(path, sizeof path, "%s/lock", first);
    cr_assert(mkdir(first, 0700) == 0 && symlink("nowhere", path) == 0);
    (void)snprintf(path, sizeof path, "%s/hub.sock", first);
    leave_socket(path);
    const int64_t begin = now_ms();
    cr_expect_eq(prong_connect(NULL, &o, &other, why, sizeof why), PRONG_UNAVAILABLE);
    const int64_t took = now_ms() - begin;
    cr_expect(took >= 1000 && took < 10000, "%lld ms", (long long)took);
    cr_assert_eq(unlink(path), 0); /* nobody waits where no hub is */
    cr_expect_eq(prong_connect(NULL, &o, &other, why, sizeof why), PRONG_OK, "%s", why);
    prong_client_free(other);
}

/* ---- its end --------------------------------------------------------------------------------- */

Test(connection, a_forked_child_is_told_and_harms_nothing, .init = set_up, .fini = tear_down)
{
    prong_reply *r = start("hold", 30000, 0, 0), *other = NULL;
    cr_assert_eq(prong_flush(c), PRONG_OK);
    const pid_t child = fork();
    if (child == 0) {
        prong_value item;
        char text[100];
        int ok =
            prong_call(c, "w", "echo", NULL, 100, &other) == PRONG_FAILED_PRECONDITION &&
            prong_call_async(c, "w", "echo", NULL, NULL, &other) == PRONG_FAILED_PRECONDITION &&
            prong_reply_wait(r, 100) == PRONG_FAILED_PRECONDITION &&
            prong_reply_next(r, 100, &item) == PRONG_FAILED_PRECONDITION &&
            prong_wait_any(c, 100, &other) == PRONG_FAILED_PRECONDITION &&
            prong_emit(c, "a", NULL, 100, NULL) == PRONG_FAILED_PRECONDITION &&
            prong_post(c, "a", NULL) == PRONG_FAILED_PRECONDITION &&
            prong_dispatch(c, 0) == PRONG_FAILED_PRECONDITION &&
            prong_flush(c) == PRONG_FAILED_PRECONDITION && prong_fd(c) == -1 &&
            !prong_client_is_connected(c) && !prong_reply_is_done(r);
        prong_client_error_text(c, text, sizeof text);
        prong_reply_cancel(r);
        prong_reply_free(r);
        prong_client_free(c);
        _exit(ok ? 0 : 1);
    }
    int status = -1;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0);
    cr_expect_eq(prong_call(c, "w", "release", NULL, 0, NULL), PRONG_OK);
    cr_expect_eq(prong_reply_wait(r, 5000), PRONG_OK);
    prong_reply_free(r);
}

Test(connection, replies_outlive_their_client, .init = set_up, .fini = tear_down)
{
    prong_reply *held = start("hold", 30000, 0, 0), *unsent = NULL;
    cr_assert_eq(prong_flush(c), PRONG_OK);
    unsent = start("echo", 30000, 0, 0);
    prong_client_free(c);
    c = NULL;
    cr_expect_eq(prong_reply_code(held), PRONG_CANCELLED);
    cr_expect_eq(prong_reply_wait(held, 0), PRONG_OK);
    cr_expect_eq(prong_reply_wait(unsent, PRONG_FOREVER), PRONG_OK);
    prong_reply_cancel(unsent);
    prong_reply_free(unsent);
    prong_reply_free(held);
}
