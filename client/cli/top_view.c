/* What is selected, sorted and filtered, and what keys do: see top.h. */
#include "client/cli/top.h"

#include <stdio.h>
#include <string.h>

void
top_view_init(struct top_view *view)
{
    *view = (struct top_view){.sort = TOP_NAME};
}

/* ---- open workers --------------------------------------------------------------------------- */

static size_t
find_open(const struct top_view *view, const char *worker)
{
    size_t i = 0;
    while (i < view->open_count && strcmp(view->open[i], worker) != 0) {
        i++;
    }
    return i;
}

bool
top_view_is_open(const struct top_view *view, const char *worker)
{
    return view->all_open != (find_open(view, worker) < view->open_count);
}

static void
set_message(struct top_view *view, const char *text)
{
    (void)snprintf(view->message, sizeof view->message, "%s", text);
}

/* The worker of "detector/0". */
static void
worker_of(const char *name, char out[TOP_NAME_BYTES])
{
    (void)snprintf(out, TOP_NAME_BYTES, "%.*s", (int)strcspn(name, "/"), name);
}

/* Show or hide the replicas of the selected worker; a replica hides with the others. */
static void
toggle(struct top_view *view, const struct top_row *row)
{
    char worker[TOP_NAME_BYTES];
    worker_of(row->name, worker);
    const size_t at = find_open(view, worker);
    if (at < view->open_count) {
        view->open_count--;
        memmove(view->open[at], view->open[at + 1], (view->open_count - at) * sizeof view->open[0]);
        (void)snprintf(view->selected, sizeof view->selected, "%s", worker);
    } else if (!row->has_replicas) {
        set_message(view, "it has one replica");
    } else if (view->open_count == TOP_OPEN_MAX) {
        set_message(view, "so many are open that no more can be");
    } else {
        memcpy(view->open[view->open_count++], worker, sizeof worker);
    }
}

/* ---- selection ------------------------------------------------------------------------------ */

size_t
top_view_row(const struct top_view *view, const struct top_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        if (strcmp(rows->list[i].name, view->selected) == 0) {
            return i;
        }
    }
    return 0;
}

static void
select_row(struct top_view *view, const struct top_rows *rows, size_t at)
{
    if (rows->count > 0) {
        at = at < rows->count ? at : rows->count - 1;
        (void)snprintf(view->selected, sizeof view->selected, "%s", rows->list[at].name);
    }
}

void
top_view_follow(struct top_view *view, const struct top_rows *rows, size_t shown)
{
    const size_t at = top_view_row(view, rows);
    const size_t most = rows->count > shown ? rows->count - shown : 0;
    if (shown > 0 && at >= view->scroll + shown) {
        view->scroll = at + 1 - shown;
    }
    view->scroll = at < view->scroll ? at : view->scroll;
    view->scroll = view->scroll > most ? most : view->scroll;
}

static bool
move(struct top_view *view, const struct top_rows *rows, size_t shown, int key)
{
    const size_t at = top_view_row(view, rows), page = shown > 1 ? shown - 1 : 1;
    switch (key) {
    case TOP_KEY_UP:
    case 'k':
        select_row(view, rows, at > 0 ? at - 1 : 0);
        return true;
    case TOP_KEY_DOWN:
    case 'j':
        select_row(view, rows, at + 1);
        return true;
    case TOP_KEY_PAGE_UP:
        select_row(view, rows, at > page ? at - page : 0);
        return true;
    case TOP_KEY_PAGE_DOWN:
        select_row(view, rows, at + page);
        return true;
    case TOP_KEY_HOME:
    case 'g':
        select_row(view, rows, 0);
        return true;
    case TOP_KEY_END:
    case 'G':
        select_row(view, rows, rows->count);
        return true;
    default:
        return false;
    }
}

/* ---- actions -------------------------------------------------------------------------------- */

/* Starting does no harm, so only the others are asked about. */
static const struct {
    int key;
    const char *name;
    bool confirm;
} actions[TOP_ACTIONS] = {
    [TOP_NOTHING] = {0, "", false},         [TOP_QUIT] = {'q', "quit", false},
    [TOP_RESTART] = {'r', "restart", true}, [TOP_STOP] = {'x', "stop", true},
    [TOP_START] = {'S', "start", false},
};

const char *
top_action_name(enum top_action action)
{
    return actions[action].name;
}

static enum top_action
act(struct top_view *view, const struct top_rows *rows, int key)
{
    enum top_action action = TOP_QUIT;
    while (action < TOP_ACTIONS && actions[action].key != key) {
        action++;
    }
    if (action == TOP_ACTIONS) {
        return TOP_NOTHING;
    }
    if (action == TOP_QUIT) {
        return TOP_QUIT;
    }
    if (rows->count == 0) {
        set_message(view, "there is no worker");
        return TOP_NOTHING;
    }
    (void)snprintf(view->target, sizeof view->target, "%s",
                   rows->list[top_view_row(view, rows)].name);
    if (!actions[action].confirm) {
        return action;
    }
    view->asked = action;
    view->mode = TOP_MODE_CONFIRM;
    return TOP_NOTHING;
}

