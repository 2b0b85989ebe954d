/* Reading limits: what is taken and as what, what is refused and why. */
#include <stdio.h>
#include <string.h>

#include "broker/spawn/limits.h"
#include "tests/support/test.h"

struct taken {
    enum limit limit;
    const char *value;
    rlim_t soft, hard;
};

static const struct taken resources[] = {
    {LIMIT_RLIM_NOFILE, "1024", 1024, 1024},
    {LIMIT_RLIM_NOFILE, "1024:4096", 1024, 4096},
    {LIMIT_RLIM_NOFILE, "512:unlimited", 512, RLIM_INFINITY},
    {LIMIT_RLIM_NOFILE, "unlimited", RLIM_INFINITY, RLIM_INFINITY},
    {LIMIT_RLIM_NPROC, "0", 0, 0},
    {LIMIT_RLIM_CORE, "0", 0, 0},
    {LIMIT_RLIM_CORE, "0:1GiB", 0, 1 << 30},
    {LIMIT_RLIM_AS, "3KiB:4MiB", 3 << 10, 4 << 20},
    {LIMIT_RLIM_FSIZE, "17B", 17, 17},
    {LIMIT_RLIM_CPU, "90s:2m", 90, 120},
    {LIMIT_RLIM_CPU, "1h", 3600, 3600},
    {LIMIT_RLIM_RTTIME, "200ms:1s", 200000, 1000000},
    {LIMIT_RLIM_RTPRIO, "99", 99, 99},
    {LIMIT_RLIM_STACK, "64KiB", 65536, 65536},
};

Test(limits, limits_of_resources_are_read_with_their_units)
{
    for (size_t i = 0; i < sizeof resources / sizeof resources[0]; i++) {
        const struct taken *row = &resources[i];
        struct limits limits = {0};
        char why[LIMITS_WHY_BYTES] = "";
        cr_expect(limits_set(&limits, row->limit, row->value, why), "%s: %s", row->value, why);
        cr_expect(limits_has(&limits, row->limit), "%s", row->value);
        const struct rlimit *got = &limits.resources[row->limit];
        cr_expect(got->rlim_cur == row->soft && got->rlim_max == row->hard, "%s: %llu:%llu",
                  row->value, (unsigned long long)got->rlim_cur, (unsigned long long)got->rlim_max);
    }
}

struct refused {
    enum limit limit;
    const char *value, *why;
};

