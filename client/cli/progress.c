/* How far a call is: see progress.h. */
#include "client/cli/progress.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client/cli/table.h"

enum { BAR_WIDTH = 30, COLUMNS_DEFAULT = 80 };

void
progress_init(struct progress *p, const struct cli *cli)
{
    *p = (struct progress){.is_wanted = cli->options.progress ||
                                        (cli->err_is_terminal && !cli->options.quiet),
                           .is_terminal = cli->err_is_terminal};
}

/* "[###...]  50% note", or what of it is known. */
static void
write_line(char *line, size_t size, double fraction, const char *note, bool with_bar)
{
    char bar[BAR_WIDTH + 4] = "", percent[16] = "";
    const double part = fraction < 0 ? 0 : fraction > 1 ? 1 : fraction;
    const bool is_known = !isnan(fraction);
    for (int i = 0; is_known && with_bar && i < BAR_WIDTH; i++) {
        bar[i + 1] = i < (int)(part * BAR_WIDTH) ? '#' : '.';
    }
    if (is_known && with_bar) {
        bar[0] = '[';
        (void)snprintf(bar + BAR_WIDTH + 1, 3, "] ");
    }
    if (is_known) {
        (void)snprintf(percent, sizeof percent, "%3d%% ", (int)(part * 100));
    }
    (void)snprintf(line, size, "%s%s%s", bar, percent, note);
    table_make_safe(line);
}

/* A line that wraps could not be taken back. Cuts at a character. */
static void
cut(char *line)
{
    struct winsize size = {0};
    int columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
    columns = columns > 0 ? columns : COLUMNS_DEFAULT;
    for (; *line != '\0'; line++) {
        if (((unsigned char)*line & 0xc0) != 0x80 && --columns == 0) {
            *line = '\0';
            return;
        }
    }
}

void
progress_show(struct progress *p, double fraction, const char *note)
{
    char line[sizeof p->last];
    if (!p->is_wanted) {
        return;
    }
    write_line(line, sizeof line, fraction, note, p->is_terminal);
    if (p->is_terminal) {
        cut(line);
    }
    if (strcmp(line, p->last) == 0 && (p->is_drawn || !p->is_terminal)) {
        return;
    }
    (void)snprintf(p->last, sizeof p->last, "%s", line);
    (void)fprintf(stderr, p->is_terminal ? "\r\033[K%s" : "prong: %s\n", line);
    (void)fflush(stderr);
    p->is_drawn = p->is_terminal;
}

void
progress_clear(struct progress *p)
{
    if (p->is_drawn) {
        (void)fputs("\r\033[K", stderr);
        (void)fflush(stderr);
        p->is_drawn = false;
    }
}
