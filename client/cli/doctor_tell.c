/* What was found, for people and for programs: see doctor.h. */
#include "client/cli/doctor.h"

#include <string.h>

#include "client/cli/field.h"
#include "client/cli/output.h"
#include "client/cli/table.h"
#include "client/cli/text.h"

static const struct {
    const char *word;
    enum table_color color;
} words[DOCTOR_RESULT_COUNT] = {[DOCTOR_PASS] = {"PASS", TABLE_GOOD},
                                [DOCTOR_WARN] = {"WARN", TABLE_WARN},
                                [DOCTOR_FAIL] = {"FAIL", TABLE_BAD}};

void
doctor_print(const struct doctor_told *told, size_t count, FILE *out, bool has_color)
{
    static const char *const colors[] = {[TABLE_PLAIN] = "",
                                         [TABLE_GOOD] = "\033[32m",
                                         [TABLE_WARN] = "\033[33m",
                                         [TABLE_BAD] = "\033[31m"};
    for (size_t i = 0; i < count; i++) {
        const struct doctor_told *r = &told[i];
        const enum doctor_result its = r->finding.result;
        (void)fprintf(out, "%s%s%s  %s: %s\n", has_color ? colors[words[its].color] : "",
                      words[its].word, has_color ? "\033[0m" : "", r->name, r->finding.text);
        if (r->finding.advice[0] != '\0' && its != DOCTOR_PASS) {
            (void)fprintf(out, "      -> %s\n", r->finding.advice);
        }
    }
}

int
doctor_print_json(const struct cli *cli, const struct doctor_told *told, size_t count,
                  const char *path, const char *problems)
{
    prong_writer *w = prong_writer_new();
    prong_value object;
    if (w == NULL) {
        return output_no_memory(cli);
    }
    prong_writer_map(w, 3);
    prong_writer_key(w, "checks");
    prong_writer_array(w, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        struct doctor_told r = told[i];
        text_make_utf8(r.finding.text, strlen(r.finding.text));
        text_make_utf8(r.finding.advice, strlen(r.finding.advice));
        prong_writer_map(w, 4);
        field_put_text(w, "check", r.name);
        field_put_text(w, "result", words[r.finding.result].word);
        field_put_text(w, "text", r.finding.text);
        field_put_text(w, "advice", r.finding.result != DOCTOR_PASS ? r.finding.advice : "");
    }
    prong_writer_key(w, "bundle");
    if (path[0] != '\0') {
        prong_writer_string(w, path);
    } else {
        prong_writer_nil(w);
    }
    field_put_text(w, "not_whole", problems);
    const int code = prong_writer_finish(w, &object) == PRONG_OK
                         ? output_value(cli, &object)
                         : output_usage(cli, "%s", prong_writer_problem(w));
    prong_writer_free(w);
    return code;
}
