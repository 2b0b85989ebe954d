/* The model of prong top: samples, rows, columns, and what keys do. No terminal and no hub. */
#include "client/cli/top.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/test.h"

static const char first[] =
    "{\"hub\":{\"name\":\"line\",\"version\":\"1\",\"epoch\":1,\"uptime_ms\":1000,\"connections\":"
    "2,"
    "\"calls\":1,\"payload_bytes\":0,\"events\":10},\"bounds_us\":[100,1000,10000],\"workers\":{"
    "\"cam\":{\"queued\":3,\"running\":1,\"calls\":100,\"cpu_ms\":500,\"rss_bytes\":2048,"
    "\"methods\":{"
    "\"a\":{\"duration\":{\"counts\":[10,0,0,0],\"sum_us\":1}},"
    "\"b\":{\"duration\":{\"counts\":[0,5,0,1],\"sum_us\":1}}},\"replicas\":["
    "{\"replica\":\"cam/"
    "0\",\"state\":\"ready\",\"pid\":11,\"restarts\":1,\"running\":1,\"calls\":60,"
    "\"cpu_ms\":300,\"rss_bytes\":1024,\"reason\":\"\",\"last_error\":\"killed by signal 9\"},"
    "{\"replica\":\"cam/"
    "1\",\"state\":\"backoff\",\"pid\":0,\"restarts\":4,\"running\":0,\"calls\":40,"
    "\"cpu_ms\":200,\"rss_bytes\":1024,\"reason\":\"exited with 3\",\"last_error\":\"\"}]},"
    "\"ai\":{\"queued\":0,\"running\":0,\"calls\":7,\"cpu_ms\":100,\"rss_bytes\":9000,\"methods\":{"
    "},"
    "\"replicas\":[{\"replica\":\"ai/"
    "0\",\"state\":\"busy\",\"pid\":12,\"calls\":7,\"cpu_ms\":100}]},"
    "\"gate\":{\"queued\":0,\"running\":0,\"calls\":0,\"cpu_ms\":0,\"rss_bytes\":0,\"methods\":{},"
    "\"replicas\":[]}}}";

static struct top_sample
sample(const char *json)
{
    struct top_sample s;
    prong_writer *w = prong_writer_new();
    prong_value value;
    char why[200] = "";
    cr_assert(w != NULL &&
                  prong_value_from_json(json, strlen(json), w, why, sizeof why) == PRONG_OK,
              "%s", why);
    cr_assert(prong_writer_finish(w, &value) == PRONG_OK && top_sample_read(&value, &s),
              "it is a result of hub.metrics");
    prong_writer_free(w);
    return s;
}

/* Two seconds later: cam had 20 calls more, 8 of them of up to 10 ms, and used one second of a
 * processor. */
static struct top_sample
later(void)
{
    struct top_sample s = sample(first);
    s.uptime_ms = 3000;
    s.events = 20;
    s.workers[0].calls = 120;
    s.workers[0].cpu_ms = 1500;
    s.workers[0].counts[0] += 12;
    s.workers[0].counts[2] += 8;
    s.replicas[0].calls = 80;
    s.replicas[0].cpu_ms = 1300;
    return s;
}

static bool
near(double a, double b)
{
    return a > b - 0.01 && a < b + 0.01;
}

Test(cli_top, a_sample_is_read)
{
    struct top_sample s = sample(first);
    cr_expect_str_eq(s.hub, "line");
    cr_expect(s.bucket_count == 4 && s.bounds_us[2] == 10000, "%zu buckets", s.bucket_count);
    cr_expect(s.worker_count == 3 && s.replica_count == 3, "%zu, %zu", s.worker_count,
              s.replica_count);
    cr_expect(s.workers[0].counts[0] == 10 && s.workers[0].counts[1] == 5 &&
                  s.workers[0].counts[3] == 1,
              "methods are summed");
    cr_expect(s.workers[0].replicas[1].restarts == 4 && s.workers[1].replicas == &s.replicas[2],
              "each has its own");
    cr_expect_str_eq(s.replicas[0].error, "killed by signal 9");
    cr_expect_str_eq(s.replicas[1].error, "exited with 3");
    top_sample_deinit(&s);
    top_sample_deinit(&s);
}

