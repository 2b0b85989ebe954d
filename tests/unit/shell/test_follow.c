/* Questions about lines: from where on, how many were lost, and those that wait. */
#include "broker/shell/follow.h"
#include "proto/mp.h"
#include "proto/name.h"
#include "tests/support/dir.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { MS = 1000000 };

static const struct log quiet = {.level = LOG_ERROR};

struct rig {
    struct streams streams;
    struct follows follows;
    struct follow_question question;
    char after[2000]; /* the place of the last answer */
    char lines[4000]; /* its texts: "a/0 one|" */
    size_t count;     /* of its lines */
    uint64_t lost;
    bool older;
    uint64_t answered; /* the call of the last answer to a question that waited */
    int64_t now_ns;
    const char *refused;
};

/* The value of a key in a map. */
static struct span
value_of(struct span map, const char *key)
{
    struct mp_item head, name;
    struct span value = {0};
    cr_assert(mp_next(&map, &head) && head.kind == MP_MAP, "no map");
    for (uint32_t i = 0; i < head.count; i++) {
        cr_assert(mp_next(&map, &name) && mp_skip(&map, &value), "half a map");
        if (span_is(name.bytes, key)) {
            return value;
        }
    }
    return (struct span){0};
}

static struct mp_item
item_of(struct span map, const char *key)
{
    struct mp_item item = {0};
    struct span value = value_of(map, key);
    cr_assert(mp_next(&value, &item), "no %s", key);
    return item;
}

static void
take_answer(struct rig *r, struct span answer)
{
    struct span lines = value_of(answer, "lines"), line;
    struct mp_item head, item;
    size_t n = 0;
    item = item_of(answer, "after");
    (void)snprintf(r->after, sizeof r->after, "%.*s", (int)item.bytes.len,
                   (const char *)item.bytes.data);
    r->lost = item_of(answer, "lost").uint;
    r->older = item_of(answer, "older").boolean;
    cr_assert(mp_next(&lines, &head) && head.kind == MP_ARRAY, "no list");
    r->lines[0] = '\0';
    r->count = head.count;
    for (uint32_t i = 0; i < head.count && n < sizeof r->lines - 100; i++) {
        cr_assert(mp_skip(&lines, &line), "half a list");
        const struct mp_item who = item_of(line, "replica"), text = item_of(line, "line");
        n += (size_t)snprintf(r->lines + n, sizeof r->lines - n, "%.*s %.*s|", (int)who.bytes.len,
                              (const char *)who.bytes.data, (int)text.bytes.len,
                              (const char *)text.bytes.data);
    }
}

static void
answered(void *context, uint64_t call, struct span payload)
{
    struct rig *r = context;
    r->answered = call;
    take_answer(r, payload);
}

static void
begin(struct rig *r, uint64_t epoch)
{
    streams_init(&r->streams, "log", &quiet, 0);
    r->follows =
        (struct follows){.streams = &r->streams, .epoch = epoch, .answer = answered, .context = r};
    r->question = (struct follow_question){.lines = 20, .level = LOG_DEBUG, .follows = true};
    r->now_ns = 1;
}

static void
end(struct rig *r)
{
    follows_deinit(&r->follows);
    streams_deinit(&r->streams);
}

static void
say_at(struct rig *r, const char *worker, uint32_t replica, enum log_level level, const char *text)
{
    struct stream *s = stream_get(&r->streams, worker, replica);
    const struct line line = {.time_us = streams_stamp(&r->streams, 1000),
                              .level = level,
                              .pid = 7,
                              .call = "",
                              .text = text,
                              .len = strlen(text)};
    cr_assert(s != NULL, "no memory");
    stream_keep(&r->streams, s, &line);
}

static void
say(struct rig *r, const char *worker, uint32_t replica, const char *text)
{
    say_at(r, worker, replica, LOG_INFO, text);
}

