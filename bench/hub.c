/* A private hub for a benchmark: see bench.h. */
#include "bench/bench.h"

#include <errno.h>
#include <limits.h>
#include <prong/prong.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { START_MS = 20000, STOP_MS = 10000, STEP_MS = 5 };

static void
pause_ms(unsigned ms)
{
    (void)usleep(ms * 1000); /* a short one only makes the caller look again earlier */
}

static void
write_config(const struct bench_hub *hub, const char *text)
{
    char path[96];
    (void)snprintf(path, sizeof path, "%s/prong.yaml", hub->dir);
    FILE *f = fopen(path, "we");
    if (f == NULL) {
        bench_die(path, errno);
    }
    fputs(text, f);
    if (fclose(f) != 0) {
        bench_die(path, errno);
    }
}

static _Noreturn void
become_prongd(const struct bench_hub *hub, const char *broker)
{
    char config[96], log[96];
    (void)snprintf(config, sizeof config, "%s/prong.yaml", hub->dir);
    (void)snprintf(log, sizeof log, "%s/stderr", hub->dir);
    if (freopen(log, "we", stderr) == NULL) {
        _exit(1);
    }
    (void)dup2(STDERR_FILENO, STDOUT_FILENO); /* the table is the only thing on our own stdout */
    if (broker != NULL) {
        execl(BENCH_PRONGD, "prongd", "--runtime-dir", hub->dir, "--config", config, "--broker",
              broker, (char *)NULL);
    } else {
        execl(BENCH_PRONGD, "prongd", "--runtime-dir", hub->dir, "--config", config, (char *)NULL);
    }
    bench_die(BENCH_PRONGD, errno);
}

static _Noreturn void
fail(struct bench_hub *hub, const char *what)
{
    char path[96], line[400];
    (void)snprintf(path, sizeof path, "%s/stderr", hub->dir);
    FILE *f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        fputs(line, stderr);
    }
    bench_hub_stop(hub);
    bench_die(what, 0);
}

/* A client of a hub that may be starting still. */
static prong_client *
connect_to(struct bench_hub *hub)
{
    const uint64_t end_ns = bench_now_ns() + (uint64_t)START_MS * 1000000;
    prong_client *client = NULL;
    char error[256] = "";
    while (prong_connect(hub->url, NULL, &client, error, sizeof error) != PRONG_OK) {
        if (bench_now_ns() > end_ns || waitpid(hub->keeper, NULL, WNOHANG) != 0) {
            fail(hub, error);
        }
        pause_ms(STEP_MS);
    }
    return client;
}

/* Every replica answers: then all of them have attached. */
static void
greet_all(struct bench_hub *hub, unsigned replicas)
{
    prong_client *client = connect_to(hub);
    static const uint8_t one_nil[] = {0x91, 0xc0};
    for (unsigned i = 0; i < replicas; i++) {
        const prong_value args = {one_nil, sizeof one_nil};
        char name[32];
        (void)snprintf(name, sizeof name, "echo/%u", i);
        if (prong_call(client, name, "echo", &args, START_MS, NULL) != PRONG_OK) {
            fail(hub, "a worker does not answer");
        }
    }
    prong_client_free(client);
}

static void
find_processes(struct bench_hub *hub)
{
    pid_t children[HUB_WORKERS_MAX + 1];
    if (bench_children(hub->keeper, &hub->spawner, 1) != 1) {
        fail(hub, "the hub has no spawner");
    }
    const size_t count = bench_children(hub->spawner, children, HUB_WORKERS_MAX + 1);
    hub->worker_count = 0;
    for (size_t i = 0; i < count; i++) {
        char comm[32];
        bench_proc_line(children[i], "comm", comm, sizeof comm);
        if (strncmp(comm, "echo/", 5) == 0) {
            hub->workers[hub->worker_count++] = children[i];
        } else {
            hub->broker = children[i];
        }
    }
}

_Noreturn void
bench_die_of(prong_client *client)
{
    char error[256];
    prong_client_error_text(client, error, sizeof error);
    bench_die(error, 0);
}

static void
start(struct bench_hub *hub, const char *config, const char *broker)
{
    *hub = (struct bench_hub){0};
    (void)snprintf(hub->dir, sizeof hub->dir, "/tmp/prong-bench-XXXXXX");
    if (mkdtemp(hub->dir) == NULL) {
        bench_die(hub->dir, errno);
    }
    (void)snprintf(hub->url, sizeof hub->url, "ipc://%s/hub.sock", hub->dir);
    write_config(hub, config);
    hub->keeper = bench_fork();
    if (hub->keeper == 0) {
        become_prongd(hub, broker);
    }
}

prong_client *
bench_hub_start_as(struct bench_hub *hub, const char *config)
{
    start(hub, config, NULL);
    return connect_to(hub);
}

void
bench_hub_start(struct bench_hub *hub, unsigned replicas, const char *broker)
{
    char config[PATH_MAX + 80];
    (void)snprintf(config, sizeof config,
                   "workers:\n  echo:\n    command: [\"%s\"]\n    replicas: %u\n",
                   BENCH_ECHO_WORKER, replicas);
    start(hub, config, broker);
    greet_all(hub, replicas);
    find_processes(hub);
}

static void
remove_tree(const char *dir)
{
    const pid_t pid = bench_fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", dir, (char *)NULL);
        _exit(1);
    }
    (void)waitpid(pid, NULL, 0); /* what is left lies in /tmp */
}

void
bench_hub_stop(struct bench_hub *hub)
{
    (void)kill(hub->keeper, SIGTERM); /* it may be gone already */
    for (int ms = 0; waitpid(hub->keeper, NULL, WNOHANG) == 0; ms += STEP_MS) {
        if (ms > STOP_MS) {
            (void)kill(hub->keeper, SIGKILL); /* the spawner ends the rest */
        }
        pause_ms(STEP_MS);
    }
    remove_tree(hub->dir);
}
