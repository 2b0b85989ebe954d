/* `prong doctor`: what its files share. Each part of the bundle and each check runs in a process of
 * its own with an end in time, because what is sick may hang whoever looks at it. */
#ifndef PRONG_CLI_DOCTOR_H
#define PRONG_CLI_DOCTOR_H

#include "client/cli/cli.h"

#include <limits.h>
#include <stdio.h>
#include <sys/types.h>

enum { DOCTOR_PROCESSES_MAX = 512, DOCTOR_TEXT_BYTES = 400 };

struct doctor_process {
    pid_t pid, parent;
    char name[32];
};

/* The hub as it is found from outside. */
struct doctor {
    char dir[PATH_MAX]; /* its runtime folder; "" for one on another machine */
    char url[PATH_MAX + 16];
    pid_t keeper;           /* 0: nobody has the lock; -1: that cannot be seen */
    bool is_reachable;      /* it answers */
    char log_dir[PATH_MAX]; /* of the workers' output; "" when that is not to be found */
    char config[PATH_MAX];  /* the file that the hub read; "" */
    struct doctor_process processes[DOCTOR_PROCESSES_MAX]; /* the keeper and all below it */
    size_t process_count;
};

/* The process of this name (comm); 0 when there is none. */
pid_t doctor_find(const struct doctor *doctor, const char *name);
/* Find the hub that the options mean. */
int doctor_look(const struct cli *cli, struct doctor *doctor);

/* ---- parts of the bundle ---- */

/* Written in a child: what it writes is the part, and any code but 0 says that it is not whole. */
typedef int doctor_write(struct cli *cli, const struct doctor *doctor, FILE *out);

struct doctor_part {
    const char *name; /* in the bundle: "hub/status.json" */
    doctor_write *write;
    bool needs_hub, needs_dir;
};
/* The table; *count rows. */
const struct doctor_part *doctor_parts(size_t *count);
const struct doctor_part *doctor_hub_parts(size_t *count);

/* Lines that are secrets: to be masked, never shown. */
doctor_write doctor_write_secrets;
/* A file from a place on, up to a bound; and its end. What cannot be read says so in its place. */
int doctor_write_file(const char *path, FILE *out, off_t from);
int doctor_write_tail(const char *path, FILE *out);

/* ---- checks ---- */

enum doctor_result { DOCTOR_PASS, DOCTOR_WARN, DOCTOR_FAIL, DOCTOR_RESULT_COUNT };

struct doctor_finding {
    enum doctor_result result;
    char text[DOCTOR_TEXT_BYTES];   /* what was found, one line */
    char advice[DOCTOR_TEXT_BYTES]; /* what to do; "" when there is nothing */
};

struct doctor_check {
    const char *name;
    void (*run)(struct cli *cli, const struct doctor *doctor, struct doctor_finding *f);
    bool needs_hub, needs_dir, needs_keeper;
};
/* The table; *count rows. The first one says whether the hub answers. */
const struct doctor_check *doctor_checks(size_t *count);
const struct doctor_check *doctor_system_checks(size_t *count);
/* Fill in a finding. */
__attribute__((format(printf, 3, 4))) void
doctor_found(struct doctor_finding *f, enum doctor_result result, const char *format, ...);
__attribute__((format(printf, 2, 3))) void doctor_advise(struct doctor_finding *f,
                                                         const char *format, ...);
/* ---- telling ---- */

struct doctor_told {
    const char *name;
    struct doctor_finding finding;
};

/* A line for each, and what to do about it. */
void doctor_print(const struct doctor_told *told, size_t count, FILE *out, bool has_color);
/* {checks, bundle, not_whole} on stdout; `path` "" for none. */
int doctor_print_json(const struct cli *cli, const struct doctor_told *told, size_t count,
                      const char *path, const char *problems);

/* Connect within the time of one part. False with `why`. */
bool doctor_connect(struct cli *cli, const struct doctor *doctor, char *why, size_t size);

#endif
