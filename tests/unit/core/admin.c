/* What the tests of the hub's own methods share: see admin.h. */
#include "tests/unit/core/admin.h"

void
admin_begin(struct world *w)
{
    world_init(w);
    world_worker(w, "echo", NULL);
    world_configured(w);
    world_open(w, ROOT);
}

uint64_t
admin_ask(struct world *w, uint64_t peer, const char *method, const char *args)
{
    return world_say(w, peer, "[2,null,1,0,'hub','%s',0,null,%s]", method, args);
}