Test(cli_top, what_is_no_result_of_metrics_is_refused)
{
    static const char *const wrong[] = {"{}", "7", "{\"hub\":{},\"workers\":{}}",
                                        "{\"hub\":{},\"bounds_us\":[],\"workers\":7}"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct top_sample s;
        prong_value value;
        prong_writer *w = prong_writer_new();
        cr_assert(w != NULL &&
                      prong_value_from_json(wrong[i], strlen(wrong[i]), w, NULL, 0) == PRONG_OK,
                  "JSON");
        cr_assert(prong_writer_finish(w, &value) == PRONG_OK, "one object");
        cr_expect(!top_sample_read(&value, &s), "%s", wrong[i]);
        prong_writer_free(w);
    }
}

/* Of a hub of another version: more buckets than there is room for, and kinds that are not ours. */
Test(cli_top, a_strange_sample_does_no_harm)
{
    char json[2000] = "{\"hub\":[],\"bounds_us\":[1";
    size_t n = strlen(json);
    for (int i = 0; i < 200; i++) {
        n += (size_t)snprintf(json + n, sizeof json - n, ",2");
    }
    (void)snprintf(json + n, sizeof json - n,
                   "],\"workers\":{\"a\":{\"replicas\":{\"x\":7},\"methods\":[{\"duration\":"
                   "{\"counts\":[1,2,\"x\"]}}]}}}");
    struct top_sample s = sample(json);
    cr_expect(s.bucket_count == TOP_BUCKETS_MAX && s.worker_count == 1, "%zu", s.bucket_count);
    top_sample_deinit(&s);
}

Test(cli_top, streams_stand_in_the_totals_when_there_are_some)
{
    static const char streams[] =
        "{\"hub\":{\"epoch\":1,\"uptime_ms\":1000,\"memory\":{\"streams\":2,\"silent\":1}},"
        "\"bounds_us\":[1],\"workers\":{},\"streams\":{\"a\":{\"frames\":100},"
        "\"b\":{\"frames\":7}}}";
    char line[TOP_LINE_BYTES];
    struct top_sample before = sample(streams), now = sample(streams), none = sample(first);
    struct top_view view;
    struct top_rows rows;
    now.uptime_ms = 3000;
    now.frames += 50;
    top_view_init(&view);
    cr_assert(now.frames == 157 && top_rows_make(&before, &now, &view, &rows), "memory");
    top_text_totals(&now, &rows.totals, line);
    cr_expect(strstr(line, "  streams 2 (1 silent)  frames/s 25.0") != NULL, "%s", line);
    top_text_totals(&none, &rows.totals, line);
    cr_expect(strstr(line, "streams") == NULL, "%s", line);
    top_rows_deinit(&rows);
    top_sample_deinit(&before);
    top_sample_deinit(&now);
    top_sample_deinit(&none);
}

Test(cli_top, percentiles_lie_within_their_bucket)
{
    static const uint64_t bounds[] = {100, 1000, 10000};
    static const struct {
        uint64_t counts[4];
        double part, us;
    } rows[] = {
        {{0, 0, 0, 0}, 0.5, -1},      {{10, 0, 0, 0}, 0.5, 50},   {{10, 0, 0, 0}, 1, 100},
        {{5, 5, 0, 0}, 0.5, 100},     {{5, 5, 0, 0}, 0.75, 550},  {{0, 0, 4, 0}, 0.5, 5500},
        {{98, 0, 1, 1}, 0.99, 10000}, {{0, 0, 0, 7}, 0.5, 10000}, {{99, 0, 0, 1}, 0.5, 50.505},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const double us = top_percentile_us(rows[i].counts, bounds, 4, rows[i].part);
        cr_expect(near(us, rows[i].us), "row %zu: %f", i, us);
    }
}

