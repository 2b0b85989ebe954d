/* What handles in a result stand for: see holds.h. */
#include "client/worker/holds.h"

#include <stdlib.h>

struct hold {
    struct hold *next;
    const struct writer_kind *kind;
    void *thing;
};

static void
end(struct hold *list, bool is_sent)
{
    while (list != NULL) {
        struct hold *h = list;
        list = h->next;
        h->kind->let_go(h->thing, is_sent);
        free(h);
    }
}

static bool
hold(struct writer_holder *holder, const struct writer_kind *kind, void *thing)
{
    struct holds *holds = (struct holds *)holder;
    struct hold *h = malloc(sizeof *h);
    if (h != NULL) {
        *h = (struct hold){holds->list, kind, thing};
        holds->list = h;
    }
    return h != NULL;
}

static void
forget(struct writer_holder *holder)
{
    struct holds *holds = (struct holds *)holder;
    end(holds->list, false);
    holds->list = NULL;
}

void
holds_init(struct holds *holds, prong_writer *w)
{
    *holds = (struct holds){.holder = {hold, forget}};
    writer_set_holder(w, &holds->holder);
}

void
holds_sent(struct holds *holds, struct hold **waiting)
{
    while (holds->list != NULL) {
        struct hold *h = holds->list;
        holds->list = h->next;
        h->next = NULL;
        if (h->kind->waits) {
            h->next = *waiting;
            *waiting = h;
        } else {
            end(h, true);
        }
    }
}

void
holds_let_go(struct hold *waiting)
{
    end(waiting, true);
}
