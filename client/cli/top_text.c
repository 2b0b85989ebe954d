/* Columns and lines of prong top: see top.h. */
#include "client/cli/top.h"

#include <stdio.h>
#include <string.h>

#include "client/cli/table.h"
#include "client/cli/unit.h"

enum { CELL_BYTES = 160, RATE_BYTES = 32, NAME_WIDTH_MAX = 30 };

/* ---- cells ---------------------------------------------------------------------------------- */

static void
print_name(const struct top_row *row, char out[CELL_BYTES])
{
    const char *mark = row->is_replica ? "  " : row->is_open ? "-" : row->has_replicas ? "+" : "";
    (void)snprintf(out, CELL_BYTES, "%s%s", mark, row->name);
}

static void
print_state(const struct top_row *row, char out[CELL_BYTES])
{
    (void)snprintf(out, CELL_BYTES, "%s", row->state);
}

static void
print_pid(const struct top_row *row, char out[CELL_BYTES])
{
    (void)snprintf(out, CELL_BYTES, "%lld", (long long)row->pid);
}

static void
print_memory(const struct top_row *row, char out[CELL_BYTES])
{
    char text[UNIT_SIZE_BYTES];
    unit_size(row->rss_bytes, text);
    (void)snprintf(out, CELL_BYTES, "%s", text);
}

static void
print_cpu(const struct top_row *row, char out[CELL_BYTES])
{
    (void)snprintf(out, CELL_BYTES, "%.1f", row->cpu_percent);
}

static void
print_calls(const struct top_row *row, char out[CELL_BYTES])
{
    (void)snprintf(out, CELL_BYTES, "%.1f", row->calls_per_s);
}

/* At most six characters: "50us", "2.5ms", "999ms", "60.0s". */
static void
print_time(double us, char out[CELL_BYTES])
{
    if (us < 999.5) {
        (void)snprintf(out, CELL_BYTES, "%.0fus", us);
    } else if (us < 999500) {
        (void)snprintf(out, CELL_BYTES, us < 99950 ? "%.1fms" : "%.0fms", us / 1000);
    } else {
        (void)snprintf(out, CELL_BYTES, "%.1fs", us / 1000000);
    }
}

static void
print_p50(const struct top_row *row, char out[CELL_BYTES])
{
    print_time(row->p50_us, out);
}

static void
print_p99(const struct top_row *row, char out[CELL_BYTES])
{
    print_time(row->p99_us, out);
}

static void
print_queue(const struct top_row *row, char out[CELL_BYTES])
{
    (void)snprintf(out, CELL_BYTES, "%lld", (long long)row->queued);
}

static void
print_running(const struct top_row *row, char out[CELL_BYTES])
{
    (void)snprintf(out, CELL_BYTES, "%llu", (unsigned long long)row->running);
}

static void
print_restarts(const struct top_row *row, char out[CELL_BYTES])
{
    (void)snprintf(out, CELL_BYTES, "%llu", (unsigned long long)row->restarts);
}

static void
print_error(const struct top_row *row, char out[CELL_BYTES])
{
    (void)snprintf(out, CELL_BYTES, "%s", row->error);
}

/* Numbers by which rows are compared; negative: not known, and shown as "-". */
static double
pid_of(const struct top_row *row)
{
    return (double)row->pid;
}

static double
cpu_of(const struct top_row *row)
{
    return row->cpu_percent;
}

static double
memory_of(const struct top_row *row)
{
    return (double)row->rss_bytes;
}

static double
calls_of(const struct top_row *row)
{
    return row->calls_per_s;
}

static double
p50_of(const struct top_row *row)
{
    return row->p50_us;
}

static double
p99_of(const struct top_row *row)
{
    return row->p99_us;
}

static double
queue_of(const struct top_row *row)
{
    return (double)row->queued;
}

static double
running_of(const struct top_row *row)
{
    return (double)row->running;
}

static double
restarts_of(const struct top_row *row)
{
    return (double)row->restarts;
}

/* ---- columns -------------------------------------------------------------------------------- */

/* `number` NULL: the column is text, written from the left. `need`: the smaller goes first when
 * there is no room; 0 stays. */