static const struct refused wrong[] = {
    {LIMIT_RLIM_NOFILE, "", "there is no number in it"},
    {LIMIT_RLIM_NOFILE, "many", "there is no number in it"},
    {LIMIT_RLIM_NOFILE, "12x", "'x' is not one of the units"},
    {LIMIT_RLIM_NOFILE, "1024:", "there is no number in it"},
    {LIMIT_RLIM_NOFILE, ":1024", "there is no number in it"},
    {LIMIT_RLIM_NOFILE, "1024:4096:8192", "':8192' is not one of the units"},
    {LIMIT_RLIM_NOFILE, "4096:1024", "the soft limit, which comes first, is above the hard one"},
    {LIMIT_RLIM_NOFILE, "unlimited:1024",
     "the soft limit, which comes first, is above the hard one"},
    {LIMIT_RLIM_NOFILE, "-1", "that is too small"},
    {LIMIT_RLIM_NOFILE, "7", "that is too small"},
    {LIMIT_RLIM_NOFILE, "99999999999999999999", "that is too large"},
    {LIMIT_RLIM_NOFILE, "01024", "a number must not begin with 0, which elsewhere means octal"},
    {LIMIT_RLIM_NOFILE, "1024 ", "' ' is not one of the units"},
    {LIMIT_RLIM_NOFILE, "Unlimited", "there is no number in it"},
    {LIMIT_RLIM_NOFILE, "123456789012345678901234567890123456789012345678", "that is too long"},
    {LIMIT_RLIM_AS, "1024", "the unit is missing"},
    {LIMIT_RLIM_AS, "1G", "'G' is not one of the units"},
    {LIMIT_RLIM_AS, "9007199254740992GiB", "that is too large"},
    {LIMIT_RLIM_CPU, "100ms", "'ms' is not one of the units"},
    {LIMIT_RLIM_CPU, "0", "that is too small"},
    {LIMIT_RLIM_RTPRIO, "100", "that is too large"},
    {LIMIT_RLIM_STACK, "4KiB", "that is too small"},
    {LIMIT_NICE, "20", "that is too large"},
    {LIMIT_NICE, "-21", "that is too small"},
    {LIMIT_NICE, "+1", "there is no number in it"},
    {LIMIT_OOM_SCORE_ADJUST, "1001", "that is too large"},
    {LIMIT_OOM_SCORE_ADJUST, "-1001", "that is too small"},
    {LIMIT_CPU_AFFINITY, "", "a CPU is a number, or a range such as 2-5"},
    {LIMIT_CPU_AFFINITY, "0,", "a CPU is a number, or a range such as 2-5"},
    {LIMIT_CPU_AFFINITY, "%i", "a CPU is a number, or a range such as 2-5"},
    {LIMIT_CPU_AFFINITY, "0x3", "a CPU is a number, or a range such as 2-5"},
    {LIMIT_CPU_AFFINITY, "2-", "a range has a number at each end, such as 2-5"},
    {LIMIT_CPU_AFFINITY, "5-2", "a range begins with its lowest CPU"},
    {LIMIT_CPU_AFFINITY, "1024", "CPUs are numbered from 0 to 1023"},
    {LIMIT_CPU_AFFINITY, "0-99999999999999999999", "CPUs are numbered from 0 to 1023"},
    {LIMIT_SCHED, "", "there is no such policy"},
    {LIMIT_SCHED, "FIFO:1", "there is no such policy"},
    {LIMIT_SCHED, "fifo", "fifo needs a priority, such as fifo:10"},
    {LIMIT_SCHED, "rr:0", "that is too small"},
    {LIMIT_SCHED, "rr:100", "that is too large"},
    {LIMIT_SCHED, "batch:1", "batch has no priority; nice is what ranks its processes"},
    {LIMIT_UMASK, "", "it has to be of 1 to 4 digits from 0 to 7"},
    {LIMIT_UMASK, "028", "it has to be of 1 to 4 digits from 0 to 7"},
    {LIMIT_UMASK, "00022", "it has to be of 1 to 4 digits from 0 to 7"},
    {LIMIT_UMASK, "1777", "that is too large"},
    {LIMIT_USER, "nobody", "it has to be a number below 4294967295"},
    {LIMIT_USER, "4294967295", "it has to be a number below 4294967295"},
    {LIMIT_USER, "12nobody", "behind the number may come /NAME"},
    {LIMIT_GROUP, "", "it has to be a number below 4294967295"},
    {LIMIT_GROUPS, "1,2,", "groups are numbers with commas between them"},
    {LIMIT_GROUPS, "1;2", "groups are numbers with commas between them"},
    {LIMIT_NO_NEW_PRIVS, "false", "only true means anything here"},
    {LIMIT_CGROUP, "yes", "there is no such word"},
    {LIMIT_MEMORY_MAX, "1000KiB", "that is too small"},
    {LIMIT_MEMORY_HIGH, "0", "that is too small"},
    {LIMIT_MEMORY_SWAP_MAX, "64", "the unit is missing"},
    {LIMIT_CPU_WEIGHT, "0", "that is too small"},
    {LIMIT_CPU_WEIGHT, "10001", "that is too large"},
    {LIMIT_CPU_WEIGHT, "unlimited", "there is no number in it"},
    {LIMIT_CPU_MAX, "50", "the % is missing"},
    {LIMIT_CPU_MAX, "0%", "that is too small"},
    {LIMIT_CPU_MAX, "1.5%", "'.5' is not one of the units"},
    {LIMIT_PIDS_MAX, "0", "that is too small"},
};

