/* Many calls in flight under a real prongd, while the workers that have them are killed: each call
 * has one outcome, and it is its own. */
#include "tests/e2e/worker/hub.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/dir.h"
#include "tests/support/procs.h"
#include "tests/support/test.h"

enum { CALLS = 20000, IN_FLIGHT = 200, REPLICAS = 3, CALLS_PER_KILL = 1500 };

struct tally {
    uint8_t outcomes[CALLS]; /* of each call */
    unsigned ended, results, aborted, others, kills;
};

static void
begin(prong_client *client, prong_writer *args, uint64_t n)
{
    const prong_call_options options = {
        .size_bytes = sizeof options, .timeout_ms = HUB_MS, .tag = n};
    prong_value value;
    prong_reply *reply;
    prong_writer_reset(args);
    prong_writer_map(args, 1);
    prong_writer_key(args, "n");
    prong_writer_int(args, (int64_t)n);
    cr_assert(prong_writer_finish(args, &value) == PRONG_OK);
    cr_assert(prong_call_async(client, "probe", "echo", &value, &options, &reply) == PRONG_OK);
}

static void
take(struct tally *tally, prong_reply *reply)
{
    const uint64_t n = prong_reply_tag(reply);
    prong_value v;
    int64_t came = -1;
    tally->outcomes[n]++;
    tally->ended++;
    if (prong_reply_code(reply) == PRONG_OK) {
        cr_assert(prong_value_find(prong_reply_value(reply), "n", &v) &&
                      prong_value_int(&v, &came) && came == (int64_t)n,
                  "%d came for %d", (int)came, (int)n);
        tally->results++;
    } else if (prong_reply_code(reply) == PRONG_ABORTED) {
        /* Lost with two workers: that is said, and that it may have begun. */
        cr_assert(prong_reply_began(reply) == PRONG_BEGAN_MAYBE);
        tally->aborted++;
    } else {
        fprintf(stderr, "call %d: %s\n", (int)n, prong_reply_message(reply));
        tally->others++;
    }
    prong_reply_free(reply);
}

static void
run(struct tally *tally, bool kills)
{
    prong_client *client = hub_up_with("plain", "    replicas: 3\n    max_restarts: 1000\n"
                                                "    restart_delay: 1ms\n")
                               ->client;
    prong_writer *args = prong_writer_new();
    pid_t last[REPLICAS] = {0};
    char name[16];
    uint64_t begun = 0, kill_at = CALLS_PER_KILL;
    cr_assert(args != NULL);
    for (; begun < IN_FLIGHT; begun++) {
        begin(client, args, begun);
    }
    while (tally->ended < CALLS) {
        prong_reply *reply;
        cr_assert(prong_wait_any(client, HUB_MS, &reply) == PRONG_OK, "a call has no outcome");
        take(tally, reply);
        if (begun < CALLS) {
            begin(client, args, begun++);
        }
        if (kills && begun >= kill_at && begun < CALLS) {
            const unsigned victim = (unsigned)(kill_at / CALLS_PER_KILL) % REPLICAS;
            (void)snprintf(name, sizeof name, "probe/%u", victim);
            last[victim] = hub_process(name, last[victim]);
            tally->kills += kill(last[victim], SIGKILL) == 0;
            kill_at += CALLS_PER_KILL;
        }
    }
    prong_writer_free(args);
    unsigned lost = 0, doubled = 0;
    for (size_t i = 0; i < CALLS; i++) {
        lost += tally->outcomes[i] == 0;
        doubled += tally->outcomes[i] > 1;
    }
    fprintf(stderr, "%u results, %u aborted, %u workers killed, lost %u, doubled %u\n",
            tally->results, tally->aborted, tally->kills, lost, doubled);
    cr_expect(lost == 0 && doubled == 0 && tally->others == 0, "%u others", tally->others);
    hub_down();
}

Test(crowds, have_one_outcome_for_each_call, .init = hub_enter, .fini = hub_leave)
{
    struct tally *tally = calloc(1, sizeof *tally);
    cr_assert(tally != NULL);
    run(tally, false);
    cr_expect(tally->results == CALLS, "all of them results");
    free(tally);
}

Test(crowds, have_one_outcome_for_each_call_while_workers_die, .init = hub_enter, .fini = hub_leave)
{
    struct tally *tally = calloc(1, sizeof *tally);
    cr_assert(tally != NULL);
    run(tally, true);
    cr_expect(tally->results > CALLS / 2, "%u results", tally->results);
    cr_expect(tally->kills > CALLS / CALLS_PER_KILL / 2, "%u kills", tally->kills);
    free(tally);
}
