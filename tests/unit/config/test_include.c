/* Several files as one configuration. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/config/config.h"
#include "tests/support/test.h"
#include "tests/unit/config/helper.h"

#define FILES(rows) helper_files(rows, sizeof rows / sizeof rows[0])

Test(config_include, files_are_read_in_the_order_of_the_list_and_of_their_names)
{
    static const struct helper_file rows[] = {
        {"/etc/prong/conf.d/.hidden.yaml", "hub: {nothing: to see}", 0},
        {"/etc/prong/conf.d/1.yaml", "include: more/x.yaml\nworkers: {c: {command: [run]}}\n", 0},
        {"/etc/prong/conf.d/2.yaml", "workers: {e: {command: [run]}}\n", 0},
        {"/etc/prong/conf.d/more/x.yaml", "workers: {d: {command: [run]}}\n", 0},
        {"/etc/prong/conf.d/text.txt", "no yaml: [", 0},
        {"/srv/b.yaml", "workers: {b: {command: [run]}}\n", 0},
    };
    FILES(rows);
    struct config *config = helper_load("include: [\"${NONE:-/srv}/b.yaml\", \"conf.d/*.yaml\", "
                                        "\"nothing/*.yaml\"]\nworkers: {a: {command: [run]}}\n");
    cr_assert_eq(config->worker_count, 5);
    for (size_t i = 0; i < 5; i++) {
        const char name[] = {(char)('a' + i), '\0'};
        cr_expect_str_eq(config->workers[i].name, name);
    }
    config_free(config);
}

Test(config_include, paths_begin_at_the_folder_of_their_own_file)
{
    static const struct helper_file rows[] = {
        {"/etc/prong/sub/a.yaml",
         "hub: {token_file: t}\ndefaults: {env_file: [\"-missing.env\"]}\n"
         "workers: {a: {command: [run]}, b: {command: [run], working_dir: w}}\n",
         0},
    };
    FILES(rows);
    struct config *config =
        helper_load("include: sub/a.yaml\nhub: {log_dir: l}\nworkers: {m: {command: [run]}}\n");
    cr_expect_str_eq(config->directory, "/etc/prong");
    cr_expect_str_eq(config->hub.token_file, "/etc/prong/sub/t");
    cr_expect_str_eq(config->hub.log_dir, "/etc/prong/l");
    cr_expect_str_eq(config->workers[0].working_dir, "/etc/prong");
    cr_expect_str_eq(config->workers[1].working_dir, "/etc/prong/sub");
    cr_expect_str_eq(config->workers[2].working_dir, "/etc/prong/sub/w");
    cr_expect_str_eq(config->workers[0].env_file.items[0], "-/etc/prong/sub/missing.env");
    config_free(config);
}

Test(config_include, defaults_hold_for_the_workers_of_all_files)
{
    static const struct helper_file rows[] = {
        {"/etc/prong/a.yaml", "workers: {a: {command: [run]}}\n", 0},
        {"/etc/prong/b.yaml", "defaults: {replicas: 3}\n", 0},
    };
    FILES(rows);
    struct config *config = helper_load("include:\n  - a.yaml\n  - b.yaml\ndefaults: {queue_size: "
                                        "7}\nworkers: {m: {command: [x]}}\n");
    for (size_t i = 0; i < 2; i++) {
        cr_expect_eq(config->workers[i].replicas, 3);
        cr_expect_eq(config->workers[i].queue_size, 7);
    }
    config_free(config);
}

Test(config_include, an_included_file_may_be_empty_and_include_may_have_nothing)
{
    static const struct helper_file rows[] = {{"/etc/prong/a.yaml", "# all commented out\n", 0}};
    FILES(rows);
    config_free(helper_load("include: a.yaml\n"));
    config_free(helper_load("include:\n"));
    config_free(helper_load("include: []\n"));
}

/* What is special in a pattern has no such meaning in the folder that the file happens to be in. */
Test(config_include, the_folder_of_the_file_is_no_pattern)
{
    static const struct helper_file rows[] = {
        {"/srv/[x]/conf.d/a.yaml", "workers: {a: {command: [run]}}\n", 0},
        {"/srv/x/conf.d/a.yaml", "no: good", 0},
    };
    static const char text[] = "include: conf.d/*.yaml\n";
    const struct config_source source = {"p.yaml", "/srv/[x]", text, strlen(text), false};
    struct config *config = NULL;
    struct config_diag diag;
    FILES(rows);
    cr_assert_eq(config_load_text(&source, &helper_env, &config, &diag), 0, "%s", diag.text);
    cr_expect_eq(config->worker_count, 1);
    config_free(config);
}

