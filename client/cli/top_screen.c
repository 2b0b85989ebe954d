/* The terminal of prong top, by ncurses: see top.h. */
#include "client/cli/top.h"

#include <curses.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/table.h"

enum {
    HEAD_LINES = 4, /* the hub, totals, a blank, headings */
    FOOT_LINES = 1,
    LINES_MIN = HEAD_LINES + FOOT_LINES + 1,
    COLUMNS_MIN = 30,
    ESCAPE_MS = 50, /* how long an escape waits to become the beginning of a key */
};

struct top_screen {
    SCREEN *screen;
    bool has_color;
};

static const short colors[] = {
    [TOP_PLAIN] = -1, [TOP_GOOD] = COLOR_GREEN, [TOP_WARN] = COLOR_YELLOW, [TOP_BAD] = COLOR_RED};

/* Without that ncurses would write pictures one below the other. */
static bool
can_move_cursor(void)
{
    char name[] = "cup";
    const char *sequence = tigetstr(name);
    return sequence != NULL && sequence != (const char *)-1;
}

struct top_screen *
top_screen_open(bool has_color, char *why, size_t why_size)
{
    const char *terminal = getenv("TERM");
    struct top_screen *s = calloc(1, sizeof *s);
    if (s == NULL) {
        (void)snprintf(why, why_size, "out of memory");
        return NULL;
    }
    s->screen = newterm(NULL, stdout, stdin);
    if (s->screen == NULL) {
        (void)snprintf(why, why_size, "the terminal '%.60s' (TERM) is not known",
                       terminal != NULL ? terminal : "");
        free(s);
        return NULL;
    }
    if (!can_move_cursor()) {
        (void)snprintf(why, why_size, "the cursor of the terminal '%.60s' (TERM) cannot be moved",
                       terminal != NULL ? terminal : "");
        top_screen_close(s);
        return NULL;
    }
    /* What these return on failure is of no use: the screen is drawn without what they wanted. */
    (void)cbreak();
    (void)noecho();
    (void)nonl();
    (void)curs_set(0);
    (void)keypad(stdscr, TRUE);
    (void)nodelay(stdscr, TRUE);
    (void)set_escdelay(ESCAPE_MS);
    s->has_color = has_color && has_colors() && start_color() == OK;
    if (s->has_color) {
        (void)use_default_colors();
        for (short tone = TOP_GOOD; tone <= TOP_BAD; tone++) {
            (void)init_pair(tone, colors[tone], -1);
        }
    }
    return s;
}

void
top_screen_close(struct top_screen *s)
{
    if (s == NULL) {
        return;
    }
    (void)endwin();
    delscreen(s->screen);
    free(s);
}

int
top_screen_key(struct top_screen *s)
{
    static const struct {
        int curses, key;
    } keys[] = {{KEY_UP, TOP_KEY_UP},          {KEY_DOWN, TOP_KEY_DOWN},
                {KEY_PPAGE, TOP_KEY_PAGE_UP},  {KEY_NPAGE, TOP_KEY_PAGE_DOWN},
                {KEY_HOME, TOP_KEY_HOME},      {KEY_END, TOP_KEY_END},
                {KEY_ENTER, TOP_KEY_ENTER},    {'\r', TOP_KEY_ENTER},
                {'\n', TOP_KEY_ENTER},         {27, TOP_KEY_ESCAPE},
                {KEY_BACKSPACE, TOP_KEY_BACK}, {127, TOP_KEY_BACK},
                {'\b', TOP_KEY_BACK}};
    (void)s;
    for (int c; (c = getch()) != ERR;) {
        for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
            if (keys[i].curses == c) {
                return keys[i].key;
            }
        }
        if (c == '\f') {
            (void)clearok(stdscr, TRUE); /* Ctrl-L: something else wrote over it */
        } else if (c > 0 && c < 128) {
            return c;
        }
    }
    return -1;
}

size_t
top_screen_shown(const struct top_screen *s)
{
    (void)s;
    return LINES > HEAD_LINES + FOOT_LINES ? (size_t)(LINES - HEAD_LINES - FOOT_LINES) : 0;
}

/* ---- drawing -------------------------------------------------------------------------------- */

static void
put_line(int y, const char *text, attr_t attributes)
{
    (void)attrset((int)attributes);
    (void)mvaddnstr(y, 0, text, COLS);
    (void)attrset(A_NORMAL);
}

static void
put_row(const struct top_screen *s, int y, const struct top_layout *layout,
        const struct top_row *row, bool selected)
{
    char line[TOP_LINE_BYTES];
    const attr_t base = selected ? A_REVERSE : A_NORMAL;
    top_text_row(layout, row, line);
    put_line(y, line, base);
    if (selected) {
        (void)mvchgat(y, 0, -1, base, 0, NULL);
    }
    if (row->tone != TOP_PLAIN && layout->at[TOP_STATE] < COLS) {
        /* Without colours what is wrong stands out by being bold. */
        const attr_t loud = row->tone == TOP_BAD ? A_BOLD : A_NORMAL;
        (void)mvchgat(y, layout->at[TOP_STATE], layout->width[TOP_STATE], base | loud,
                      s->has_color ? (short)row->tone : 0, NULL);
    }
}

static void
put_help(void)
{
    const char *const *lines = top_help();
    for (int y = 0; lines[y] != NULL && y < LINES - 1; y++) {
        put_line(y, lines[y], A_NORMAL);
    }
    put_line(LINES - 1, "any key goes back", A_REVERSE);
}

static void
put_list(const struct top_screen *s, const struct top_picture *p)
{
    char line[TOP_LINE_BYTES];
    struct top_layout layout;
    const size_t shown = top_screen_shown(s), selected = top_view_row(p->view, p->rows);
    top_layout_make(COLS, &layout);
    top_text_hub(p->now, line);
    put_line(0, line, A_BOLD);
    top_text_totals(p->now, &p->rows->totals, line);
    put_line(1, line, A_NORMAL);
    top_text_heading(&layout, p->view, line);
    put_line(HEAD_LINES - 1, line, A_UNDERLINE);
    (void)mvchgat(HEAD_LINES - 1, 0, -1, A_UNDERLINE, 0, NULL);
    top_view_follow(p->view, p->rows, shown);
    for (size_t i = 0; i < shown && p->view->scroll + i < p->rows->count; i++) {
        const size_t at = p->view->scroll + i;
        put_row(s, HEAD_LINES + (int)i, &layout, &p->rows->list[at], at == selected);
    }
    if (p->rows->count == 0) {
        put_line(HEAD_LINES, p->rows->hidden > 0 ? "no worker has this in its name" : "no workers",
                 A_NORMAL);
    }
}

void
top_screen_draw(struct top_screen *s, const struct top_picture *p)
{
    char line[TOP_LINE_BYTES];
    (void)erase();
    if (LINES < LINES_MIN || COLS < COLUMNS_MIN) {
        (void)snprintf(line, sizeof line, "too small: %dx%d", COLUMNS_MIN, LINES_MIN);
        put_line(0, line, A_NORMAL);
    } else if (p->view->mode == TOP_MODE_HELP) {
        put_help();
    } else {
        if (p->now != NULL) {
            put_list(s, p);
            top_view_line(p->view, p->rows, line);
            table_make_safe(line);
            put_line(LINES - 1, line, p->view->mode == TOP_MODE_CONFIRM ? A_BOLD : A_NORMAL);
        }
        if (p->trouble[0] != '\0') {
            (void)snprintf(line, sizeof line, "%s", p->trouble);
            table_make_safe(line);
            put_line(2, line, A_REVERSE);
        }
    }
    (void)refresh();
}