Test(cli_top, rates_are_those_between_two_samples)
{
    struct top_sample before = sample(first), now = later();
    struct top_view view;
    struct top_rows rows;
    top_view_init(&view);
    memcpy(view.open[view.open_count++], "cam", 4);
    cr_assert(top_rows_make(&before, &now, &view, &rows), "memory");
    cr_assert(rows.count == 5, "%zu rows", rows.count);
    const struct top_row *ai = &rows.list[0], *cam = &rows.list[1], *replica = &rows.list[2];
    cr_expect_str_eq(ai->name, "ai");
    cr_expect(ai->pid == 12 && !ai->has_replicas && near(ai->calls_per_s, 0) && ai->p50_us < 0,
              "one replica, no calls");
    cr_expect_str_eq(cam->state, "1/2 up");
    cr_expect(cam->tone == TOP_BAD && cam->is_open && cam->pid == -1 && cam->restarts == 5,
              "one of two is down");
    cr_expect(near(cam->calls_per_s, 10) && near(cam->cpu_percent, 50), "%f, %f", cam->calls_per_s,
              cam->cpu_percent);
    cr_expect(near(cam->p50_us, 83.333) && near(cam->p99_us, 9775), "%f, %f", cam->p50_us,
              cam->p99_us);
    cr_expect_str_eq(cam->error, "killed by signal 9");
    cr_expect(replica->is_replica && near(replica->calls_per_s, 10) &&
                  near(replica->cpu_percent, 50) && replica->queued == -1,
              "its replica");
    cr_expect_str_eq(rows.list[4].name, "gate");
    cr_expect_str_eq(rows.list[4].state, "-");
    cr_expect(near(rows.totals.calls_per_s, 10) && near(rows.totals.events_per_s, 5) &&
                  rows.totals.rss_bytes == 11048,
              "totals");
    top_rows_deinit(&rows);
    top_sample_deinit(&before);
    top_sample_deinit(&now);
}

Test(cli_top, nothing_is_known_of_rates_without_a_sample_of_the_same_broker)
{
    struct top_sample before = sample(first), now = later();
    struct top_view view;
    struct top_rows rows;
    top_view_init(&view);
    before.epoch = 0;
    const struct top_sample *const pasts[] = {NULL, &before, &now};
    for (size_t i = 0; i < sizeof pasts / sizeof pasts[0]; i++) {
        cr_assert(top_rows_make(pasts[i], &now, &view, &rows), "memory");
        cr_expect(rows.list[1].calls_per_s < 0 && rows.list[1].cpu_percent < 0 &&
                      rows.list[1].p50_us < 0 && rows.totals.calls_per_s < 0,
                  "case %zu", i);
        top_rows_deinit(&rows);
    }
    top_sample_deinit(&before);
    top_sample_deinit(&now);
}

Test(cli_top, another_process_has_used_nothing_before)
{
    struct top_sample before = sample(first), now = later();
    struct top_view view;
    struct top_rows rows;
    top_view_init(&view);
    view.all_open = true;
    now.replicas[0].pid = 99;
    cr_assert(top_rows_make(&before, &now, &view, &rows), "memory");
    cr_expect(rows.list[2].cpu_percent < 0 && near(rows.list[2].calls_per_s, 10), "%f",
              rows.list[2].cpu_percent);
    top_rows_deinit(&rows);
    top_sample_deinit(&before);
    top_sample_deinit(&now);
}

/* ---- view ----------------------------------------------------------------------------------- */

/* The names of the rows, with a blank behind each. */
static const char *
names(const struct top_sample *now, const struct top_view *view)
{
    static char text[200];
    struct top_rows rows;
    cr_assert(top_rows_make(NULL, now, view, &rows), "memory");
    text[0] = '\0';
    for (size_t i = 0, n = 0; i < rows.count; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%s ", rows.list[i].name);
    }
    top_rows_deinit(&rows);
    return text;
}

static enum top_action
press(struct top_view *view, const struct top_sample *now, int key)
{
    struct top_rows rows;
    cr_assert(top_rows_make(NULL, now, view, &rows), "memory");
    const enum top_action action = top_view_key(view, &rows, 10, key);
    top_rows_deinit(&rows);
    return action;
}

static void
type(struct top_view *view, const struct top_sample *now, const char *keys)
{
    for (; *keys != '\0'; keys++) {
        cr_assert(press(view, now, *keys) == TOP_NOTHING, "%c", *keys);
    }
}

Test(cli_top, workers_are_sorted_and_replicas_stay_below_them)
{
    static const struct {
        enum top_column sort;
        bool reverse;
        const char *names;
    } rows[] = {{TOP_NAME, false, "ai cam cam/0 cam/1 gate "},
                {TOP_NAME, true, "gate cam cam/0 cam/1 ai "},
                {TOP_MEMORY, false, "ai cam cam/0 cam/1 gate "},
                {TOP_MEMORY, true, "gate cam cam/0 cam/1 ai "},
                {TOP_QUEUE, false, "cam cam/0 cam/1 ai gate "}, /* equal ones in the hub's order */
                {TOP_PID, false, "ai cam cam/0 cam/1 gate "},
                {TOP_ERROR, false, "cam cam/0 cam/1 ai gate "}};
    struct top_sample now = sample(first);
    struct top_view view;
    top_view_init(&view);
    view.all_open = true;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        view.sort = rows[i].sort;
        view.reverse = rows[i].reverse;
        cr_expect_str_eq(names(&now, &view), rows[i].names, "row %zu: %s", i, names(&now, &view));
    }
    top_sample_deinit(&now);
}

