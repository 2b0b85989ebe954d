#include "broker/spawn/ladder.h"
#include "tests/support/test.h"

#define SECOND_NS (1000LL * 1000 * 1000)

enum { KILLED = 9, EXITED = 256 };

Test(ladder, a_refusal_before_the_first_record_is_final)
{
    for (int code = 0; code < 256; code++) {
        struct ladder ladder = {.has_spoken = true};
        const int verdict = ladder_note_death(&ladder, false, code * EXITED, 0);
        cr_expect_eq(verdict, code >= 64 && code <= 78 ? code : LADDER_RESTART, "code %d", code);
    }
}

Test(ladder, a_broker_that_has_spoken_may_exit_as_it_likes)
{
    struct ladder ladder = {0};
    cr_expect_eq(ladder_note_death(&ladder, true, 78 * EXITED, 0), LADDER_RESTART);
}

Test(ladder, three_deaths_without_a_word_are_enough)
{
    struct ladder ladder = {0};
    cr_expect_eq(ladder_note_death(&ladder, false, KILLED, 0), LADDER_RESTART);
    cr_expect_eq(ladder_note_death(&ladder, false, KILLED, 1000 * SECOND_NS), LADDER_RESTART);
    cr_expect_eq(ladder_note_death(&ladder, false, KILLED, 2000 * SECOND_NS), 69);
}

Test(ladder, one_word_of_any_broker_makes_ten_deaths_a_minute_bearable)
{
    struct ladder ladder = {0};
    cr_expect_eq(ladder_note_death(&ladder, true, KILLED, 0), LADDER_RESTART);
    for (int i = 1; i < 10; i++) {
        cr_expect_eq(ladder_note_death(&ladder, false, KILLED, i * SECOND_NS), LADDER_RESTART);
    }
    cr_expect_eq(ladder_note_death(&ladder, false, KILLED, 60 * SECOND_NS), 69);
}

Test(ladder, slow_deaths_are_borne_for_ever)
{
    struct ladder ladder = {0};
    for (int i = 0; i < 1000; i++) {
        cr_expect_eq(ladder_note_death(&ladder, true, KILLED, i * 7 * SECOND_NS), LADDER_RESTART);
    }
    struct ladder burst = ladder;
    int borne = 0;
    while (ladder_note_death(&burst, true, KILLED, 7000 * SECOND_NS) == LADDER_RESTART) {
        borne++;
    }
    cr_expect_eq(borne, 2, "those of the last minute count");
}
