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
    spec.launch = (struct launch){.argc = 1, .envc = 1, .text = text, .text_bytes = sizeof text};
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

/* Each member that may differ, set to something else. */
static const struct spec_other others[2] = {{"a", SPEC_WHEN_READY}, {"b", SPEC_WHEN_STARTED}};

#define OTHER(member, value)                                                                       \
    static void other_##member(struct worker_spec *s)                                              \
    {                                                                                              \
        s->member = (value);                                                                       \
    }
OTHER(replicas, 7)
OTHER(restart, SPEC_RESTART_ALWAYS)
OTHER(stop_timeout_ms, 7)
OTHER(calls_max, 7)
OTHER(busy_ms_max, 7)
OTHER(cancel_ms, 7)
OTHER(ready, SPEC_READY_STARTED)
OTHER(ready_at, "8080")
OTHER(heartbeat_ms, 7)

static void
other_argc(struct worker_spec *s)
{
    s->launch.argc = 2;
}

static void
other_envc(struct worker_spec *s)
{
    s->launch.envc = 1;
}

static void
other_limitc(struct worker_spec *s)
{
    s->launch.limitc = 1;
}

static void
other_warmth(struct worker_spec *s)
{
    s->launch.is_warm = true;
}

static void
other_text(struct worker_spec *s)
{
    s->launch.text = "\0next";
}

static void
other_length(struct worker_spec *s)
{
    s->launch.text_bytes = 5;
}

static void
other_depends(struct worker_spec *s)
{
    s->depends = &others[1];
}

static void
other_when(struct worker_spec *s)
{
    static const struct spec_other later = {"a", SPEC_WHEN_COMPLETED};
    s->depends = &later;
}

static void
other_restart_with(struct worker_spec *s)
{
    s->restart_with = &others[1];
}

Test(spec, whatever_differs_is_noticed_and_some_of_it_wants_another_process)
{
    static const struct {
        void (*change)(struct worker_spec *s);
        bool process;
    } rows[] = {
        {other_replicas, false},  {other_restart, false},      {other_stop_timeout_ms, false},
        {other_calls_max, false}, {other_busy_ms_max, false},  {other_cancel_ms, false},
        {other_ready, true},      {other_ready_at, true},      {other_heartbeat_ms, true},
        {other_argc, true},       {other_envc, true},          {other_limitc, true},
        {other_text, true},       {other_length, true},        {other_depends, false},
        {other_when, false},      {other_restart_with, false}, {other_warmth, true},
    };
    struct worker_spec a;
    spec_defaults(&a);
    a.name = "a";
    a.launch = (struct launch){.argc = 1, .text = "\0true", .text_bytes = 6};
    a.depends = a.restart_with = &others[0];
    a.depend_count = a.restart_with_count = 1;
    struct worker_spec *copy = spec_copy(&a);
    cr_assert(copy != NULL && spec_is_same(&a, copy) && spec_is_same_process(copy, &a));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct worker_spec b = a;
        rows[i].change(&b);
        cr_assert(!spec_is_same(copy, &b), "row %zu", i);
        cr_assert_eq(spec_is_same_process(copy, &b), !rows[i].process, "row %zu", i);
    }
    spec_unref(spec_ref(copy));
    spec_unref(copy);
}