Test(config_include, what_is_wrong_is_told_with_the_file_it_is_in)
{
    static const struct helper_file rows[] = {
        {"/etc/prong/again.yaml", "workers:\n  m: {command: [run]}\n", 0},
        {"/etc/prong/delay.yaml", "workers: {d: {command: [x], max_restart_delay: 1s}}\n", 0},
        {"/etc/prong/deep.yaml", "include: sub/deeper.yaml\n", 0},
        {"/etc/prong/gone.yaml", NULL, 0},
        {"/etc/prong/hub.yaml", "hub:\n  group: a\n", 0},
        {"/etc/prong/loop.yaml", "# first\ninclude: sub/loop.yaml\n", 0},
        {"/etc/prong/self.yaml", "include: \"sel?.yaml\"\n", 0},
        {"/etc/prong/sub/deeper.yaml", "workers: {x: {replicas: 0}}\n", 0},
        {"/etc/prong/sub/loop.yaml", "include: ../loop.yaml\n", 0},
        {"/etc/prong/sub/../loop.yaml", "include: /etc/prong/loop.yaml\n", 0},
        {"/etc/prong/syntax.yaml", "workers: {a: {\n", 0},
        {"/etc/prong/utf8.yaml", "hub:\n  group: \"\xff\"\n", 0},
        {"/etc/prong/x.yaml", "hub: {}\n", 0},
        {"/srv/far.yaml", "hub: {grup: a}\n", 0},
    };
    static const char *const bad[][2] = {
        {"include: again.yaml\nworkers: {m: {command: [x]}}\n",
         "again.yaml:2:3: 'm' is given twice in 'workers'; first in x.yaml:2:11"},
        {"hub: {group: b}\ninclude: hub.yaml\n",
         "hub.yaml:2:3: 'group' is given twice in 'hub'; first in x.yaml:1:7"},
        {"include: deep.yaml\n",
         "sub/deeper.yaml:1:25: 'replicas' must be a whole number from 1 to "
         "256, got '0': that is too small"},
        {"include: loop.yaml\n", "sub/../loop.yaml:1:10: 'loop.yaml' would be included in itself"},
        {"include: self.yaml\n", "self.yaml:1:10: 'self.yaml' would be included in itself"},
        {"include: x.yaml\n", "x.yaml:1:10: 'x.yaml' would be included in itself"},
        {"include:\n  - hub.yaml\n  - h*.yaml\n",
         "x.yaml:3:5: 'hub.yaml' is included twice; first in line 2"},
        {"include: nowhere.yaml\n",
         "x.yaml:1:10: cannot include 'nowhere.yaml': No such file or directory"},
        {"include: gon*\n", "x.yaml:1:10: cannot include 'gone.yaml': No such file or directory"},
        {"include: /srv/far.yaml\n", "/srv/far.yaml:1:7: unknown key 'grup' in 'hub'; did you mean "
                                     "'group'? Allowed:"},
        {"include: delay.yaml\ndefaults: {restart_delay: 5s}\n",
         "delay.yaml:1:29: 'max_restart_delay' of worker 'd' must not be less than its "
         "'restart_delay' in x.yaml:2:12"},
        {"include: syntax.yaml\n", "syntax.yaml:2:1: did not find expected node content"},
        {"include: utf8.yaml\n", "utf8.yaml:2:11: the file has to be plain text in UTF-8"},
        {"include: {a: b}\n",
         "x.yaml:1:10: 'include' must be a path or a list of paths, got a map"},
        {"include: [[a]]\n", "x.yaml:1:11: what stands in 'include' must be texts, got a list"},
        {"include: [~]\n", "x.yaml:1:11: a value is missing in 'include'"},
        {"include: ''\n", "x.yaml:1:10: 'include' must be a path of 1 to 4095 bytes"},
        {"include: ~/a.yaml\n", "x.yaml:1:10: 'include' cannot be '~/a.yaml': ~ is not the home"},
        {"include: a.yaml\ninclude: b.yaml\n",
         "x.yaml:2:1: 'include' is given twice in the file; first in line 1"},
        {"hub: {include: a.yaml}\n", "x.yaml:1:7: unknown key 'include' in 'hub'. Allowed:"},
        {"include: \"a\\eM.yaml\"\n",
         "x.yaml:1:10: cannot include 'a?M.yaml': No such file or directory"},
    };
    FILES(rows);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const char *got = helper_fail(bad[i][0]);
        cr_expect(strncmp(got, bad[i][1], strlen(bad[i][1])) == 0, "%s\n gives    %s\n expected %s",
                  bad[i][0], got, bad[i][1]);
    }
}

