/* Workers that name each other: see depends.h. */
#include "broker/config/depends.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/config/value.h"
#include "proto/closest.h"

#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyz0123456789_-"
enum { PORT_MAX = 65535 };

/* The place of an option in a draft. */
static struct config_mark
mark_of(const struct config_draft *draft, const char *key)
{
    return draft->given[(size_t)config_option_find(&config_worker_table, key)];
}

bool
config_worker_name_check(const char *text, char *why, size_t why_bytes)
{
    const size_t len = strlen(text);
    if (len >= 1 && len <= CONFIG_NAME_BYTES_MAX && strspn(text, NAME_LETTERS) == len) {
        return true;
    }
    snprintf(why, why_bytes, "the name of a worker is 1 to 64 of a-z, 0-9, _ and -");
    return false;
}

/* A port, or the number of the replica in it: "8080", "80%i". */
static bool
is_port(const char *text)
{
    char digits[16];
    size_t n = 0;
    for (const char *at = text; *at != '\0' && n < sizeof digits - 1; at++) {
        if (at[0] == '%' && at[1] == 'i') {
            digits[n++] = '1';
            at++;
        } else {
            digits[n++] = *at;
        }
    }
    digits[n] = '\0';
    const long port = strtol(digits, NULL, 10);
    return n > 0 && n <= 5 && strspn(digits, "0123456789") == n && port >= 1 && port <= PORT_MAX;
}

static bool
is_tcp(const char *at)
{
    const char *colon = strrchr(at, ':');
    return is_port(colon != NULL ? colon + 1 : at) && colon != at;
}

bool
config_ready_check(const char *text, char *why, size_t why_bytes)
{
    static const char *const words[] = {"attach", "started", "notify", NULL};
    for (size_t i = 0; words[i] != NULL; i++) {
        if (strcmp(text, words[i]) == 0) {
            return true;
        }
    }
    if (strncmp(text, "log:", 4) == 0 && text[4] != '\0') {
        return true;
    }
    if (strncmp(text, "tcp:", 4) == 0 && is_tcp(text + 4)) {
        return true;
    }
    snprintf(why, why_bytes, "it is attach, started, notify, tcp:PORT, tcp:HOST:PORT or log:TEXT");
    return false;
}

/* ---- all workers together ---------------------------------------------------------------------
 */

static size_t
find_draft(const struct config_reader *reader, const char *name)
{
    size_t i = 0;
    while (i < reader->draft_count && strcmp(reader->drafts[i].worker.name, name) != 0) {
        i++;
    }
    return i;
}

static int
check_name(struct config_reader *reader, const struct config_draft *draft, const char *key,
           const char *name)
{
    if (strcmp(draft->worker.name, name) == 0) {
        return config_fail(reader, mark_of(draft, key), "'%s' of worker '%s' names itself", key,
                           draft->worker.name);
    }
    if (find_draft(reader, name) < reader->draft_count) {
        return 0;
    }
    struct closest near = {.word = name};
    for (size_t i = 0; i < reader->draft_count; i++) {
        closest_offer(&near, reader->drafts[i].worker.name);
    }
    return config_fail(reader, mark_of(draft, key),
                       "'%s' of worker '%s' names '%s', and there is no such worker%s%s%s", key,
                       draft->worker.name, name, near.best != NULL ? "; did you mean '" : "",
                       near.best != NULL ? near.best : "", near.best != NULL ? "'?" : "");
}

static int
check_names(struct config_reader *reader, const struct config_draft *draft)
{
    const struct config_worker *worker = &draft->worker;
    int rc = 0;
    for (size_t i = 0; i < worker->depends_on.count && rc == 0; i++) {
        rc = check_name(reader, draft, "depends_on", worker->depends_on.items[i].name);
    }
    for (size_t i = 0; i < worker->restart_with.count && rc == 0; i++) {
        rc = check_name(reader, draft, "restart_with", worker->restart_with.items[i]);
    }
    return rc;
}