/* The names each end with a '|', which becomes the NUL. */
static enum follow_outcome
ask(struct rig *r, const char *names)
{
    char list[200];
    struct buf out = {0};
    (void)snprintf(list, sizeof list, "%s", names);
    for (char *p = list; (p = strchr(p, '|')) != NULL; p++) {
        *p = '\0';
    }
    r->refused = NULL;
    r->question.names = (struct span){(const uint8_t *)list, strlen(names)};
    const enum follow_outcome outcome =
        follow_ask(&r->follows, &r->question, r->now_ns, &out, &r->refused);
    if (outcome == FOLLOW_ANSWERED) {
        take_answer(r, buf_span(&out));
    }
    buf_deinit(&out);
    return outcome;
}

/* Go on where the last answer ended. */
static enum follow_outcome
go_on(struct rig *r, const char *names)
{
    r->question.after = span_text(r->after);
    return ask(r, names);
}

Test(follow, all_workers_or_some_come_in_the_order_in_which_they_wrote)
{
    struct rig r = {0};
    begin(&r, 1);
    say(&r, "a", 0, "1");
    say(&r, "b", 0, "2");
    say(&r, "a", 1, "3");
    say(&r, "c", 0, "4");
    cr_assert(ask(&r, "") == FOLLOW_ANSWERED, "no answer");
    cr_expect_str_eq(r.lines, "a/0 1|b/0 2|a/1 3|c/0 4|", "%s", r.lines);
    (void)ask(&r, "a|c|");
    cr_expect_str_eq(r.lines, "a/0 1|a/1 3|c/0 4|", "%s", r.lines);
    (void)ask(&r, "a/1|b/0|nobody|");
    cr_expect_str_eq(r.lines, "b/0 2|a/1 3|", "%s", r.lines);
    r.question.lines = 2;
    (void)ask(&r, "");
    cr_expect_str_eq(r.lines, "a/1 3|c/0 4|", "the last two: %s", r.lines);
    r.question.lines = 0;
    (void)ask(&r, "");
    cr_expect_str_eq(r.lines, "", "none: %s", r.lines);
    end(&r);
}

Test(follow, what_follows_is_told_once_and_of_those_that_were_named)
{
    struct rig r = {0};
    begin(&r, 1);
    say(&r, "a", 0, "1");
    (void)ask(&r, "a|b/0|");
    say(&r, "a", 0, "2");
    say(&r, "c", 0, "not asked for");
    say(&r, "b", 0, "3");
    say(&r, "b", 1, "not asked for");
    cr_assert(go_on(&r, "a|b/0|") == FOLLOW_ANSWERED, "no answer");
    cr_expect_str_eq(r.lines, "a/0 2|b/0 3|", "%s", r.lines);
    (void)go_on(&r, "a|b/0|");
    cr_expect(r.lines[0] == '\0' && r.lost == 0, "again: %s", r.lines);
    say(&r, "b", 0, "4");
    (void)go_on(&r, "a|b/0|");
    cr_expect_str_eq(r.lines, "b/0 4|", "%s", r.lines);
    end(&r);
}

Test(follow, a_question_waits_for_a_line_that_is_important_enough)
{
    struct rig r = {0};
    begin(&r, 1);
    (void)ask(&r, "");
    r.question.wait_ms = 500;
    r.question.call = 42;
    r.question.level = LOG_WARN;
    cr_assert(go_on(&r, "") == FOLLOW_WAITS, "it did not wait");
    cr_expect(follows_deadline_ns(&r.follows) == r.now_ns + 500 * INT64_C(1000000), "its time");
    follows_turn(&r.follows, false, r.now_ns);
    say(&r, "a", 0, "an info");
    follows_turn(&r.follows, true, r.now_ns);
    cr_expect(r.answered == 0, "it is not wanted");
    say_at(&r, "a", 0, LOG_ERROR, "an error");
    say(&r, "a", 0, "another info");
    follows_turn(&r.follows, true, r.now_ns);
    cr_expect(r.answered == 42, "no answer");
    cr_expect_str_eq(r.lines, "a/0 an error|", "%s", r.lines);
    cr_expect(r.lost == 0, "%llu are said to be lost", (unsigned long long)r.lost);
    cr_expect(follows_deadline_ns(&r.follows) == INT64_MAX, "it waits on");
    end(&r);
}

