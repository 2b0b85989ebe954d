/* A real hub for tests of workers. */
#include "tests/e2e/worker/hub.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/dir.h"
#include "tests/support/procs.h"
#include "tests/support/test.h"

static struct hub hub;

void
hub_enter(void)
{
    dir_enter();
    hub = (struct hub){0};
}

static void
show(const char *name)
{
    char path[DIR_FILE_BYTES_MAX], line[512];
    FILE *file = fopen(dir_file(path, name), "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        fprintf(stderr, "%s: %s", name, line);
    }
    if (file != NULL) {
        fclose(file);
    }
}

void
hub_leave(void)
{
    prong_client_free(hub.client);
    hub.client = NULL;
    if (hub.keeper > 0) {
        show("log");
        show("run/log/probe");
        kill(hub.keeper, SIGKILL);
        (void)until_exit(hub.keeper, NULL, HUB_MS);
        hub.keeper = 0;
    }
    /* What outlives the hub is killed, and told as a failure. */
    struct procs left;
    procs_tagged(dir_path(), &left);
    for (int i = 0; i < left.count; i++) {
        (void)until_gone(left.pids[i], HUB_MS);
    }
    const int killed = procs_tagged_kill(dir_path());
    dir_leave();
    cr_assert(killed == 0, "%d processes outlived the hub", killed);
}

static void
run_hub(const char *mode, const char *more)
{
    char config[1024], run[DIR_FILE_BYTES_MAX], file[DIR_FILE_BYTES_MAX], log[DIR_FILE_BYTES_MAX];
    char prongd[512];
    const char *bin = getenv("PRONG_BIN_DIR");
    const pid_t parent = getpid();
    (void)snprintf(
        config, sizeof config,
        "workers:\n  probe:\n    command: [\"%s/../tests/bin/worker_probe\", %s, \"%s\"]\n"
        "    working_dir: \"%s\"\n%s",
        bin, mode, dir_path(), dir_path(), more);
    dir_write("prong.yaml", config, 0600);
    (void)snprintf(prongd, sizeof prongd, "%s/prongd", bin);
    dir_file(run, "run");
    dir_file(file, "prong.yaml");
    dir_file(log, "log");
    hub.keeper = fork();
    if (hub.keeper == 0) {
        procs_die_with(parent);
        const int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (fd < 0 || dup2(fd, 2) < 0 || dup2(fd, 1) < 0) {
            _exit(98);
        }
        execl(prongd, "prongd", "--config", file, "--runtime-dir", run, (char *)NULL);
        _exit(99);
    }
    cr_assert(hub.keeper > 0);
}

static bool
can_connect(void *why)
{
    return prong_connect(hub.url, NULL, &hub.client, why, 256) == PRONG_OK;
}

/* A broker that listens already may not have begun to start its workers. */
static bool
is_ready(void *unused)
{
    prong_reply *reply = NULL;
    (void)unused;
    const prong_err err = prong_call(hub.client, "probe", "nothing", NULL, HUB_MS, &reply);
    prong_reply_free(reply);
    return err == PRONG_OK;
}

struct hub *
hub_up(const char *mode)
{
    return hub_up_with(mode, "");
}

struct hub *
hub_up_with(const char *mode, const char *more)
{
    char path[DIR_FILE_BYTES_MAX], why[256] = "";
    run_hub(mode, more);
    (void)snprintf(hub.url, sizeof hub.url, "ipc://%s", dir_file(path, "run/hub.sock"));
    cr_assert(until(HUB_MS, can_connect, why), "%s", why);
    cr_assert(until(HUB_MS, is_ready, NULL), "the worker does not get ready");
    return &hub;
}

void
hub_down(void)
{
    int status = -1;
    prong_client_free(hub.client);
    hub.client = NULL;
    kill(hub.keeper, SIGTERM);
    cr_assert(until_exit(hub.keeper, &status, HUB_MS), "prongd does not end");
    hub.keeper = 0;
    cr_assert(status == 0, "prongd ended with status %x", (unsigned)status);
}

struct wanted {
    const char *comm;
    pid_t not, found;
};

static bool
find_process(void *arg)
{
    struct wanted *w = arg;
    struct procs all;
    procs_descendants(hub.keeper, &all);
    for (int i = 0; i < all.count; i++) {
        char comm[32];
        procs_comm(all.pids[i], comm);
        if (strcmp(comm, w->comm) == 0 && all.pids[i] != w->not ) {
            w->found = all.pids[i];
            return true;
        }
    }
    return false;
}

pid_t
hub_process(const char *comm, pid_t not )
{
    struct wanted w = {comm, not, 0};
    cr_assert(until(HUB_MS, find_process, &w), "no process %s", comm);
    return w.found;
}

prong_reply *
hub_begin(const char *method, const char *args)
{
    prong_reply *reply = NULL;
    prong_value value = {0};
    prong_writer *w = prong_writer_new();
    cr_assert(w != NULL);
    const prong_call_options options = {.size_bytes = sizeof options, .timeout_ms = HUB_MS};
    if (args != NULL) {
        cr_assert(prong_value_from_json(args, strlen(args), w, NULL, 0) == PRONG_OK);
        cr_assert(prong_writer_finish(w, &value) == PRONG_OK);
    }
    cr_assert(prong_call_async(hub.client, "probe", method, args != NULL ? &value : NULL, &options,
                               &reply) == PRONG_OK);
    prong_writer_free(w);
    (void)prong_flush(hub.client);
    return reply;
}

static void
expect(prong_reply *reply, prong_err code)
{
    cr_assert(prong_reply_wait(reply, 2 * HUB_MS) == PRONG_OK, "no outcome");
    cr_assert(prong_reply_code(reply) == code, "%s: %s", prong_err_name(prong_reply_code(reply)),
              prong_reply_message(reply));
}

prong_reply *
hub_call(const char *method, const char *args, prong_err code)
{
    prong_reply *reply = hub_begin(method, args);
    expect(reply, code);
    return reply;
}

void
hub_end(prong_reply *reply, prong_err code)
{
    expect(reply, code);
    prong_reply_free(reply);
}

bool
hub_has_file(const char *name)
{
    char path[DIR_FILE_BYTES_MAX];
    return access(dir_file(path, name), F_OK) == 0;
}

/* Its first byte comes after it is there. */
static bool
has_bytes(void *path)
{
    struct stat about;
    return stat(path, &about) == 0 && about.st_size > 0;
}

long
hub_file(const char *name)
{
    char path[DIR_FILE_BYTES_MAX];
    struct stat about;
    (void)dir_file(path, name);
    cr_assert(until(HUB_MS, has_bytes, path), "no file %s", name);
    cr_assert(stat(path, &about) == 0);
    return (long)about.st_size;
}
