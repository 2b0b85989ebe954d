#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/spawn/records.h"
#include "tests/support/test.h"

static char *const argv_of_two[] = {(char[]){"prog"}, (char[]){"-x"}, NULL};
static char *const envp_of_one[] = {(char[]){"A=1"}, NULL};
static char *const empty[] = {NULL};

Test(records, a_packed_start_is_sound)
{
    char text[64];
    struct spawn_record record = {.id = 1, .name = "detector/0"};
    cr_assert(spawn_text_pack(&record, text, sizeof text, "/f", argv_of_two, envp_of_one));
    cr_expect_eq(record.text_bytes, sizeof "/f" + sizeof "prog" + sizeof "-x" + sizeof "A=1");
    cr_expect_eq(record.op, SPAWN_START);
    cr_expect(spawn_start_check(&record, text));
    cr_assert(spawn_text_pack(&record, text, sizeof text, NULL, argv_of_two, empty));
    cr_expect(spawn_start_check(&record, text));
}

Test(records, what_does_not_fit_is_not_packed)
{
    char text[64];
    struct spawn_record record = {.id = 1, .name = "detector/0"};
    cr_expect_not(spawn_text_pack(&record, text, 14, "/f", argv_of_two, envp_of_one));
    cr_expect_eq(record.argc, 0U, "untouched");
    cr_expect(spawn_text_pack(&record, text, 15, "/f", argv_of_two, envp_of_one));
    cr_expect_not(spawn_text_pack(&record, text, sizeof text, "/f", empty, envp_of_one));
    cr_expect_not(spawn_text_pack(&record, text, 0, "", argv_of_two, empty));
}

/* Every truncation and every single wrong byte count of a sound text is refused, and never read
 * past. */
Test(records, a_text_that_does_not_match_its_counts_is_refused)
{
    char text[64];
    struct spawn_record sound = {.id = 1, .name = "detector/0"};
    cr_assert(spawn_text_pack(&sound, text, sizeof text, "/f", argv_of_two, envp_of_one));
    for (uint32_t bytes = 0; bytes < sound.text_bytes; bytes++) {
        struct spawn_record record = sound;
        record.text_bytes = bytes;
        char exact[64];
        memcpy(exact, text, sizeof exact);
        cr_expect_not(spawn_start_check(&record, exact), "%u bytes", bytes);
    }
    for (uint32_t argc = 0; argc < 8; argc++) {
        for (uint32_t envc = 0; envc < 8; envc++) {
            struct spawn_record record = sound;
            record.argc = argc;
            record.envc = envc;
            /* The variable could be an argument, but no argument here could be a variable. */
            const bool is_sound = (argc == 2 && envc == 1) || (argc == 3 && envc == 0);
            cr_expect_eq(spawn_start_check(&record, text), is_sound, "%u %u", argc, envc);
        }
    }
    struct spawn_record record = sound;
    record.argc = UINT32_MAX;
    record.envc = 4;
    cr_expect_not(spawn_start_check(&record, text));
    record = sound;
    record.id = 0;
    cr_expect_not(spawn_start_check(&record, text));
    memset(record.name, 'n', sizeof record.name);
    cr_expect_not(spawn_start_check(&record, text));
}

/* Every truncation, every other byte and every wrong count of a start with limits, too. */
Test(records, limits_stand_behind_and_a_malformed_one_is_refused)
{
    static const char *const settings[] = {"nice=5", "rlimit_nofile=64:128"};
    char text[128];
    struct spawn_record sound = {.id = 1, .name = "detector/0"};
    cr_assert(spawn_text_pack(&sound, text, sizeof text, "/f", argv_of_two, envp_of_one));
    const uint32_t bare = sound.text_bytes;
    cr_expect_not(spawn_text_limit(&sound, text, bare + 6, "nice=5"));
    cr_expect(sound.limitc == 0 && sound.text_bytes == bare, "untouched");
    for (size_t i = 0; i < 2; i++) {
        cr_assert(spawn_text_limit(&sound, text, sizeof text, settings[i]));
    }
    cr_expect_eq(sound.limitc, 2U);
    cr_expect(spawn_start_check(&sound, text));
    for (uint32_t bytes = 0; bytes < sound.text_bytes; bytes++) {
        struct spawn_record record = sound;
        record.text_bytes = bytes;
        cr_expect_not(spawn_start_check(&record, text), "%u bytes", bytes);
    }
    for (uint32_t limitc = 0; limitc < 6; limitc++) {
        struct spawn_record record = sound;
        record.limitc = limitc;
        record.envc = 3 - limitc; /* the sum is right: a limit would be a variable */
        cr_expect_eq(spawn_start_check(&record, text), limitc <= 2, "%u limits", limitc);
    }
    for (uint32_t at = bare; at < sound.text_bytes; at++) {
        char spoilt[sizeof text];
        memcpy(spoilt, text, sizeof spoilt);
        spoilt[at] = '!';
        cr_expect_not(spawn_start_check(&sound, spoilt), "byte %u", at);
    }
    struct spawn_record record = sound;
    record.limitc = UINT32_MAX;
    cr_expect_not(spawn_start_check(&record, text));
    cr_assert(spawn_text_limit(&sound, text, sizeof text, "nice=6"));
    cr_expect_not(spawn_start_check(&sound, text), "a limit twice");
}

