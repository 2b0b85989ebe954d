/* From the kill of a worker to its replacement serving.
 *
 *   restart [--kills N] [--check]
 *
 * A worker in C with a restart_delay of 0 is killed N times (300), and called in the same moment:
 * the call is answered by the next process. What lies between comes from the events of the hub: the
 * broker knows of the death, the new process runs, it has attached, the call is answered. p50 and
 * p99 of each are printed. --check makes fewer kills and ends with 1 unless every kill was followed
 * by exactly one death, one start and one attach: it judges no time. */
#include "bench/bench.h"

#include <prong/prong.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TIMEOUT_MS = 20000, KILLS = 300, KILLS_CHECK = 30, KILLS_MAX = 900, TEXT_MAX = 400 };

/* Where the time goes, in the order of the events. */
enum part { PART_DETECT, PART_SPAWN, PART_ATTACH, PART_SERVE, PART_ALL, PART_COUNT };
static const char *const part_names[PART_COUNT] = {"death known to the broker", "new process runs",
                                                   "attached", "call answered", "all of it"};
static const char *const topics[] = {"hub.worker.exited", "hub.worker.started", "hub.worker.ready"};
enum { TOPIC_COUNT = sizeof topics / sizeof topics[0] };

struct bench {
    struct bench_hub hub;
    prong_client *client;
    prong_subscription *events;
    struct samples parts[PART_COUNT];
};

/* The clock of the events. */
static int64_t
wall_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail with this clock */
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* The next events, one of each topic from `first` on: when they were, and the pid of the last one.
 * A process may have attached before the hub hears that it runs, so their order is not asked for.
 */
static int64_t
expect(struct bench *b, int first, int64_t time_us[TOPIC_COUNT])
{
    int64_t number = 0;
    memset(time_us, 0, TOPIC_COUNT * sizeof *time_us);
    for (int n = first; n < TOPIC_COUNT; n++) {
        const prong_event *event;
        prong_value pid;
        int i = first;
        if (prong_subscription_next(b->events, TIMEOUT_MS, &event) != PRONG_OK) {
            bench_die("no event came", 0);
        }
        while (i < TOPIC_COUNT && (strcmp(event->topic, topics[i]) != 0 || time_us[i] != 0)) {
            i++;
        }
        if (i == TOPIC_COUNT) {
            fprintf(stderr, "bench: unexpected %s\n", event->topic);
            bench_die("the events are not those of one restart", 0);
        }
        time_us[i] = event->time_us;
        if (i > 0 && prong_value_find(&event->payload, "pid", &pid)) {
            (void)prong_value_int(&pid, &number); /* stays 0, and is found out when it is killed */
        }
    }
    return number;
}

static void
add(struct bench *b, enum part part, int64_t from_us, int64_t to_us)
{
    /* Two processes read the clock: what is a microsecond apart may look turned round. */
    samples_add(&b->parts[part], to_us > from_us ? (uint64_t)(to_us - from_us) * 1000 : 0);
}

/* Kill the process and be answered by the next one, whose pid it returns. */
static int64_t
replace(struct bench *b, int64_t pid)
{
    static const uint8_t one_nil[] = {0x91, 0xc0};
    const prong_value args = {one_nil, sizeof one_nil};
    int64_t at_us[TOPIC_COUNT];
    if (pid <= 1) {
        bench_die("a worker without a pid", 0);
    }
    const int64_t killed_us = wall_us();
    (void)kill((pid_t)pid, SIGKILL); /* ours: the events tell if it did not work */
    if (prong_call(b->client, "echo", "echo", &args, TIMEOUT_MS, NULL) != PRONG_OK) {
        bench_die_of(b->client);
    }
    const int64_t served_us = wall_us();
    const int64_t next = expect(b, 0, at_us);
    add(b, PART_DETECT, killed_us, at_us[0]);
    add(b, PART_SPAWN, at_us[0], at_us[1]);
    add(b, PART_ATTACH, at_us[1], at_us[2]);
    add(b, PART_SERVE, at_us[2], served_us);
    add(b, PART_ALL, killed_us, served_us);
    return next;
}

/* The pid of its first process. */
static int64_t
start(struct bench *b)
{
    static const char *const filters[] = {"hub.worker.*"};
    char config[TEXT_MAX];
    int64_t at_us[TOPIC_COUNT];
    /* Not started by itself, so that no event is missed. */
    (void)snprintf(config, sizeof config,
                   "workers:\n  echo: {command: [\"%s\"], autostart: false, restart_delay: 0ms, "
                   "max_restarts: 1000}\n",
                   BENCH_ECHO_WORKER);
    b->client = bench_hub_start_as(&b->hub, config);
    if (prong_subscribe(b->client, filters, 1, NULL, &b->events) != PRONG_OK) {
        bench_die_of(b->client);
    }
    static const uint8_t echo[] = "\x81\xa6worker\xa4"
                                  "echo"; /* {worker: echo} */
    const prong_value args = {echo, sizeof echo - 1};
    if (prong_call(b->client, "hub", "start", &args, TIMEOUT_MS, NULL) != PRONG_OK) {
        bench_die_of(b->client);
    }
    return expect(b, 1, at_us);
}

static void
print(struct bench *b, long kills)
{
    printf("%ld kills of a C worker, ms:\n  %-26s %8s %8s\n", kills, "", "p50", "p99");
    for (int i = 0; i < PART_COUNT; i++) {
        printf("  %-26s %8.3f %8.3f\n", part_names[i], samples_us(&b->parts[i], 0.5) / 1000,
               samples_us(&b->parts[i], 0.99) / 1000);
    }
}

int
main(int argc, char *argv[])
{
    struct bench b = {0};
    long kills = KILLS;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--check") == 0) {
            kills = KILLS_CHECK;
        } else if (strcmp(argv[i], "--kills") == 0 && i + 1 < argc) {
            kills = strtol(argv[++i], NULL, 10);
        } else {
            kills = 0;
        }
    }
    if (kills < 1 || kills > KILLS_MAX) {
        fprintf(stderr, "usage: restart [--kills 1..%d] [--check]\n", (int)KILLS_MAX);
        return 2;
    }
    int64_t pid = start(&b);
    for (long i = 0; i < kills; i++) {
        pid = replace(&b, pid);
    }
    print(&b, kills);
    prong_subscription_free(b.events);
    prong_client_free(b.client);
    bench_hub_stop(&b.hub);
    for (int i = 0; i < PART_COUNT; i++) {
        samples_deinit(&b.parts[i]);
    }
    return 0;
}
