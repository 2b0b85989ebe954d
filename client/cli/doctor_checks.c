/* Checks of the hub and its workers: see doctor.h. They run in a child. */
#include "client/cli/doctor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cli/hub.h"
#include "client/cli/status.h"

void
doctor_found(struct doctor_finding *f, enum doctor_result result, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    f->result = result;
    (void)vsnprintf(f->text, sizeof f->text, format, arguments);
    va_end(arguments);
}

void
doctor_advise(struct doctor_finding *f, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(f->advice, sizeof f->advice, format, arguments);
    va_end(arguments);
}

/* ---- the hub -------------------------------------------------------------------------------- */

static void
check_reachable(struct cli *cli, const struct doctor *d, struct doctor_finding *f)
{
    char why[400] = "";
    if (doctor_connect(cli, d, why, sizeof why)) {
        doctor_found(f, DOCTOR_PASS, "it answers at %.200s", prong_client_url(cli->client));
        return;
    }
    if (d->dir[0] == '\0') {
        doctor_found(f, DOCTOR_FAIL, "%.300s", why);
        doctor_advise(f, "see that the hub runs there, and --token-file and --ca-file");
    } else if (d->keeper > 0) {
        doctor_found(f, DOCTOR_FAIL, "prongd runs (pid %d) but does not answer: %.250s",
                     (int)d->keeper, why);
        doctor_advise(f,
                      "see logs/hub.log and processes.txt of the bundle; end it with prong down");
    } else if (d->keeper == 0) {
        doctor_found(f, DOCTOR_FAIL, "no hub runs in %.200s", d->dir);
        doctor_advise(f, "start one with prong up, or name one with --runtime-dir, --name or "
                         "--endpoint");
    } else {
        doctor_found(f, DOCTOR_FAIL, "%.300s", why);
        doctor_advise(f, "ask as root or as the user of the hub");
    }
}

static bool
ask_status(struct cli *cli, const struct doctor *d, struct status *status, struct doctor_finding *f)
{
    char why[400] = "";
    if (doctor_connect(cli, d, why, sizeof why) && status_get(cli, status) == CLI_OK) {
        return true;
    }
    doctor_found(f, DOCTOR_WARN, "the hub did not tell its status in time%s%.200s",
                 why[0] != '\0' ? ": " : "", why);
    return false;
}

static void
check_versions(struct cli *cli, const struct doctor *d, struct doctor_finding *f)
{
    struct status status = {0};
    prong_value hub, version;
    const char *text = "";
    size_t len = 0;
    if (!ask_status(cli, d, &status, f)) {
        return;
    }
    if (prong_value_find(prong_reply_value(status.reply), "hub", &hub) &&
        prong_value_find(&hub, "version", &version)) {
        (void)prong_value_text(&version, &text, &len);
    }
    if (strlen(prong_version()) == len && memcmp(prong_version(), text, len) == 0) {
        doctor_found(f, DOCTOR_PASS, "prong and the hub are both %s", prong_version());
    } else {
        doctor_found(f, DOCTOR_WARN, "prong is %s, the hub %.*s", prong_version(),
                     (int)(len < 64 ? len : 64), text);
        doctor_advise(f, "start the hub anew after an upgrade, or use the prong beside it");
    }
    status_deinit(&status);
}

/* ---- workers -------------------------------------------------------------------------------- */

/* Failed and stuck ones are a failure, those that wait for their next try a warning. */
static enum doctor_result
judge(const struct status_replica *r)
{
    static const struct {
        const char *state;
        enum doctor_result result;
    } rows[] = {{"failed", DOCTOR_FAIL}, {"stuck", DOCTOR_FAIL}, {"backoff", DOCTOR_WARN}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(r->state, rows[i].state) == 0) {
            return rows[i].result;
        }
    }
    return DOCTOR_PASS;
}

static void
check_workers(struct cli *cli, const struct doctor *d, struct doctor_finding *f)
{
    struct status status = {0};
    char text[DOCTOR_TEXT_BYTES] = "";
    size_t bad = 0, used = 0;
    enum doctor_result worst = DOCTOR_PASS;
    if (!ask_status(cli, d, &status, f)) {
        return;
    }
    for (size_t i = 0; i < status.replica_count; i++) {
        const struct status_replica *r = &status.replicas[i];
        const enum doctor_result its = judge(r);
        if (its == DOCTOR_PASS) {
            continue;
        }
        worst = its > worst ? its : worst;
        bad++;
        if (used < sizeof text - 1) {
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s is %s: %.80s",
                                     used > 0 ? "; " : "", r->name, r->state, r->reason);
        }
    }
    if (bad == 0) {
        doctor_found(f, DOCTOR_PASS, "%zu replicas of %zu workers, none has failed",
                     status.replica_count, status.worker_count);
    } else {
        doctor_found(f, worst, "%s", text);
        doctor_advise(f, "see prong logs WORKER; prong start WORKER tries again");
    }
    status_deinit(&status);
}