Test(follow, a_question_that_waited_in_vain_is_answered_with_nothing)
{
    struct rig r = {0};
    begin(&r, 1);
    (void)ask(&r, "a|");
    r.question.wait_ms = 500;
    r.question.call = 42;
    cr_assert(go_on(&r, "a|") == FOLLOW_WAITS, "it did not wait");
    follows_turn(&r.follows, false, r.now_ns + 499 * MS);
    cr_expect(r.answered == 0, "too early");
    follows_turn(&r.follows, false, r.now_ns + 500 * MS);
    cr_expect(r.answered == 42 && r.lines[0] == '\0', "%s", r.lines);
    /* And its place is as good as the one before. */
    say(&r, "a", 0, "later");
    (void)go_on(&r, "a|");
    cr_expect_str_eq(r.lines, "a/0 later|", "%s", r.lines);
    end(&r);
}

/* Two who follow the same 5000 lines of three workers, of which 1000 each stay. */
Test(follow, what_was_lost_is_counted_exactly_for_all_and_for_some)
{
    static const char *const names[] = {"", "b|a/0|"}, *const workers[] = {"a", "b", "c"};
    struct rig r = {0};
    char text[20], places[2][2000];
    begin(&r, 1);
    say(&r, "a", 0, "first");
    for (int k = 0; k < 2; k++) {
        (void)ask(&r, names[k]);
        (void)snprintf(places[k], sizeof places[k], "%s", r.after);
    }
    for (int i = 0; i < 5000; i++) {
        (void)snprintf(text, sizeof text, "%d", i);
        say(&r, workers[i % 3], 0, text);
    }
    for (int k = 0; k < 2; k++) {
        size_t got = 0, lost = 0;
        memcpy(r.after, places[k], sizeof r.after); /* it came from there */
        do {
            (void)go_on(&r, names[k]);
            cr_assert(r.count <= FOLLOW_LINES_MAX, "%zu lines", r.count);
            got += r.count;
            lost += r.lost;
        } while (r.count > 0);
        cr_expect(got == (k == 0 ? 3000U : 2000U), "%zu lines came", got);
        cr_expect(lost == (k == 0 ? 2000U : 1334U), "%zu were lost", lost);
        r.question.after = (struct span){0};
    }
    end(&r);
}

Test(follow, a_worker_that_is_new_or_comes_again_is_told_from_its_first_line)
{
    struct rig r = {0};
    begin(&r, 1);
    say(&r, "other", 0, "1");
    (void)ask(&r, "a|");
    say(&r, "other", 0, "2");
    say(&r, "a", 0, "first");
    (void)go_on(&r, "a|");
    cr_expect_str_eq(r.lines, "a/0 first|", "%s", r.lines);
    cr_expect(r.lost == 0, "%llu are said to be lost", (unsigned long long)r.lost);
    streams_deinit(&r.streams); /* it is removed, and everything of it */
    say(&r, "a", 0, "of another");
    (void)go_on(&r, "a|");
    cr_expect_str_eq(r.lines, "a/0 of another|", "%s", r.lines);
    cr_expect(r.lost == 0, "%llu are said to be lost", (unsigned long long)r.lost);
    end(&r);
}

Test(follow, since_leaves_out_what_is_older_and_says_when_there_was_more)
{
    struct rig r = {0};
    begin(&r, 1);
    for (int i = 0; i < STREAM_LINES_MAX; i++) {
        say(&r, "a", 0, "x");
    }
    r.question.since_us = 1000 + STREAM_LINES_MAX - 3;
    (void)ask(&r, "");
    cr_expect_str_eq(r.lines, "a/0 x|a/0 x|a/0 x|", "%s", r.lines);
    cr_expect(!r.older, "nothing went");
    say(&r, "a", 0, "y");
    r.question.since_us = 1000;
    (void)ask(&r, "");
    cr_expect(r.older, "one went that is not older");
    r.question.since_us = 1001;
    (void)ask(&r, "");
    cr_expect(!r.older, "what went is older");
    end(&r);
}

