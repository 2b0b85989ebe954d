/* Specifications of workers. */
#include "broker/core/spec.h"
#include "tests/support/test.h"

#include <string.h>

Test(spec, the_defaults_restart_on_failure_with_a_second_chance)
{
    struct worker_spec spec;
    memset(&spec, 0xff, sizeof spec);
    spec_defaults(&spec);
    cr_assert(spec.name == NULL && spec.launch.text == NULL && spec.launch.argc == 0, "no texts");
    cr_assert(spec.replicas == 1 && spec.autostart && spec.restart == SPEC_RESTART_ON_FAILURE,
              "policy");
    cr_assert(spec.restart_delay_ms > 0 && spec.restart_delay_ms <= spec.restart_delay_ms_max,
              "delays");
    cr_assert(spec.stop_signal == 15 && spec.stop_timeout_ms > 0 && spec.start_timeout_ms > 0,
              "times");
    cr_assert(spec.ready == SPEC_READY_ATTACH && spec.queue_max > 0, "the rest");
}

Test(spec, a_copy_owns_its_texts)
{
    char name[] = "echo", text[] = "/tmp\0true\0A=1";
    struct worker_spec spec;
    spec_defaults(&spec);
    spec.name = name;
    spec.launch = (struct launch){1, 1, text, sizeof text, 0};
    spec.queue_max = 77;
    struct worker_spec *copy = spec_copy(&spec);
    cr_assert_not_null(copy, "no memory");
    memset(name, 'x', sizeof name - 1);
    memset(text, 'x', sizeof text - 1);
    cr_assert_str_eq(copy->name, "echo", "name");
    cr_assert_arr_eq(copy->launch.text, "/tmp\0true\0A=1", sizeof text, "text");
    cr_assert(copy->launch.text_bytes == sizeof text && copy->queue_max == 77, "numbers");
    spec_unref(copy);
}

Test(spec, a_copy_without_texts_and_freeing_nothing_are_fine)
{
    struct worker_spec spec;
    spec_defaults(&spec);
    spec.name = "";
    struct worker_spec *copy = spec_copy(&spec);
    cr_assert(copy != NULL && copy->name[0] == '\0', "no name");
    spec_unref(copy);
    spec_unref(NULL);
}