Test(records, a_step_of_a_limit_says_which_one)
{
    int steps = 0;
    for (int i = SPAWN_STEP_NONE; i < SPAWN_STEP_COUNT; i++) {
        const enum limit limit = spawn_step_limit((enum spawn_step)i);
        if (limit != LIMIT_COUNT) {
            cr_expect_eq((int)limit, steps++, "step %d", i);
            cr_expect_str_eq(spawn_step_text((enum spawn_step)i) + strlen("setting "),
                             limits_key(limit));
        }
    }
    cr_expect_eq(steps, (int)LIMIT_COUNT);
    cr_expect_eq(spawn_step_limit(SPAWN_STEP_EXEC), LIMIT_COUNT);
}

Test(records, a_descriptor_goes_along_and_closes_on_exec)
{
    int pair[2];
    int pipes[2];
    int got = -1;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    cr_assert_eq(pipe(pipes), 0);
    const struct spawn_record sent = {.version = SPAWN_RECORDS_VERSION, .op = SPAWN_ALIVE, .id = 9};
    struct spawn_record record;
    cr_expect_eq(spawn_record_send(pair[0], &sent, NULL, pipes[1]), SPAWN_IO_DONE);
    cr_expect_eq(spawn_record_receive(pair[1], &record, NULL, 0, &got), SPAWN_IO_DONE);
    cr_expect_eq(record.id, 9U);
    cr_assert(got >= 0);
    cr_expect_eq(write(got, "x", 1), 1);
    close(got);
    cr_expect_eq(spawn_record_send(pair[0], &sent, NULL, pipes[1]), SPAWN_IO_DONE);
    cr_expect_eq(spawn_record_receive(pair[1], &record, NULL, 0, NULL), SPAWN_IO_DONE,
                 "a descriptor that is not wanted is closed");
    cr_expect_eq(spawn_record_receive(pair[1], &record, NULL, 0, &got), SPAWN_IO_LATER);
    cr_expect_eq(got, -1);
    close(pair[0]);
    cr_expect_eq(spawn_record_receive(pair[1], &record, NULL, 0, &got), SPAWN_IO_CLOSED);
    cr_expect_eq(spawn_record_send(pair[1], &sent, NULL, -1), SPAWN_IO_CLOSED);
    close(pair[1]);
    close(pipes[0]);
    close(pipes[1]);
}

Test(records, junk_is_called_junk_and_an_empty_datagram_is_no_end)
{
    int pair[2];
    char big[sizeof(struct spawn_record) + 8] = {0};
    struct spawn_record record;
    char text[4];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    cr_assert_eq(send(pair[0], "", 0, 0), 0);
    cr_expect_eq(spawn_record_receive(pair[1], &record, text, sizeof text, NULL), SPAWN_IO_JUNK);
    cr_assert_eq(send(pair[0], "junk", 4, 0), 4);
    cr_expect_eq(spawn_record_receive(pair[1], &record, text, sizeof text, NULL), SPAWN_IO_JUNK);
    cr_expect_eq(record.version, 0, "half a record is not shown");
    const struct spawn_record head = {.version = SPAWN_RECORDS_VERSION, .id = 3, .text_bytes = 8};
    memcpy(big, &head, sizeof head);
    cr_assert_eq(send(pair[0], big, sizeof big, 0), (ssize_t)sizeof big);
    cr_expect_eq(spawn_record_receive(pair[1], &record, text, sizeof text, NULL), SPAWN_IO_JUNK,
                 "longer than the storage");
    cr_expect_eq(record.id, 3U);
    cr_assert_eq(send(pair[0], big, sizeof head + 4, 0), (ssize_t)sizeof head + 4);
    cr_expect_eq(spawn_record_receive(pair[1], &record, text, sizeof text, NULL), SPAWN_IO_JUNK,
                 "shorter than it says");
    close(pair[0]);
    close(pair[1]);
}

/* The kernel shows such a peer's end as an error that overtakes the records sent before it. */
Test(records, last_words_survive_a_peer_that_left_ours_unread)
{
    int pair[2];
    const struct spawn_record record = {.version = SPAWN_RECORDS_VERSION, .id = 8};
    struct spawn_record got;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    cr_assert_eq(spawn_record_send(pair[0], &record, NULL, -1), SPAWN_IO_DONE);
    cr_assert_eq(spawn_record_send(pair[1], &record, NULL, -1), SPAWN_IO_DONE);
    close(pair[1]);
    cr_expect_eq(spawn_record_receive(pair[0], &got, NULL, 0, NULL), SPAWN_IO_DONE);
    cr_expect_eq(got.id, 8U);
    cr_expect_eq(spawn_record_receive(pair[0], &got, NULL, 0, NULL), SPAWN_IO_CLOSED);
    close(pair[0]);
}

Test(records, every_step_has_a_text)
{
    for (int i = -1; i <= SPAWN_STEP_COUNT; i++) {
        cr_expect_gt(strlen(spawn_step_text((enum spawn_step)i)), 3U);
    }
    cr_expect_str_eq(spawn_step_text(SPAWN_STEP_COUNT), "unknown step");
}
