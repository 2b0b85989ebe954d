/* What a hub costs that has nothing to do: wake-ups a second and resident memory, with ten idle
 * workers.
 *
 * Wake-ups are context switches as /proc/PID/status counts them (voluntary: it went to sleep again;
 * involuntary are shown and not counted, because they tell of the other load of the machine).
 * Memory is /proc/PID/smaps_rollup: Pss shares a page among all who map it, Rss counts it for each.
 */
#include "bench/bench.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAPS_MAX = 256, SHOWN_MAX = 12, LINE_SIZE = 512, SETTLE_S = 2, MEMORY_KB_MAX = 8192 };

struct memory {
    long rss_kb, pss_kb, private_kb;
};

/* One file, or the heap, or what has no name. */
struct map {
    char name[128];
    struct memory memory;
};

struct process {
    const char *name;
    pid_t pid;
    long switches, forced;
    double wakeups_s, forced_s;
    struct memory memory;
};

/* ---- reading /proc -------------------------------------------------------------------------- */

static FILE *
open_proc(pid_t pid, const char *file)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        bench_die(path, errno);
    }
    return f;
}

static void
read_switches(struct process *p, long *voluntary, long *forced)
{
    char line[LINE_SIZE];
    FILE *f = open_proc(p->pid, "status");
    while (fgets(line, sizeof line, f) != NULL) {
        (void)sscanf(line, "voluntary_ctxt_switches: %ld", voluntary);
        (void)sscanf(line, "nonvoluntary_ctxt_switches: %ld", forced);
    }
    fclose(f);
}

static void
take_line(const char *line, struct memory *m)
{
    long kb;
    if (sscanf(line, "Rss: %ld", &kb) == 1) {
        m->rss_kb += kb;
    } else if (sscanf(line, "Pss: %ld", &kb) == 1) {
        m->pss_kb += kb;
    } else if (sscanf(line, "Private_Dirty: %ld", &kb) == 1 ||
               sscanf(line, "Private_Clean: %ld", &kb) == 1) {
        m->private_kb += kb;
    }
}

static void
read_memory(struct process *p)
{
    char line[LINE_SIZE];
    FILE *f = open_proc(p->pid, "smaps_rollup");
    p->memory = (struct memory){0};
    while (fgets(line, sizeof line, f) != NULL) {
        take_line(line, &p->memory);
    }
    fclose(f);
}

/* The map that a heading line of smaps names, NULL when the line is no heading. */
static struct map *
map_of(struct map *maps, size_t *count, const char *line)
{
    int at = 0;
    if (sscanf(line, "%*x-%*x %*4s %*s %*s %*s %n", &at) < 0 || at == 0 ||
        isupper((unsigned char)line[0])) {
        return NULL;
    }
    const char *name = line[at] != '\0' ? line + at : "(anonymous)";
    const char *slash = strrchr(name, '/');
    name = slash != NULL && name[0] == '/' ? slash + 1 : name;
    for (size_t i = 0; i < *count; i++) {
        if (strncmp(maps[i].name, name, sizeof maps[i].name - 1) == 0) {
            return &maps[i];
        }
    }
    if (*count == MAPS_MAX) {
        return &maps[MAPS_MAX - 1];
    }
    struct map *m = &maps[(*count)++];
    *m = (struct map){0};
    (void)snprintf(m->name, sizeof m->name, "%s", name);
    return m;
}

static int
compare_maps(const void *a, const void *b)
{
    const struct map *x = a, *y = b;
    return (x->memory.pss_kb < y->memory.pss_kb) - (x->memory.pss_kb > y->memory.pss_kb);
}

static void
print_maps(const struct process *p)
{
    static struct map maps[MAPS_MAX];
    char line[LINE_SIZE];
    size_t count = 0;
    struct map *now = NULL;
    FILE *f = open_proc(p->pid, "smaps");
    while (fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        struct map *next = map_of(maps, &count, line);
        if (next != NULL) {
            now = next;
        } else if (now != NULL) {
            take_line(line, &now->memory);
        }
    }
    fclose(f);
    qsort(maps, count, sizeof *maps, compare_maps);
    printf("\n%s is made of                       pss KiB  rss KiB  private KiB\n", p->name);
    for (size_t i = 0; i < count && i < SHOWN_MAX; i++) {
        printf("  %-34.34s %9ld %8ld %12ld\n", maps[i].name, maps[i].memory.pss_kb,
               maps[i].memory.rss_kb, maps[i].memory.private_kb);
    }
}