/* ---- its folder ----------------------------------------------------------------------------- */

static void
check_folder(struct cli *cli, const struct doctor *d, struct doctor_finding *f)
{
    struct stat about;
    (void)cli;
    if (lstat(d->dir, &about) != 0) {
        const int error = errno;
        doctor_found(f, error == ENOENT ? DOCTOR_WARN : DOCTOR_FAIL, "%.250s: %s", d->dir,
                     strerror(error));
        doctor_advise(f, "%s",
                      error == ENOENT ? "prong up makes it" : "ask as the user of the hub");
        return;
    }
    const unsigned mode = (unsigned)(about.st_mode & 07777);
    if (!S_ISDIR(about.st_mode)) {
        doctor_found(f, DOCTOR_FAIL, "%.250s is no folder", d->dir);
        doctor_advise(f, "take it away, or name another one with --runtime-dir");
    } else if ((mode & 0022) != 0) {
        doctor_found(f, DOCTOR_FAIL, "%.250s has mode %04o: others may write to it", d->dir, mode);
        doctor_advise(f, "chmod 0700 %.250s (0750 with hub: group)", d->dir);
    } else if (about.st_uid != geteuid() && geteuid() != 0) {
        doctor_found(f, DOCTOR_WARN, "%.250s is of user %u, not ours", d->dir,
                     (unsigned)about.st_uid);
        doctor_advise(f, "who is not that user has to be in hub: group");
    } else {
        doctor_found(f, DOCTOR_PASS, "%.250s has mode %04o", d->dir, mode);
    }
}

/* ---- descriptors ---------------------------------------------------------------------------- */

/* The soft limit of a process; -1 when it is not to be seen. */
static long
file_limit(pid_t pid)
{
    char path[64], line[256];
    long limit = -1;
    (void)snprintf(path, sizeof path, "/proc/%d/limits", (int)pid);
    FILE *in = fopen(path, "re");
    while (in != NULL && fgets(line, sizeof line, in) != NULL) {
        if (strncmp(line, "Max open files", 14) == 0) {
            limit = strtol(line + 14, NULL, 10);
        }
    }
    if (in != NULL) {
        (void)fclose(in);
    }
    return limit;
}

/* Workers with their outputs and two connections each, as many clients again, and what is always
 * there. */
static long
files_needed(const struct doctor *d)
{
    return 64 + 6 * (long)d->process_count;
}

static long
count_files(pid_t pid)
{
    char path[64];
    struct stat about;
    long count = 0;
    for (int fd = 0, missed = 0; missed < 256; fd++) {
        (void)snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, fd);
        const bool is_there = lstat(path, &about) == 0;
        count += is_there;
        missed = is_there ? 0 : missed + 1;
    }
    return count;
}

static void
check_files(struct cli *cli, const struct doctor *d, struct doctor_finding *f)
{
    const pid_t broker = doctor_find(d, "prong-broker");
    const long limit = file_limit(broker), needed = files_needed(d);
    (void)cli;
    if (broker == 0 || limit < 0) {
        doctor_found(f, DOCTOR_WARN, "%s",
                     broker == 0 ? "no broker is to be seen below prongd"
                                 : "the limits of the broker are not to be seen");
        doctor_advise(f, "ask as root or as the user of the hub");
        return;
    }
    const long used = count_files(broker);
    const bool is_full = used * 10 >= limit * 9;
    doctor_found(f,
                 is_full          ? DOCTOR_FAIL
                 : limit < needed ? DOCTOR_WARN
                                  : DOCTOR_PASS,
                 "the broker uses %ld of %ld descriptors, %ld processes may need %ld", used, limit,
                 (long)d->process_count, needed);
    if (is_full || limit < needed) {
        doctor_advise(f, "start it with a higher ulimit -n, or LimitNOFILE= of its unit");
    }
}

/* ---- the table ------------------------------------------------------------------------------ */

const struct doctor_check *
doctor_checks(size_t *count)
{
    static const struct doctor_check checks[] = {
        {.name = "hub", .run = check_reachable},
        {.name = "version", .run = check_versions, .needs_hub = true},
        {.name = "workers", .run = check_workers, .needs_hub = true},
        {.name = "runtime folder", .run = check_folder, .needs_dir = true},
        {.name = "descriptors", .run = check_files, .needs_keeper = true},
    };
    *count = sizeof checks / sizeof checks[0];
    return checks;
}