Test(cli_top, the_selection_follows_its_row)
{
    struct top_sample now = sample(first);
    struct top_view view;
    top_view_init(&view);
    type(&view, &now, "j");
    cr_expect_str_eq(view.selected, "cam");
    type(&view, &now, "sR"); /* by state */
    cr_expect_str_eq(view.selected, "cam");
    type(&view, &now, "<R ");
    cr_expect_str_eq(names(&now, &view), "gate cam cam/0 cam/1 ai ");
    type(&view, &now, "jj");
    cr_expect_str_eq(view.selected, "cam/1");
    type(&view, &now, " "); /* a replica closes its worker */
    cr_expect_str_eq(view.selected, "cam");
    cr_expect_str_eq(names(&now, &view), "gate cam ai ");
    type(&view, &now, "jjjj");
    cr_expect_str_eq(view.selected, "ai");
    type(&view, &now, "gkk");
    cr_expect_str_eq(view.selected, "gate");
    (void)press(&view, &now, TOP_KEY_END);
    cr_expect_str_eq(view.selected, "ai");
    (void)press(&view, &now, TOP_KEY_PAGE_UP);
    cr_expect_str_eq(view.selected, "gate");
    top_sample_deinit(&now);
}

Test(cli_top, a_filter_is_typed)
{
    struct top_sample now = sample(first);
    struct top_view view;
    char line[TOP_LINE_BYTES];
    struct top_rows none = {0};
    top_view_init(&view);
    type(&view, &now, "/aqm");
    top_view_line(&view, &none, line);
    cr_expect_str_eq(line, "filter: aqm_");
    cr_expect_str_eq(names(&now, &view), "");
    (void)press(&view, &now, TOP_KEY_BACK);
    (void)press(&view, &now, TOP_KEY_BACK);
    type(&view, &now, "m");
    (void)press(&view, &now, TOP_KEY_ENTER);
    cr_expect_str_eq(names(&now, &view), "cam ");
    cr_expect(view.mode == TOP_MODE_LIST, "keys are keys again");
    (void)press(&view, &now, TOP_KEY_ESCAPE);
    cr_expect_str_eq(names(&now, &view), "ai cam gate ");
    type(&view, &now, "/");
    for (int i = 0; i < 100; i++) {
        type(&view, &now, "x");
    }
    cr_expect(strlen(view.filter) == TOP_FILTER_BYTES - 1, "it has an end");
    top_sample_deinit(&now);
}

Test(cli_top, what_does_harm_is_asked_about)
{
    struct top_sample now = sample(first);
    struct top_view view;
    struct top_rows none = {0};
    char line[TOP_LINE_BYTES];
    top_view_init(&view);
    type(&view, &now, "jr");
    top_view_line(&view, &none, line);
    cr_expect_str_eq(line, "restart cam? (y/n)");
    cr_expect(press(&view, &now, 'q') == TOP_NOTHING, "no");
    cr_expect(view.mode == TOP_MODE_LIST, "asked once");
    cr_expect(press(&view, &now, 'y') == TOP_NOTHING, "too late");
    type(&view, &now, " jx");
    cr_expect(press(&view, &now, 'y') == TOP_STOP, "yes");
    cr_expect_str_eq(view.target, "cam/0");
    cr_expect(press(&view, &now, 'S') == TOP_START, "starting is not asked about");
    cr_expect(press(&view, &now, 'q') == TOP_QUIT, "the end");
    cr_expect_str_eq(top_action_name(TOP_START), "start");
    top_sample_deinit(&now);
}

Test(cli_top, without_workers_keys_do_nothing)
{
    struct top_rows none = {0};
    struct top_view view;
    top_view_init(&view);
    static const int keys[] = {'j', 'k', ' ',  'r',          'x', 'S', 'g',
                               'G', 's', 0x7f, TOP_KEY_DOWN, 1,   300, TOP_KEY_END};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        cr_expect(top_view_key(&view, &none, 0, keys[i]) == TOP_NOTHING, "key %d", keys[i]);
        top_view_follow(&view, &none, 0);
    }
    cr_expect(view.mode == TOP_MODE_LIST && view.scroll == 0, "as it was");
}