Test(config_include, the_same_file_by_another_name_is_seen_by_what_it_is)
{
    struct config *config = NULL;
    struct config_diag diag;
    FILE *file = fopen("one.yaml", "we");
    cr_assert_not_null(file);
    fputs("include: [./two.yaml]\n", file);
    cr_assert_eq(fclose(file), 0);
    cr_assert_eq(symlink("one.yaml", "two.yaml"), 0);
    cr_assert_eq(config_load("one.yaml", &config_env_process, &config, &diag), -1);
    cr_expect_str_eq(diag.text, "'two.yaml' would be included in itself");
}

Test(config_include, a_chain_of_files_has_a_limit)
{
    static char paths[20][32], texts[20][32];
    static struct helper_file rows[20];
    for (int i = 0; i < 20; i++) {
        snprintf(paths[i], sizeof paths[i], "/etc/prong/%02d.yaml", i);
        snprintf(texts[i], sizeof texts[i], "include: %02d.yaml\n", i + 1);
        rows[i] = (struct helper_file){paths[i], texts[i], 0};
    }
    helper_files(rows, 20);
    cr_expect_str_eq(helper_fail("include: 00.yaml\n"),
                     "07.yaml:1:10: files may be included at most 8 deep");
    snprintf(texts[7], sizeof texts[7], "hub: {group: a}\n");
    config_free(helper_load("include: 00.yaml\n"));
}

/* The limits of one file hold for all of them together. */
Test(config_include, all_files_together_have_the_limits_of_a_configuration)
{
    static char paths[300][32], texts[300][100];
    static struct helper_file rows[300];
    for (int i = 0; i < 300; i++) {
        snprintf(paths[i], sizeof paths[i], "/etc/prong/d/%03d.yaml", i);
        snprintf(texts[i], sizeof texts[i],
                 "workers: {a%d: {command: [run]}, b%d: {command: [run]}}\n", i, i);
        rows[i] = (struct helper_file){paths[i], texts[i], 0};
    }
    helper_files(rows, 300);
    cr_expect_str_eq(helper_fail("include: d/*\n"),
                     "x.yaml:1:10: a configuration may have at most 256 files");
    helper_files(rows, 200);
    cr_expect_str_eq(helper_fail("include: d/*\n"),
                     "d/128.yaml:1:11: there may be at most 256 workers");
    helper_files(rows, 128);
    struct config *config = helper_load("include: d/*\n");
    cr_expect_eq(config->worker_count, CONFIG_WORKERS_MAX);
    config_free(config);
}

Test(config_include, without_files_both_keys_are_refused)
{
    static const char *const texts[] = {"include: a.yaml\n",
                                        "workers: {a: {command: [x], env_file: a}}\n"};
    static const char *const want[] = {"files cannot be included here",
                                       "an 'env_file' cannot be read here"};
    for (size_t i = 0; i < 2; i++) {
        const struct config_source source = {"p.yaml", "/srv", texts[i], strlen(texts[i]), false};
        struct config *config = NULL;
        struct config_diag diag;
        cr_assert_eq(config_load_text(&source, NULL, &config, &diag), -1);
        cr_expect_str_eq(diag.text, want[i]);
    }
}
