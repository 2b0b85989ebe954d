#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/spawn/family.h"
#include "tests/support/test.h"

static struct family family;

static struct worker *
add(uint64_t id, pid_t pid)
{
    const struct worker worker = {
        .id = id, .pid = pid, .output_fd = -1, .input_fd = -1, .fault_fd = -1};
    return family_add(&family, &worker);
}

static struct spawn_record
end_of(uint64_t id)
{
    return (struct spawn_record){.version = SPAWN_RECORDS_VERSION, .op = SPAWN_EXITED, .id = id};
}

Test(family, workers_are_found_by_id_and_pid_until_they_end)
{
    cr_assert(family_init(&family));
    srand(1);
    bool is_there[3000] = {false};
    for (int turn = 0; turn < 20000; turn++) {
        const int id = 1 + rand() % 2999;
        struct worker *worker = family_find_id(&family, (uint64_t)id);
        cr_assert_eq(worker != NULL, is_there[id]);
        if (worker) {
            cr_assert_eq(worker, family_find_pid(&family, 100000 + id));
            const struct spawn_record record = end_of((uint64_t)id);
            family_end(&family, worker, &record);
            family_forget(&family, (uint64_t)id);
        } else {
            cr_assert_not_null(add((uint64_t)id, 100000 + id));
        }
        is_there[id] = !is_there[id];
    }
    size_t count = 0;
    for (size_t i = 0; i < 3000; i++) {
        count += is_there[i];
    }
    cr_expect_eq(family.worker_count, count);
    for (size_t i = 0; i < family.worker_count; i++) {
        cr_assert_eq(family.workers[i]->index, i);
        cr_assert(is_there[family.workers[i]->id]);
    }
    family_deinit(&family);
}

Test(family, it_is_full_at_its_limit)
{
    cr_assert(family_init(&family));
    for (int i = 1; i <= SPAWN_CHILDREN_MAX; i++) {
        cr_assert_not_null(add((uint64_t)i, i));
    }
    cr_expect_not(family_has_room(&family));
    cr_expect_null(add(5000, 5000));
    family_deinit(&family);
}

Test(family, descriptors_are_kept_until_the_end_is_forgotten_and_closed_then)
{
    int output[2];
    int input[2];
    int fault[2];
    cr_assert(family_init(&family));
    cr_assert_eq(pipe(output), 0);
    cr_assert_eq(pipe(input), 0);
    cr_assert_eq(pipe(fault), 0);
    const struct worker worker = {
        .id = 1, .pid = 1, .output_fd = output[0], .input_fd = input[1], .fault_fd = fault[0]};
    struct worker *added = family_add(&family, &worker);
    cr_expect_eq(family.birth_count, 1U);
    cr_expect_eq(family_input_fd(&family, 1), input[1]);
    const struct spawn_record record = end_of(1);
    family_end(&family, added, &record);
    cr_expect_eq(fcntl(input[1], F_GETFD), -1, "nobody reads from it");
    cr_expect_eq(family_input_fd(&family, 1), -1);
    cr_expect_eq(family.birth_count, 0U);
    cr_expect_eq(fcntl(fault[0], F_GETFD), -1);
    cr_expect_eq(family_output_fd(&family, 1), output[0]);
    cr_expect(family_has_ended(&family, 1));
    cr_expect(family_forget(&family, 1));
    cr_expect_not(family_forget(&family, 1));
    cr_expect_eq(fcntl(output[0], F_GETFD), -1);
    cr_expect_eq(family_output_fd(&family, 1), -1);
    close(output[1]);
    close(input[0]);
    close(fault[1]);
    family_deinit(&family);
}

Test(family, the_oldest_end_is_dropped)
{
    cr_assert(family_init(&family));
    for (uint64_t id = 1; id <= SPAWN_ENDED_MAX + 1; id++) {
        const struct spawn_record record = end_of(id);
        family_note_end(&family, &record);
    }
    cr_expect_not(family_has_ended(&family, 1));
    cr_expect(family_has_ended(&family, 2));
    cr_expect(family_has_ended(&family, SPAWN_ENDED_MAX + 1));
    family_deinit(&family);
}

Test(family, adopted_processes_are_found_by_pid_and_session)
{
    cr_assert(family_init(&family));
    const struct adopted one = {.pid = 10, .session = 5, .owner = 1};
    const struct adopted two = {.pid = 11, .session = 11, .owner = 2};
    cr_expect(family_adopt(&family, &one));
    cr_expect(family_adopt(&family, &two));
    cr_expect_eq(family_find_adopted(&family, 10)->owner, 1U);
    cr_expect_eq(family_find_adopted_session(&family, 5)->owner, 1U);
    cr_expect_eq(family_find_adopted_session(&family, 10)->owner, 1U,
                 "it may have left its session");
    cr_expect_eq(family_find_adopted_session(&family, 11)->owner, 2U);
    family_remove_adopted(&family, 10);
    family_remove_adopted(&family, 99);
    cr_expect_null(family_find_adopted(&family, 10));
    cr_expect_not_null(family_find_adopted(&family, 11));
    while (family_adopt(&family, &one)) {
    }
    cr_expect_eq(family.adopted_count, (size_t)FAMILY_ADOPTED_MAX);
    family_deinit(&family);
}