static enum top_action
answer(struct top_view *view, int key)
{
    const enum top_action action = view->asked;
    view->mode = TOP_MODE_LIST;
    view->asked = TOP_NOTHING;
    if (key == 'y' || key == 'Y') {
        return action;
    }
    set_message(view, "not done");
    return TOP_NOTHING;
}

/* ---- keys ----------------------------------------------------------------------------------- */

static void
type_filter(struct top_view *view, int key)
{
    const size_t length = strlen(view->filter);
    if (key == TOP_KEY_ENTER) {
        view->mode = TOP_MODE_LIST;
    } else if (key == TOP_KEY_ESCAPE) {
        view->filter[0] = '\0';
        view->mode = TOP_MODE_LIST;
    } else if (key == TOP_KEY_BACK && length > 0) {
        view->filter[length - 1] = '\0';
    } else if (key > ' ' && key < 127 && length + 1 < sizeof view->filter) {
        view->filter[length] = (char)key;
        view->filter[length + 1] = '\0';
    }
}

/* Sort by the column that is `steps` further. */
static void
sort_next(struct top_view *view, int steps)
{
    view->sort = (enum top_column)(((int)view->sort + TOP_COLUMNS + steps) % TOP_COLUMNS);
    view->reverse = false;
}

static bool
change_view(struct top_view *view, const struct top_rows *rows, int key)
{
    switch (key) {
    case ' ':
    case TOP_KEY_ENTER:
        if (rows->count > 0) {
            select_row(view, rows, top_view_row(view, rows));
            toggle(view, &rows->list[top_view_row(view, rows)]);
        }
        return true;
    case 's':
    case '>':
        sort_next(view, 1);
        return true;
    case '<':
        sort_next(view, -1);
        return true;
    case 'R':
        view->reverse = !view->reverse;
        return true;
    case '/':
        view->mode = TOP_MODE_FILTER;
        return true;
    case TOP_KEY_ESCAPE:
        view->filter[0] = '\0';
        return true;
    case 'h':
    case '?':
        view->mode = TOP_MODE_HELP;
        return true;
    default:
        return false;
    }
}

enum top_action
top_view_key(struct top_view *view, const struct top_rows *rows, size_t shown, int key)
{
    view->message[0] = '\0';
    switch (view->mode) {
    case TOP_MODE_FILTER:
        type_filter(view, key);
        return TOP_NOTHING;
    case TOP_MODE_CONFIRM:
        return answer(view, key);
    case TOP_MODE_HELP:
        view->mode = TOP_MODE_LIST;
        return TOP_NOTHING;
    case TOP_MODE_LIST:
        break;
    }
    return move(view, rows, shown, key) || change_view(view, rows, key) ? TOP_NOTHING
                                                                        : act(view, rows, key);
}

const char *const *
top_help(void)
{
    static const char *const lines[] = {
        "Up k  Down j       select the row above, below",
        "PgUp PgDn g G      a page, the first row, the last row",
        "Space Enter        show or hide the replicas of a worker (+ has some, - shows them)",
        "s >  <             sort by the next column, by the one before",
        "R                  sort the other way round",
        "/                  show only workers with this in their name; Esc ends that",
        "r  x               restart, stop what is selected; y says yes",
        "S                  start it",
        "h ?                this text",
        "q  Ctrl-C          quit",
        "",
        "CPU% is of one processor since the picture before; CALLS/S, P50 and P99 are likewise.",
        "P50 and P99: half, all but one of a hundred calls took no longer than this.",
        "QUEUE are calls that wait, RUN those that replicas have been given.",
        NULL,
    };
    return lines;
}

void
top_view_line(const struct top_view *view, const struct top_rows *rows, char out[TOP_LINE_BYTES])
{
    const struct top_row *row = rows->count > 0 ? &rows->list[top_view_row(view, rows)] : NULL;
    if (view->mode == TOP_MODE_CONFIRM) {
        (void)snprintf(out, TOP_LINE_BYTES, "%s %s? (y/n)", actions[view->asked].name,
                       view->target);
    } else if (view->mode == TOP_MODE_FILTER) {
        (void)snprintf(out, TOP_LINE_BYTES, "filter: %s_", view->filter);
    } else if (view->message[0] != '\0') {
        (void)snprintf(out, TOP_LINE_BYTES, "%s", view->message);
    } else if (view->filter[0] != '\0') {
        (void)snprintf(out, TOP_LINE_BYTES, "filter: %s  (%zu hidden, Esc shows all)", view->filter,
                       rows->hidden);
    } else if (row != NULL && row->error[0] != '\0') {
        (void)snprintf(out, TOP_LINE_BYTES, "%s: %s", row->name, row->error);
    } else {
        (void)snprintf(out, TOP_LINE_BYTES,
                       "q quit  h help  r restart  x stop  S start  / filter  s sort  "
                       "space replicas");
    }
}