Test(cli_top, the_selected_row_is_scrolled_to)
{
    struct top_row list[20];
    char room[20][8];
    struct top_rows rows = {.list = list, .count = 20};
    struct top_view view;
    static const struct {
        size_t selected, shown, scroll;
    } steps[] = {{0, 5, 0}, {4, 5, 0},  {5, 5, 1},   {19, 5, 15}, {16, 5, 15},
                 {2, 5, 2}, {2, 30, 0}, {19, 1, 19}, {3, 0, 3}};
    top_view_init(&view);
    for (size_t i = 0; i < 20; i++) {
        (void)snprintf(room[i], sizeof room[i], "w%zu", i);
        list[i] = (struct top_row){.name = room[i], .error = ""};
    }
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        (void)snprintf(view.selected, sizeof view.selected, "%s", room[steps[i].selected]);
        top_view_follow(&view, &rows, steps[i].shown);
        cr_expect(view.scroll == steps[i].scroll, "step %zu: %zu", i, view.scroll);
    }
}

/* ---- lines ---------------------------------------------------------------------------------- */

Test(cli_top, columns_are_left_out_where_there_is_no_room)
{
    struct top_layout layout;
    for (int width = 1; width <= 400; width++) {
        int end = 0;
        top_layout_make(width, &layout);
        for (enum top_column c = 0; c < TOP_COLUMNS; c++) {
            cr_expect(layout.width[c] == 0 || layout.at[c] >= end, "width %d", width);
            end = layout.width[c] > 0 ? layout.at[c] + layout.width[c] + 1 : end;
        }
        cr_expect(layout.width[TOP_NAME] > 0 && layout.width[TOP_STATE] > 0, "these stay");
        cr_expect(end - 1 <= width || width < 25, "%d in %d", end - 1, width);
    }
    top_layout_make(80, &layout);
    cr_expect(layout.width[TOP_ERROR] == 0 && layout.width[TOP_CPU] > 0 &&
                  layout.width[TOP_CALLS] > 0 && layout.width[TOP_P99] > 0 &&
                  layout.width[TOP_QUEUE] > 0 && layout.width[TOP_RESTARTS] > 0,
              "what matters fits into 80");
    top_layout_make(120, &layout);
    cr_expect(layout.width[TOP_ERROR] > 0 && layout.width[TOP_P50] > 0, "all fits into 120");
}

Test(cli_top, a_line_says_what_the_row_does)
{
    struct top_sample now = sample(first);
    struct top_view view;
    struct top_rows rows;
    struct top_layout layout;
    char line[TOP_LINE_BYTES];
    top_view_init(&view);
    view.sort = TOP_CALLS;
    top_layout_make(100, &layout);
    cr_assert(top_rows_make(NULL, &now, &view, &rows), "memory");
    top_text_heading(&layout, &view, line);
    cr_expect_str_eq(
        line,
        "WORKER                   STATE        PID   CPU%  MEMORY CALLS/Sv    P50    P99 "
        " QUEUE  RUN RESTARTS",
        "%s", line);
    top_text_row(&layout, &rows.list[0], line);
    cr_expect_str_eq(
        line,
        "+cam                     1/2 up         -      -    2.0K        -      -      - "
        "     3    1        5",
        "%s", line);
    top_text_hub(&now, line);
    cr_expect_str_eq(line, "hub line  prong 1  up 1s  broker 1  workers 3");
    top_rows_deinit(&rows);
    top_sample_deinit(&now);
}

/* What a worker calls itself or why it died may hold anything. */
Test(cli_top, no_line_commands_the_terminal)
{
    struct top_layout layout;
    char line[TOP_LINE_BYTES];
    const struct top_row row = {
        .name = "w", .error = "\033[2Jgone \xc3\xa4\xff\n", .p50_us = 1e15, .cpu_percent = 1e300};
    top_layout_make(400, &layout);
    top_text_row(&layout, &row, line);
    for (const char *p = line; *p != '\0'; p++) {
        cr_expect((unsigned char)*p >= ' ' && (unsigned char)*p < 127, "byte %d",
                  (unsigned char)*p);
    }
}

Test(cli_top, columns_have_names)
{
    for (enum top_column c = 0; c < TOP_COLUMNS; c++) {
        cr_expect(top_column_find(top_column_name(c)) == c, "%s", top_column_name(c));
    }
    cr_expect(top_column_find("shape") == TOP_COLUMNS, "there is none");
}
