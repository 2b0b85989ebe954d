/* Prints docs/supervision.md: its text is supervision.md.in beside this file, and a line @NAME@ in
 * it stands for a table that is made from the tables the code is made from, so that neither can say
 * what the other does not do. Run by the target prong-generate. */
#include <stdio.h>
#include <string.h>

enum state {
#define LIFE(name, text, meaning) STATE_##name,
#include "broker/core/life.def"
#undef LIFE
    STATE_COUNT,
};

enum input {
#define LIFE_INPUT(name, text) INPUT_##name,
#include "broker/core/life.def"
#undef LIFE_INPUT
    INPUT_COUNT,
};

enum action {
#define LIFE_ACTION(name, text) ACTION_##name,
#include "broker/core/life.def"
#undef LIFE_ACTION
    ACTION_COUNT,
};

static const struct {
    const char *text, *meaning;
} states[] = {
#define LIFE(name, text, meaning) {text, meaning},
#include "broker/core/life.def"
#undef LIFE
};

static const char *const inputs[] = {
#define LIFE_INPUT(name, text) text,
#include "broker/core/life.def"
#undef LIFE_INPUT
};

static const struct {
    const char *name, *text;
} actions[] = {
#define LIFE_ACTION(name, text) {#name, text},
#include "broker/core/life.def"
#undef LIFE_ACTION
};

static const struct {
    enum state next;
    enum action action;
} cells[STATE_COUNT][INPUT_COUNT] = {
#define LIFE_CELL(state, input, next, action)                                                      \
    [STATE_##state][INPUT_##input] = {STATE_##next, ACTION_##action},
#include "broker/core/life.def"
#undef LIFE_CELL
};

static void
print_states(void)
{
    puts("| state | meaning |\n|---|---|");
    for (size_t i = 0; i < STATE_COUNT; i++) {
        printf("| `%s` | %s |\n", states[i].text, states[i].meaning);
    }
}

/* One row for each input, one column for each state. */
static void
print_cells(void)
{
    printf("| what happens |");
    for (size_t s = 0; s < STATE_COUNT; s++) {
        printf(" %s |", states[s].text);
    }
    printf("\n|---|");
    for (size_t s = 0; s < STATE_COUNT; s++) {
        printf("---|");
    }
    for (size_t i = 0; i < INPUT_COUNT; i++) {
        printf("\n| %s |", inputs[i]);
        for (size_t s = 0; s < STATE_COUNT; s++) {
            const enum action action = cells[s][i].action;
            if (action == ACTION_IMPOSSIBLE) {
                printf(" - |");
            } else if (action == ACTION_NONE) {
                printf(" %s |", states[cells[s][i].next].text);
            } else {
                printf(" %s, %s |", states[cells[s][i].next].text, actions[action].name);
            }
        }
    }
    putchar('\n');
}

static void
print_actions(void)
{
    puts("| action | what it does |\n|---|---|");
    for (size_t i = 0; i < ACTION_COUNT; i++) {
        if (actions[i].text[0] != '\0' && i != ACTION_IMPOSSIBLE) {
            printf("| %s | %s |\n", actions[i].name, actions[i].text);
        }
    }
}

static void
print_exits(void)
{
    puts("| exit code | what it means | what follows |\n|---|---|---|");
#define CLEAN                             "it is started again only with `restart: always`"
#define AGAIN                             "it is started again, unless `restart: no`, and it counts for no crash loop"
#define NEVER                             "it has failed, whatever `restart` says"
#define EXIT_CODE(code, verdict, meaning) puts("| " #code " | " meaning " | " verdict " |");
#include "broker/core/exit.def"
#undef EXIT_CODE
#undef CLEAN
#undef AGAIN
#undef NEVER
    puts("| any other, or a signal | a death | it is started again after a pause, unless `restart: "
         "no`; "
         "more than `max_restarts` in `restart_window` and it has failed |");
}

static const struct {
    const char *name;
    void (*print)(void);
} tables[] = {
    {"@STATES@\n", print_states},
    {"@CELLS@\n", print_cells},
    {"@ACTIONS@\n", print_actions},
    {"@EXITS@\n", print_exits},
};

static void
print_line(const char *line)
{
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        if (strcmp(line, tables[i].name) == 0) {
            tables[i].print();
            return;
        }
    }
    fputs(line, stdout);
}

int
main(int argc, char *argv[])
{
    char line[4096];
    FILE *in = argc == 2 ? fopen(argv[1], "re") : NULL;
    if (in == NULL) {
        fprintf(stderr, "usage: prong-docs supervision.md.in\n");
        return 64;
    }
    while (fgets(line, sizeof line, in) != NULL) {
        print_line(line);
    }
    const int failed = ferror(in) || fflush(stdout) != 0 || ferror(stdout);
    fclose(in);
    return failed ? 74 : 0;
}
