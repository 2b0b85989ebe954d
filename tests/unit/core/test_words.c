/* What processes write, as far as the core has to do with it: last words in the event of an end and
 * in the errors of calls, lines as events, and the call that a line is of. */
#include "tests/support/test.h"
#include "tests/unit/core/notation.h"
#include "tests/unit/core/world.h"

#include <string.h>

enum { CLIENT = WORLD_CLIENT, KILLED = 9 };

/* The end of echo/0, which had written these lines (in the notation of notation.h, "" for none). */
static void
die(struct world *w, const char *lines)
{
    struct buf log = {0};
    struct hub_input in = {.kind = HUB_IN_EXITED};
    if (lines[0] != '\0') {
        notation_write(&log, lines);
    }
    in.process.id = world_process(w, "echo/0")->id;
    in.process.pid = 100;
    in.process.status = KILLED;
    in.process.log = buf_span(&log);
    world_step(w, &in);
    buf_deinit(&log);
}

static const char *
events(struct world *w, const char *topic)
{
    return world_text(w, world_say(w, CLIENT, "[6,null,['%s'],1,100,100000,0]", topic));
}

Test(words, the_last_lines_are_told_with_the_end_and_with_the_calls_that_died)
{
    struct world w;
    world_begin(&w, NULL);
    world_serve(&w, "echo/0");
    const uint64_t r = world_call_echo(&w, 1);
    cr_assert(world_given(&w, "echo/0") != 0, "no call was given");
    die(&w, "['loading','out of memory']");
    cr_assert(world_says(&w, r, "'signal': 9, 'log': ['loading', 'out of memory']}"), "%s",
              world_text(&w, r));
    cr_assert(strstr(events(&w, "hub.worker.exited"), "'log': ['loading', 'out of memory']") !=
                  NULL,
              "%s", events(&w, "hub.worker.exited"));
    world_deinit(&w);
}

Test(words, who_wrote_nothing_has_an_empty_list_and_no_word_in_the_error)
{
    struct world w;
    world_begin(&w, NULL);
    world_serve(&w, "echo/0");
    const uint64_t r = world_call_echo(&w, 1);
    die(&w, "");
    cr_assert(world_outcome(&w, r, NULL) == WIRE_ERR_ABORTED && !world_says(&w, r, "log"), "%s",
              world_text(&w, r));
    cr_assert(strstr(events(&w, "hub.worker.exited"), "'log': []") != NULL, "%s",
              events(&w, "hub.worker.exited"));
    /* And those of one end are not those of the next. */
    world_pass_ms(&w, 200);
    world_serve(&w, "echo/0");
    die(&w, "['first']");
    world_pass_ms(&w, 400);
    world_serve(&w, "echo/0");
    const uint64_t again = world_call_echo(&w, 2);
    die(&w, "");
    cr_assert(!world_says(&w, again, "log"), "%s", world_text(&w, again));
    world_deinit(&w);
}

Test(words, a_line_is_an_event_of_its_worker)
{
    struct world w;
    struct buf payload = {0};
    struct hub_input in = {.kind = HUB_IN_LINE};
    world_begin(&w, NULL);
    const uint64_t waits = world_say(&w, CLIENT, "[6,null,['echo.*'],0,100,1000,60000]");
    notation_write(&payload, "{'line':'hello'}");
    in.line.replica = "echo/0";
    in.line.payload = buf_span(&payload);
    world_step(&w, &in);
    buf_deinit(&payload);
    cr_assert(world_says(&w, waits, "'echo.line'") && world_says(&w, waits, "{'line': 'hello'}") &&
                  world_says(&w, waits, "'echo/0'"),
              "%s", world_text(&w, waits));
    world_deinit(&w);
}

/* Larger than half the ring: there is no such event, and nothing else happens. */
Test(words, a_line_that_is_too_long_for_an_event_is_none)
{
    struct world w;
    static uint8_t bytes[9 << 20];
    struct hub_input in = {.kind = HUB_IN_LINE};
    world_begin(&w, NULL);
    memset(bytes, 1, sizeof bytes); /* small numbers in a row: the core does not look */
    in.line.replica = "echo/0";
    in.line.payload = (struct span){bytes, sizeof bytes};
    world_step(&w, &in);
    cr_assert(strstr(events(&w, "echo.line"), "echo.line") == NULL, "it was stored");
    world_deinit(&w);
}

Test(words, the_call_of_a_process_is_known_when_it_has_exactly_one)
{
    struct world w;
    char call[HUB_CALL_BYTES], want[HUB_CALL_BYTES];
    world_begin(&w, NULL);
    world_started(&w, "echo/0");
    const uint64_t process = world_process(&w, "echo/0")->id;
    cr_assert(!hub_running(w.hub, process, call) && !hub_running(w.hub, 12345, call), "none yet");
    world_attach(&w, "echo/0");
    world_poll(&w, "echo/0", 2);
    (void)world_call_echo(&w, 1);
    const uint64_t number = world_given(&w, "echo/0");
    (void)snprintf(want, sizeof want, "echo#%llu", (unsigned long long)number);
    cr_assert(number != 0 && hub_running(w.hub, process, call), "it has one");
    cr_assert_str_eq(call, want, "%s", call);
    world_poll(&w, "echo/0", 2);
    (void)world_call_echo(&w, 2);
    cr_assert(world_given(&w, "echo/0") != 0 && !hub_running(w.hub, process, call),
              "it has two: %s", call);
    world_deinit(&w);
}