Test(follow, the_place_of_an_earlier_broker_is_found_by_time_and_nothing_comes_twice,
     .init = dir_enter, .fini = dir_leave)
{
    struct rig r = {0};
    char after[2000];
    begin(&r, 1);
    say(&r, "a", 0, "1");
    say(&r, "a", 0, "2");
    (void)ask(&r, "a|");
    (void)snprintf(after, sizeof after, "%s", r.after);
    const unsigned seen_us = 1001;
    cr_assert(strstr(after, "1.1001.") == after, "%s", after);
    end(&r);
    /* The next broker finds these two in the file, one more that was not told yet, and goes on. */
    begin(&r, 2);
    char file[500];
    (void)snprintf(file, sizeof file,
                   "1970-01-01T00:00:00.%06uZ INFO a/0[7#1] 1\n"
                   "1970-01-01T00:00:00.%06uZ INFO a/0[7#1] 2\n"
                   "1970-01-01T00:00:00.%06uZ INFO a/0[7#1] 3\n",
                   seen_us - 1, seen_us, seen_us + 1);
    cr_assert(mkdir("log", 0700) == 0, "mkdir");
    dir_write("log/a.0.log", file, 0600);
    logfile_mark_past(&stream_get(&r.streams, "a", 0)->file);
    r.streams.last_time_us = seen_us + 1;
    say(&r, "a", 0, "4");
    say(&r, "b", 0, "not asked for");
    (void)snprintf(r.after, sizeof r.after, "%s", after);
    (void)go_on(&r, "a|");
    cr_expect_str_eq(r.lines, "a/0 3|a/0 4|", "%s", r.lines);
    cr_expect(r.lost == 0, "%llu are said to be lost", (unsigned long long)r.lost);
    (void)go_on(&r, "a|");
    cr_expect_str_eq(r.lines, "", "again: %s", r.lines);
    say(&r, "a", 0, "5");
    (void)go_on(&r, "a|");
    cr_expect_str_eq(r.lines, "a/0 5|", "%s", r.lines);
    end(&r);
}

Test(follow, a_place_that_is_none_is_refused)
{
    static const char *const places[] = {"x",      "1",      "1.2",     "1.2.",
                                         "1..3",   ".1.2.3", "1.2.3.4", "-1.2.3",
                                         "1.2.3x", "1.2.3 ", "1,2,3",   "1.2.333333333333333333333",
                                         " 1.2.3"};
    struct rig r = {0};
    begin(&r, 1);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        (void)snprintf(r.after, sizeof r.after, "%s", places[i]);
        cr_expect(go_on(&r, "") == FOLLOW_REFUSED && r.refused != NULL, "%s", places[i]);
    }
    (void)snprintf(r.after, sizeof r.after, "1.2.3");
    cr_expect(go_on(&r, "a|b|") == FOLLOW_REFUSED, "of other workers");
    /* One that is ahead of everything is no reason to wait for ever. */
    (void)snprintf(r.after, sizeof r.after, "1.99999999999999999999.18446744073709551615");
    (void)go_on(&r, "");
    say(&r, "a", 0, "here");
    (void)go_on(&r, "");
    cr_expect_str_eq(r.lines, "a/0 here|", "%s", r.lines);
    end(&r);
}

Test(follow, of_too_many_that_wait_the_one_that_waits_longest_is_answered)
{
    struct rig r = {0};
    begin(&r, 1);
    (void)ask(&r, "");
    char after[2000];
    (void)snprintf(after, sizeof after, "%s", r.after);
    r.question.wait_ms = 60000;
    for (uint64_t i = 1; i <= FOLLOW_WAITING_MAX + 1; i++) {
        r.question.call = i;
        (void)snprintf(r.after, sizeof r.after, "%s", after);
        cr_assert(go_on(&r, "") == FOLLOW_WAITS, "%llu", (unsigned long long)i);
    }
    follows_turn(&r.follows, false, r.now_ns);
    cr_expect(r.answered == 1, "%llu was answered", (unsigned long long)r.answered);
    cr_expect(r.follows.waiting_count == FOLLOW_WAITING_MAX, "%zu wait", r.follows.waiting_count);
    end(&r);
}