static const struct {
    const char *heading, *name;
    int width, need;
    void (*print)(const struct top_row *row, char out[CELL_BYTES]);
    double (*number)(const struct top_row *row);
} columns[TOP_COLUMNS] = {
    [TOP_NAME] = {"WORKER", "worker", 16, 0, print_name, NULL},
    [TOP_STATE] = {"STATE", "state", 8, 0, print_state, NULL},
    [TOP_PID] = {"PID", "pid", 7, 5, print_pid, pid_of},
    [TOP_CPU] = {"CPU%", "cpu", 6, 9, print_cpu, cpu_of},
    [TOP_MEMORY] = {"MEMORY", "memory", 7, 7, print_memory, memory_of},
    [TOP_CALLS] = {"CALLS/S", "calls", 8, 10, print_calls, calls_of},
    [TOP_P50] = {"P50", "p50", 6, 2, print_p50, p50_of},
    [TOP_P99] = {"P99", "p99", 6, 6, print_p99, p99_of},
    [TOP_QUEUE] = {"QUEUE", "queue", 6, 8, print_queue, queue_of},
    [TOP_RUNNING] = {"RUN", "run", 4, 3, print_running, running_of},
    [TOP_RESTARTS] = {"RESTARTS", "restarts", 8, 4, print_restarts, restarts_of},
    [TOP_ERROR] = {"LAST ERROR", "error", 10, 1, print_error, NULL},
};

const char *
top_column_name(enum top_column column)
{
    return columns[column].name;
}

enum top_column
top_column_find(const char *name)
{
    enum top_column c = 0;
    while (c < TOP_COLUMNS && strcmp(columns[c].name, name) != 0) {
        c++;
    }
    return c;
}

/* The column that is given up first, TOP_COLUMNS when all that is left stays. */
static enum top_column
least_needed(const struct top_layout *layout)
{
    enum top_column least = TOP_COLUMNS;
    for (enum top_column c = 0; c < TOP_COLUMNS; c++) {
        if (layout->width[c] > 0 && columns[c].need > 0 &&
            (least == TOP_COLUMNS || columns[c].need < columns[least].need)) {
            least = c;
        }
    }
    return least;
}

static int
width_of(const struct top_layout *layout)
{
    int width = -1;
    for (enum top_column c = 0; c < TOP_COLUMNS; c++) {
        width += layout->width[c] > 0 ? layout->width[c] + 1 : 0;
    }
    return width;
}

/* What is left over goes to the name, then to the error. */
static void
widen(struct top_layout *layout, int rest)
{
    const int name = rest < NAME_WIDTH_MAX - columns[TOP_NAME].width
                         ? rest
                         : NAME_WIDTH_MAX - columns[TOP_NAME].width;
    layout->width[TOP_NAME] += name;
    if (layout->width[TOP_ERROR] > 0) {
        layout->width[TOP_ERROR] += rest - name;
    }
}

void
top_layout_make(int width, struct top_layout *out)
{
    *out = (struct top_layout){0};
    for (enum top_column c = 0; c < TOP_COLUMNS; c++) {
        out->width[c] = columns[c].width;
    }
    while (width_of(out) > width && least_needed(out) != TOP_COLUMNS) {
        out->width[least_needed(out)] = 0;
    }
    if (width > width_of(out)) {
        widen(out, width - width_of(out));
    }
    int at = 0;
    for (enum top_column c = 0; c < TOP_COLUMNS; c++) {
        out->at[c] = at;
        at += out->width[c] > 0 ? out->width[c] + 1 : 0;
    }
}

/* Texts from a to z; numbers from the largest down, what is not known last. */
int
top_compare(enum top_column column, const struct top_row *a, const struct top_row *b)
{
    if (columns[column].number == NULL) {
        char left[CELL_BYTES], right[CELL_BYTES];
        columns[column].print(a, left);
        columns[column].print(b, right);
        /* Who has no error is of no interest to those who sort by it. */
        if ((left[0] == '\0') != (right[0] == '\0')) {
            return left[0] == '\0' ? 1 : -1;
        }
        return column == TOP_NAME ? strcmp(a->name, b->name) : strcmp(left, right);
    }
    const double left = columns[column].number(a), right = columns[column].number(b);
    return left > right ? -1 : left < right;
}

/* ---- lines ---------------------------------------------------------------------------------- */

/* Cut to the width, and made harmless: what is not ASCII has no width that we know. */
static size_t
put_cell(char *line, size_t at, const char *text, int width, bool left)
{
    char cell[CELL_BYTES];
    (void)snprintf(cell, sizeof cell, "%.*s", width, text);
    for (char *p = cell; *p != '\0'; p++) {
        *p = (unsigned char)*p < ' ' || (unsigned char)*p >= 127 ? '?' : *p;
    }
    return at +
           (size_t)snprintf(line + at, TOP_LINE_BYTES - at, left ? "%-*s" : "%*s", width, cell);
}