/* ---- measuring ------------------------------------------------------------------------------ */

static void
measure(struct process *list, size_t count, unsigned seconds)
{
    for (size_t i = 0; i < count; i++) {
        read_switches(&list[i], &list[i].switches, &list[i].forced);
    }
    const uint64_t begin_ns = bench_now_ns();
    (void)sleep(seconds); /* whether it was a little less does not matter: the clock is read */
    const double passed_s = (double)(bench_now_ns() - begin_ns) / 1e9;
    for (size_t i = 0; i < count; i++) {
        long switches = 0, forced = 0;
        read_switches(&list[i], &switches, &forced);
        list[i].wakeups_s = (double)(switches - list[i].switches) / passed_s;
        list[i].forced_s = (double)(forced - list[i].forced) / passed_s;
        read_memory(&list[i]);
    }
}

static const char usage[] = "usage: idle [--workers N] [--seconds S] [--check]\n"
                            "  --workers N   idle workers, 1 to 64; default 10\n"
                            "  --seconds S   how long wake-ups are counted; default 30: the hub "
                            "answers a waiting worker after 25 s\n"
                            "  --check       exit 1 when spawner or broker wake up more than once "
                            "a second, or when both together\n"
                            "                have 8 MiB resident (Rss, so Pss too) or more\n";

int
main(int argc, char *argv[])
{
    static const struct option names[] = {{"workers", required_argument, NULL, 'w'},
                                          {"seconds", required_argument, NULL, 's'},
                                          {"check", no_argument, NULL, 'c'},
                                          {0}};
    unsigned workers = 10, seconds = 30;
    bool check = false;
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (c == 'w') {
            workers = (unsigned)strtoul(optarg, NULL, 10);
        } else if (c == 's') {
            seconds = (unsigned)strtoul(optarg, NULL, 10);
        } else if (c == 'c') {
            check = true;
        } else {
            fputs(usage, stderr);
            return 2;
        }
    }
    if (workers == 0 || workers > HUB_WORKERS_MAX || seconds == 0 || optind < argc) {
        fputs(usage, stderr);
        return 2;
    }
    struct bench_hub hub;
    bench_hub_start(&hub, workers, NULL);
    (void)sleep(SETTLE_S); /* the greeting's client is gone, allocators are at rest */
    struct process list[] = {{.name = "spawner", .pid = hub.spawner},
                             {.name = "broker", .pid = hub.broker},
                             {.name = "keeper", .pid = hub.keeper},
                             {.name = "worker", .pid = hub.workers[0]}};
    measure(list, 4, seconds);
    printf("idle hub with %u workers, %u s\n", workers, seconds);
    printf("             wake-ups/s  (forced/s)   pss KiB  rss KiB  private KiB\n");
    for (size_t i = 0; i < 4; i++) {
        printf("  %-9s %11.2f %11.2f %10ld %8ld %12ld\n", list[i].name, list[i].wakeups_s,
               list[i].forced_s, list[i].memory.pss_kb, list[i].memory.rss_kb,
               list[i].memory.private_kb);
    }
    const long pss_kb = list[0].memory.pss_kb + list[1].memory.pss_kb;
    const long rss_kb = list[0].memory.rss_kb + list[1].memory.rss_kb;
    printf("spawner and broker together: %ld KiB pss, %ld KiB rss\n", pss_kb, rss_kb);
    print_maps(&list[0]);
    print_maps(&list[1]);
    bench_hub_stop(&hub);
    const bool is_much = list[0].wakeups_s > 1 || list[1].wakeups_s > 1 || rss_kb >= MEMORY_KB_MAX;
    return check && is_much ? 1 : 0;
}
