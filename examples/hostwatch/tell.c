/* How `watch` tells what it found: see tell.h. */
#include "tell.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

void
tell_string(prong_writer *w, const char *key, const char *text)
{
    prong_writer_key(w, key);
    prong_writer_string(w, text);
}

void
tell_double(prong_writer *w, const char *key, double value)
{
    prong_writer_key(w, key);
    prong_writer_double(w, value);
}

static void
tell_int(prong_writer *w, const char *key, int64_t value)
{
    prong_writer_key(w, key);
    prong_writer_int(w, value);
}

/* Publish what was written. A post does not wait, and what is lost here was printed or counted. */
static void
post(struct tell *t, const char *topic)
{
    prong_value payload;
    if (prong_writer_finish(t->writer, &payload) == PRONG_OK) {
        (void)prong_post(t->hub, topic, &payload);
    }
}

/* ---- slots ---------------------------------------------------------------------------------- */

static void
post_slot(struct tell *t)
{
    prong_writer *w = t->writer;
    prong_writer_reset(w);
    prong_writer_map(w, 4);
    tell_int(w, "from_us", t->slot * TELL_SLOT_US);
    prong_writer_key(w, "by");
    prong_writer_map(w, t->replicas);
    for (uint32_t i = 0; i < t->replicas; i++) {
        tell_int(w, t->by[i].name, (int64_t)t->by[i].answers);
    }
    tell_int(w, "again", (int64_t)t->again);
    tell_int(w, "failed", (int64_t)t->failed);
    post(t, "watch.answers");
}

void
tell_enter(struct tell *t, int64_t time_us)
{
    const int64_t slot = time_us / TELL_SLOT_US;
    if (t->slot == slot) {
        return;
    }
    if (t->slot != 0) {
        post_slot(t);
    }
    *t = (struct tell){.hub = t->hub, .writer = t->writer, .slot = slot};
}

void
tell_count(struct tell *t, const char *replica)
{
    uint32_t i = 0;
    while (i < t->replicas && strcmp(t->by[i].name, replica) != 0) {
        i++;
    }
    if (i == TELL_REPLICAS_MAX) {
        return; /* more than anybody started here */
    }
    if (i == t->replicas) {
        t->replicas++;
        (void)snprintf(t->by[i].name, sizeof t->by[i].name, "%s", replica);
    }
    t->by[i].answers++;
}

/* ---- episodes ------------------------------------------------------------------------------- */

enum { CLOCK_BYTES = 32 };

/* "17:13:04.952", in UTC. */
static const char *
clock_text(int64_t time_us, char text[CLOCK_BYTES])
{
    struct tm tm;
    const time_t seconds = (time_t)(time_us / 1000000);
    const size_t len = strftime(text, CLOCK_BYTES, "%H:%M:%S", gmtime_r(&seconds, &tm));
    (void)snprintf(text + len, CLOCK_BYTES - len, ".%03d", (int)(time_us / 1000 % 1000));
    return text;
}

static void
print_change(const struct tell_sample *s, const struct episode *e, bool begins)
{
    char now[CLOCK_BYTES], began[CLOCK_BYTES];
    (void)printf("%s  %-12s %s since %s", clock_text(s->time_us, now), s->series,
                 begins ? "BEGIN" : "END  ", clock_text(e->began, began));
    if (begins) {
        (void)printf(": %.3f, usually %.3f +- %.3f, score %.1f", s->value, s->answer->expected,
                     s->answer->spread, s->answer->score);
    } else {
        (void)printf(": it took %.1f s, highest score %.1f", (double)(e->ended - e->began) / 1e6,
                     e->peak);
    }
    (void)printf(" (%s)\n", s->answer->replica);
    (void)fflush(stdout);
}

void
tell_change(struct tell *t, const struct tell_sample *s, const struct episode *e,
            enum episode_change change)
{
    const bool begins = change == EPISODE_BEGIN;
    prong_writer *w = t->writer;
    if (change == EPISODE_SAME) {
        return;
    }
    print_change(s, e, begins);
    prong_writer_reset(w);
    prong_writer_map(w, 9);
    tell_string(w, "state", begins ? "begin" : "end");
    tell_string(w, "series", s->series);
    tell_double(w, "value", s->value);
    tell_double(w, "expected", s->answer->expected);
    tell_double(w, "spread", s->answer->spread);
    tell_double(w, "score", begins ? s->answer->score : e->peak);
    tell_string(w, "replica", s->answer->replica);
    tell_int(w, "began_us", e->began);
    prong_writer_key(w, "ended_us");
    if (begins) {
        prong_writer_nil(w);
    } else {
        prong_writer_int(w, e->ended);
    }
    post(t, "watch.anomaly");
}