/* A line of cells with a blank between, without those at its end. */
static void
put_cells(const struct top_layout *layout, char cells[TOP_COLUMNS][CELL_BYTES],
          char out[TOP_LINE_BYTES])
{
    size_t n = 0;
    out[0] = '\0';
    for (enum top_column c = 0; c < TOP_COLUMNS; c++) {
        const int width = layout->width[c];
        if (width == 0 || n + (size_t)width + 2 >= TOP_LINE_BYTES) {
            continue;
        }
        n += n > 0 ? (size_t)snprintf(out + n, TOP_LINE_BYTES - n, " ") : 0;
        n = put_cell(out, n, cells[c], width, columns[c].number == NULL);
    }
    while (n > 0 && out[n - 1] == ' ') {
        out[--n] = '\0';
    }
}

void
top_text_row(const struct top_layout *layout, const struct top_row *row, char out[TOP_LINE_BYTES])
{
    char cells[TOP_COLUMNS][CELL_BYTES];
    for (enum top_column c = 0; c < TOP_COLUMNS; c++) {
        (void)snprintf(cells[c], CELL_BYTES, "-");
        if (columns[c].number == NULL || columns[c].number(row) >= 0) {
            columns[c].print(row, cells[c]);
        }
    }
    put_cells(layout, cells, out);
}

void
top_text_heading(const struct top_layout *layout, const struct top_view *view,
                 char out[TOP_LINE_BYTES])
{
    char cells[TOP_COLUMNS][CELL_BYTES];
    for (enum top_column c = 0; c < TOP_COLUMNS; c++) {
        const char *mark = c != view->sort ? "" : view->reverse ? "^" : "v";
        (void)snprintf(cells[c], CELL_BYTES, "%s%s", columns[c].heading, mark);
        /* The mark takes the place of the last letter where there is no room for both. */
        if (layout->width[c] > 0 && (int)strlen(cells[c]) > layout->width[c]) {
            (void)snprintf(cells[c], CELL_BYTES, "%.*s%s", layout->width[c] - (int)strlen(mark),
                           columns[c].heading, mark);
        }
    }
    put_cells(layout, cells, out);
}

void
top_text_hub(const struct top_sample *now, char out[TOP_LINE_BYTES])
{
    char span[UNIT_SPAN_BYTES];
    unit_span((int64_t)now->uptime_ms, span);
    (void)snprintf(out, TOP_LINE_BYTES, "hub %s  prong %s  up %s  broker %llu  workers %zu",
                   now->hub, now->version, span, (unsigned long long)now->epoch, now->worker_count);
    table_make_safe(out);
}

/* "12.3", or "-" when it is not known. */
static void
print_rate(double value, char out[RATE_BYTES])
{
    (void)snprintf(out, RATE_BYTES, value < 0 ? "-" : "%.1f", value);
}

/* Nothing when there are none. */
static void
text_streams(const struct top_sample *now, const struct top_totals *totals, char *out, size_t size)
{
    char frames[RATE_BYTES], silent[40] = "";
    print_rate(totals->frames_per_s, frames);
    if (now->silent_streams > 0) {
        (void)snprintf(silent, sizeof silent, " (%llu silent)",
                       (unsigned long long)now->silent_streams);
    }
    if (now->streams > 0 || now->silent_streams > 0) {
        (void)snprintf(out, size, "  streams %llu%s  frames/s %s", (unsigned long long)now->streams,
                       silent, frames);
    }
}

void
top_text_totals(const struct top_sample *now, const struct top_totals *totals,
                char out[TOP_LINE_BYTES])
{
    char cpu[RATE_BYTES], calls[RATE_BYTES], events[RATE_BYTES], memory[UNIT_SIZE_BYTES],
        payload[UNIT_SIZE_BYTES];
    print_rate(totals->cpu_percent, cpu);
    print_rate(totals->calls_per_s, calls);
    print_rate(totals->events_per_s, events);
    unit_size(totals->rss_bytes, memory);
    unit_size(now->payload_bytes, payload);
    const int n =
        snprintf(out, TOP_LINE_BYTES,
                 "calls/s %s  events/s %s  cpu%% %s  memory %s  unfinished %llu  payload %s  "
                 "connections %llu",
                 calls, events, cpu, memory, (unsigned long long)now->calls, payload,
                 (unsigned long long)now->connections);
    text_streams(now, totals, out + n, TOP_LINE_BYTES - (size_t)n);
}
