/* The worker `sensor`: measures this machine ten times a second and tells it as events.
 *
 *   sensor.cpu     {cpu: 0..1, cpu0: 0..1, ...,    share of the time that the cores were at work;
 *                   running: N}                    processes that run or wait for a core
 *   sensor.memory  {used: 0..1}                    share of the memory that is in use
 *   sensor.disk    {read: MB/s, write: MB/s}       all whole disks together
 *   sensor.net     {receive: MB/s, send: MB/s}     all interfaces but the loopback together
 *
 * Everything comes from /proc. Rates are differences between two looks, so the first look tells
 * nothing. */
#include <prong/worker.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { CORES_MAX = 256, PERIOD_MS = 100, SECTOR_BYTES = 512 };

struct counter {
    double before;
};

struct sensor {
    prong_writer *writer;
    double seconds; /* since the look before */
    struct timespec looked;
    struct counter busy[CORES_MAX + 1], total[CORES_MAX + 1], disk[2], net[2];
    bool has_looked;
};

/* What a counter has grown by since the last time. */
static double
grown(struct counter *c, double now)
{
    const double by = now - c->before;
    c->before = now;
    return by > 0 ? by : 0;
}

static void
pair(prong_writer *w, const char *key, double value)
{
    prong_writer_key(w, key);
    prong_writer_double(w, value);
}

/* Publish what was written; a post does not wait, so a slow hub cannot slow the sensor down. */
static void
tell(struct sensor *s, prong_worker *worker, const char *topic)
{
    prong_value payload;
    prong_client *client = prong_worker_client(worker);
    if (client != NULL && s->has_looked && prong_writer_finish(s->writer, &payload) == PRONG_OK) {
        (void)prong_post(client, topic, &payload); /* a lost sample is replaced in 100 ms */
    }
    prong_writer_reset(s->writer);
}

/* One line of /proc/stat: the share of a core, or of all, since the last look. */
static bool
read_share(struct sensor *s, const char *line, uint32_t core, char name[16], double *share)
{
    double user, nice, system, idle, iowait = 0, irq = 0, softirq = 0, steal = 0;
    if (sscanf(line, "%15s %lf %lf %lf %lf %lf %lf %lf %lf", name, &user, &nice, &system, &idle,
               &iowait, &irq, &softirq, &steal) < 5 ||
        strncmp(name, "cpu", 3) != 0) {
        return false;
    }
    const double busy = user + nice + system + irq + softirq + steal;
    const double worked = grown(&s->busy[core], busy);
    const double all = grown(&s->total[core], busy + idle + iowait);
    *share = all > 0 ? worked / all : 0;
    return true;
}

/* Where all cores are at work already their shares cannot show that there is more to do. The number
 * of processes that want one does. */
static void
look_at_cpu(struct sensor *s, prong_worker *worker)
{
    char line[512], name[CORES_MAX + 1][16];
    double share[CORES_MAX + 1], running = 0;
    uint32_t count = 0;
    FILE *f = fopen("/proc/stat", "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (count <= CORES_MAX && read_share(s, line, count, name[count], &share[count])) {
            count++;
        } else if (sscanf(line, "procs_running %lf", &running) == 1) {
            break;
        }
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    prong_writer_map(s->writer, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        pair(s->writer, name[i], share[i]);
    }
    pair(s->writer, "running", running);
    tell(s, worker, "sensor.cpu");
}

static void
look_at_memory(struct sensor *s, prong_worker *worker)
{
    char line[256];
    double total = 0, available = 0;
    FILE *f = fopen("/proc/meminfo", "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        (void)sscanf(line, "MemTotal: %lf", &total);
        (void)sscanf(line, "MemAvailable: %lf", &available);
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    prong_writer_map(s->writer, 1);
    pair(s->writer, "used", total > 0 ? 1 - available / total : 0);
    tell(s, worker, "sensor.memory");
}

/* Two counters told as MB per second. */
static void
tell_rates(struct sensor *s, const char *const keys[2], struct counter c[2], const double now[2])
{
    prong_writer_map(s->writer, 2);
    for (int i = 0; i < 2; i++) {
        const double by = grown(&c[i], now[i]);
        pair(s->writer, keys[i], s->seconds > 0 ? by / 1e6 / s->seconds : 0);
    }
}

static void
look_at_disk(struct sensor *s, prong_worker *worker)
{
    static const char *const keys[2] = {"read", "write"};
    char line[512], name[64];
    double now[2] = {0, 0};
    FILE *f = fopen("/proc/diskstats", "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        double sectors_read, sectors_written;
        char path[96];
        FILE *whole;
        if (sscanf(line, "%*d %*d %63s %*f %*f %lf %*f %*f %*f %lf", name, &sectors_read,
                   &sectors_written) != 3) {
            continue;
        }
        /* Partitions are counted in their disk; only whole disks stand in /sys/block. */
        (void)snprintf(path, sizeof path, "/sys/block/%s/size", name);
        whole = fopen(path, "re");
        if (whole != NULL) {
            (void)fclose(whole);
            now[0] += sectors_read * SECTOR_BYTES;
            now[1] += sectors_written * SECTOR_BYTES;
        }
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    tell_rates(s, keys, s->disk, now);
    tell(s, worker, "sensor.disk");
}

static void
look_at_net(struct sensor *s, prong_worker *worker)
{
    static const char *const keys[2] = {"receive", "send"};
    char line[512], name[64];
    double now[2] = {0, 0};
    FILE *f = fopen("/proc/net/dev", "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        double received, sent;
        if (sscanf(line, " %63[^:]: %lf %*f %*f %*f %*f %*f %*f %*f %lf", name, &received, &sent) ==
                3 &&
            strcmp(name, "lo") != 0) {
            now[0] += received;
            now[1] += sent;
        }
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    tell_rates(s, keys, s->net, now);
    tell(s, worker, "sensor.net");
}

static void
look(prong_worker *worker, void *context)
{
    struct sensor *s = context;
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    s->seconds =
        (double)(now.tv_sec - s->looked.tv_sec) + (double)(now.tv_nsec - s->looked.tv_nsec) / 1e9;
    s->looked = now;
    look_at_cpu(s, worker);
    look_at_memory(s, worker);
    look_at_disk(s, worker);
    look_at_net(s, worker);
    s->has_looked = true;
}

static prong_err
topics(prong_job *job, const prong_value *args, void *context)
{
    static const char *const all[] = {"sensor.cpu", "sensor.memory", "sensor.disk", "sensor.net"};
    prong_writer *w = prong_job_result(job);
    (void)args;
    (void)context;
    prong_writer_array(w, 4);
    for (int i = 0; i < 4; i++) {
        prong_writer_string(w, all[i]);
    }
    return PRONG_OK;
}

int
main(void)
{
    static struct sensor sensor;
    static const prong_method methods[] = {
        {"topics", topics, PRONG_IDEMPOTENT, "the topics that the sensor tells", NULL},
    };
    sensor.writer = prong_writer_new();
    prong_worker *worker = prong_worker_new(methods, 1);
    if (sensor.writer == NULL || worker == NULL) {
        return 71;
    }
    (void)prong_worker_every(worker, PERIOD_MS, look, &sensor); /* a mistake here is told by run */
    const int code = prong_worker_run(worker);
    prong_worker_free(worker);
    prong_writer_free(sensor.writer);
    return code;
}