Test(limits, what_is_wrong_is_refused_with_the_reason_and_changes_nothing)
{
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        static const struct limits none;
        struct limits limits;
        char why[LIMITS_WHY_BYTES] = "";
        memset(&limits, 0, sizeof limits);
        cr_expect_not(limits_set(&limits, wrong[i].limit, wrong[i].value, why), "%s '%s'",
                      limits_key(wrong[i].limit), wrong[i].value);
        cr_expect_str_eq(why, wrong[i].why, "%s '%s': %s", limits_key(wrong[i].limit),
                         wrong[i].value, why);
        cr_expect(memcmp(&limits, &none, sizeof limits) == 0, "%s '%s' left something",
                  limits_key(wrong[i].limit), wrong[i].value);
        cr_expect_not(limits_set(&limits, wrong[i].limit, wrong[i].value, NULL));
    }
}

Test(limits, everything_else_is_read_too)
{
    static const char *const settings[] = {
        "nice=-20",
        "oom_score_adjust=-1000",
        "cpu_affinity=0,2-4,1023",
        "sched=rr:99",
        "umask=027",
        "user=65534/nobody",
        "group=12",
        "groups=1,2,4294967294",
        "no_new_privs=true",
        "memory_max=2GiB",
        "memory_high=unlimited",
        "cpu_weight=10000",
        "cpu_max=150%",
        "pids_max=64",
        "cgroup=required",
    };
    struct limits limits = {0};
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        cr_expect(limits_add(&limits, settings[i]), "%s", settings[i]);
        cr_expect_not(limits_add(&limits, settings[i]), "%s twice", settings[i]);
    }
    cr_expect(limits.nice == -20 && limits.oom_score_adjust == -1000, "numbers");
    cr_expect(CPU_COUNT(&limits.cpus) == 5 && CPU_ISSET(0, &limits.cpus) &&
                  CPU_ISSET(3, &limits.cpus) && CPU_ISSET(1023, &limits.cpus),
              "CPUs");
    cr_expect(limits.sched_policy == SCHED_RR && limits.sched_priority == 99, "policy");
    cr_expect(limits.umask == 027 && limits.user == 65534 && limits.group == 12, "account");
    cr_expect(limits.group_count == 3 && limits.groups[2] == 4294967294U, "groups");
    cr_expect(limits.memory_bytes_max == INT64_C(2) << 30 &&
                  limits.memory_bytes_high == LIMITS_NO_BOUND,
              "memory");
    cr_expect(limits.cpu_weight == 10000 && limits.cpu_percent_max == 150 &&
                  limits.pids_max == 64 && limits.is_cgroup_required,
              "cgroup");
    cr_expect_not(limits_has(&limits, LIMIT_RLIM_AS));
    cr_expect_not(limits_has(NULL, LIMIT_NICE));
}

Test(limits, a_setting_needs_a_known_key_and_its_sign)
{
    static const char *const bad[] = {"",      "=",       "nice",   "nice:5",
                                      "nic=5", "nicer=5", "Nice=5", "=5"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct limits limits = {0};
        cr_expect_not(limits_add(&limits, bad[i]), "%s", bad[i]);
    }
}

Test(limits, no_groups_at_all_is_a_list_too_and_there_is_a_most)
{
    static char many[LIMITS_GROUPS_MAX * 2 + 16] = "groups=";
    struct limits limits = {0};
    cr_expect(limits_add(&limits, "groups="));
    cr_expect_eq(limits.group_count, 0U);
    size_t used = strlen(many);
    for (int i = 0; i < LIMITS_GROUPS_MAX; i++) {
        used += (size_t)snprintf(many + used, sizeof many - used, "%s7", i > 0 ? "," : "");
    }
    limits = (struct limits){0};
    cr_expect(limits_add(&limits, many));
    cr_expect_eq(limits.group_count, (size_t)LIMITS_GROUPS_MAX);
    (void)snprintf(many + used, sizeof many - used, ",7");
    limits = (struct limits){0};
    cr_expect_not(limits_add(&limits, many));
}