static size_t
count_others(const struct config_draft *draft, bool depends)
{
    return depends ? draft->worker.depends_on.count : draft->worker.restart_with.count;
}

static const char *
other(const struct config_draft *draft, bool depends, size_t i)
{
    return depends ? draft->worker.depends_on.items[i].name : draft->worker.restart_with.items[i];
}

/* Take those away that stand on nobody who is left, again and again: who then is left stands in a
 * circle, or on one. */
static size_t
without_circles(const struct config_reader *reader, bool depends, bool *left)
{
    size_t count = reader->draft_count;
    for (bool goes_on = true; goes_on;) {
        goes_on = false;
        for (size_t i = 0; i < reader->draft_count; i++) {
            bool stands = false;
            for (size_t k = 0; k < count_others(&reader->drafts[i], depends) && left[i]; k++) {
                stands |= left[find_draft(reader, other(&reader->drafts[i], depends, k))];
            }
            if (left[i] && !stands) {
                left[i] = false;
                count--;
                goes_on = true;
            }
        }
    }
    return count;
}

/* The first of those that are left on whom this one stands. */
static size_t
step(const struct config_reader *reader, bool depends, const bool *left, size_t at)
{
    const struct config_draft *draft = &reader->drafts[at];
    size_t to = at;
    for (size_t k = 0; k < count_others(draft, depends) && to == at; k++) {
        const size_t next = find_draft(reader, other(draft, depends, k));
        to = left[next] ? next : to;
    }
    return to;
}

/* Write "a, b, a"; the place of a. As many steps as there are workers lead into a circle. */
static size_t
write_circle(const struct config_reader *reader, bool depends, const bool *left, char *out,
             size_t out_bytes)
{
    size_t at = 0;
    while (!left[at]) {
        at++;
    }
    for (size_t i = 0; i < reader->draft_count; i++) {
        at = step(reader, depends, left, at);
    }
    size_t used = (size_t)snprintf(out, out_bytes, "%s", reader->drafts[at].worker.name);
    size_t next = at;
    do {
        next = step(reader, depends, left, next);
        if (used + CONFIG_NAME_BYTES_MAX + 3 < out_bytes) {
            used += (size_t)snprintf(out + used, out_bytes - used, ", %s",
                                     reader->drafts[next].worker.name);
        }
    } while (next != at);
    return at;
}

static int
check_circles(struct config_reader *reader, bool depends)
{
    const char *key = depends ? "depends_on" : "restart_with";
    bool *left = malloc(reader->draft_count + 1);
    char circle[600] = "";
    int rc = 0;
    if (left == NULL) {
        return config_fail_nomem(reader);
    }
    memset(left, true, reader->draft_count + 1);
    if (without_circles(reader, depends, left) > 0) {
        const size_t at = write_circle(reader, depends, left, circle, sizeof circle);
        rc = config_fail(reader, mark_of(&reader->drafts[at], key), "'%s' goes in a circle: %s",
                         key, circle);
    }
    free(left);
    return rc;
}

/* Somebody has to answer. */
static int
check_heartbeat(struct config_reader *reader, const struct config_draft *draft)
{
    const char *ready = draft->worker.ready;
    if (draft->worker.heartbeat_ms == 0 || strcmp(ready, "attach") == 0 ||
        strcmp(ready, "notify") == 0) {
        return 0;
    }
    return config_fail(reader, mark_of(draft, "heartbeat"),
                       "'heartbeat' of worker '%s' needs ready: attach or ready: notify, because "
                       "nobody else answers",
                       draft->worker.name);
}

int
config_check_depends(struct config_reader *reader)
{
    int rc = 0;
    for (size_t i = 0; i < reader->draft_count && rc == 0; i++) {
        rc = check_names(reader, &reader->drafts[i]);
        rc = rc == 0 ? check_heartbeat(reader, &reader->drafts[i]) : rc;
    }
    rc = rc == 0 ? check_circles(reader, true) : rc;
    return rc == 0 ? check_circles(reader, false) : rc;
}
