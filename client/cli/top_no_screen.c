/* In the place of top_screen.c where there was no ncurses to build with. */
#include "client/cli/top.h"

#include <stdio.h>

struct top_screen *
top_screen_open(bool has_color, char *why, size_t why_size)
{
    (void)has_color;
    (void)snprintf(why, why_size,
                   "this prong was built without ncurses; prong top --batch needs none");
    return NULL;
}

void
top_screen_close(struct top_screen *s)
{
    (void)s;
}

int
top_screen_key(struct top_screen *s)
{
    (void)s;
    return -1;
}

size_t
top_screen_shown(const struct top_screen *s)
{
    (void)s;
    return 0;
}

void
top_screen_draw(struct top_screen *s, const struct top_picture *picture)
{
    (void)s;
    (void)picture;
}
