/* `prong doctor`: runs the checks, gathers the parts, masks them and writes the bundle. */
#include "client/cli/doctor.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/bundle.h"
#include "client/cli/capture.h"
#include "client/cli/hub.h"
#include "client/cli/mask.h"
#include "client/cli/output.h"
#include "client/cli/table.h"
#include "client/cli/text.h"
#include "client/cli/unit.h"

enum {
    PART_MS = 10000,
    CHECK_MS = 8000,
    SECRETS_MS = 5000,
    PART_BYTES_MAX = 8 * 1024 * 1024,
    CHECKS_MAX = 32,
    LOG_FILES_MAX = 200,
    PROBLEMS_BYTES = 4096,
};

struct session {
    struct doctor doctor;
    struct mask mask;
    struct doctor_told results[CHECKS_MAX];
    size_t result_count;
    struct bundle bundle;
    char problems[PROBLEMS_BYTES]; /* which parts are not whole, one a line */
    size_t problem_count;
};

static struct capture_limits
limits_of(int64_t ms)
{
    return (struct capture_limits){unit_now_ms() + ms, PART_BYTES_MAX};
}

/* ---- checks --------------------------------------------------------------------------------- */

struct check_call {
    const struct doctor *doctor;
    const struct doctor_check *check;
};

/* In the child: a finding as three lines. */
static int
run_check(struct cli *cli, void *context, FILE *out)
{
    const struct check_call *call = context;
    struct doctor_finding f = {.result = DOCTOR_FAIL, .text = "", .advice = ""};
    call->check->run(cli, call->doctor, &f);
    table_make_safe(f.text);
    table_make_safe(f.advice);
    (void)fprintf(out, "%d\n%s\n%s\n", (int)f.result, f.text, f.advice);
    return CLI_OK;
}

static const char *
take_line(const char *at, char out[DOCTOR_TEXT_BYTES])
{
    const size_t n = strcspn(at, "\n");
    (void)snprintf(out, DOCTOR_TEXT_BYTES, "%.*s", (int)n, at);
    return at[n] != '\0' ? at + n + 1 : at + n;
}

/* What libraries said on stderr stands before the three lines. */
static bool
read_finding(const struct capture *c, struct doctor_finding *f)
{
    char number[DOCTOR_TEXT_BYTES];
    size_t lines = 0;
    const char *at = c->text + c->len;
    while (at > c->text && lines < 4) {
        at--;
        lines += *at == '\n';
    }
    at += lines == 4;
    at = take_line(at, number);
    const long result = strtol(number, NULL, 10);
    if (c->code != CLI_OK || number[0] < '0' || number[0] > '9' || result >= DOCTOR_RESULT_COUNT) {
        return false;
    }
    f->result = (enum doctor_result)result;
    at = take_line(at, f->text);
    (void)take_line(at, f->advice);
    return true;
}

static int
check(struct cli *cli, struct session *s, const struct doctor_check *c)
{
    struct check_call call = {&s->doctor, c};
    struct doctor_told *r = &s->results[s->result_count];
    struct capture capture;
    const struct capture_limits limits = limits_of(CHECK_MS);
    if ((c->needs_hub && !s->doctor.is_reachable) || (c->needs_dir && s->doctor.dir[0] == '\0') ||
        (c->needs_keeper && s->doctor.keeper <= 0)) {
        return CLI_OK;
    }
    if (!capture_call(cli, run_check, &call, &limits, &capture)) {
        return output_no_memory(cli);
    }
    *r = (struct doctor_told){.name = c->name};
    if (!capture.is_interrupted && !read_finding(&capture, &r->finding)) {
        doctor_found(&r->finding, DOCTOR_WARN, "%s",
                     capture.is_late ? "it could not be looked at in time"
                                     : "it could not be looked at");
    }
    s->result_count++;
    const int code = capture.is_interrupted ? 128 + cli->signal_number : CLI_OK;
    capture_deinit(&capture);
    return code;
}

static int
check_all(struct cli *cli, struct session *s)
{
    const struct doctor_check *(*const tables[])(size_t *) = {doctor_checks, doctor_system_checks};
    int code = CLI_OK;
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
        size_t count;
        const struct doctor_check *rows = tables[t](&count);
        for (size_t i = 0; i < count && code == CLI_OK && s->result_count < CHECKS_MAX; i++) {
            code = check(cli, s, &rows[i]);
            if (t == 0 && i == 0) { /* the first of all says whether the hub answers */
                s->doctor.is_reachable = s->results[0].finding.result == DOCTOR_PASS;
            }
        }
    }
    return code;
}

/* ---- parts ---------------------------------------------------------------------------------- */

struct part_call {
    const struct doctor *doctor;
    doctor_write *write; /* NULL: the end of the file `path` */
    const char *path;
};

/* In the child. */
static int
run_part(struct cli *cli, void *context, FILE *out)
{
    const struct part_call *call = context;
    return call->write != NULL ? call->write(cli, call->doctor, out)
                               : doctor_write_tail(call->path, out);
}

static void
note_problem(struct session *s, const char *name, const struct capture *c)
{
    const size_t used = strlen(s->problems);
    s->problem_count++;
    (void)snprintf(s->problems + used, sizeof s->problems - used, "%s: %s\n", name,
                   c->is_late  ? "it could not be read in time"
                   : c->is_cut ? "it is cut"
                               : "it is not whole, see there");
}

static int
add_masked(struct cli *cli, struct session *s, const char *name, char *text, size_t len)
{
    size_t masked_len;
    text_make_utf8(text, len);
    char *masked = mask_copy(&s->mask, text, len, &masked_len);
    const int code = masked != NULL ? bundle_add(cli, &s->bundle, name, masked, masked_len)
                                    : output_no_memory(cli);
    free(masked);
    return code;
}

static int
add_part(struct cli *cli, struct session *s, const char *name, struct part_call *call)
{
    struct capture capture;
    const struct capture_limits limits = limits_of(PART_MS);
    if (!capture_call(cli, run_part, call, &limits, &capture)) {
        return output_no_memory(cli);
    }
    int code = capture.is_interrupted ? 128 + cli->signal_number : CLI_OK;
    if (code == CLI_OK && (capture.code != CLI_OK || capture.is_late || capture.is_cut)) {
        note_problem(s, name, &capture);
    }
    code = code != CLI_OK ? code : add_masked(cli, s, name, capture.text, capture.len);
    capture_deinit(&capture);
    return code;
}

static int
add_table(struct cli *cli, struct session *s, const struct doctor_part *rows, size_t count)
{
    int code = CLI_OK;
    for (size_t i = 0; i < count && code == CLI_OK; i++) {
        struct part_call call = {&s->doctor, rows[i].write, NULL};
        if ((!rows[i].needs_hub || s->doctor.is_reachable) &&
            (!rows[i].needs_dir || s->doctor.dir[0] != '\0')) {
            code = add_part(cli, s, rows[i].name, &call);
        }
    }
    return code;
}

static int
is_log(const struct dirent *entry)
{
    const char *dot = strstr(entry->d_name, ".log");
    return dot != NULL && dot != entry->d_name && strlen(entry->d_name) < 80;
}

/* The end of each file of the workers' output, older ones included. */
static int
add_logs(struct cli *cli, struct session *s)
{
    struct dirent **entries = NULL;
    char path[PATH_MAX + 256], name[128];
    int code = CLI_OK;
    const int n =
        s->doctor.log_dir[0] != '\0' ? scandir(s->doctor.log_dir, &entries, is_log, alphasort) : 0;
    for (int i = 0; i < n; i++) {
        if (code == CLI_OK && i < LOG_FILES_MAX) {
            struct part_call call = {&s->doctor, NULL, path};
            (void)snprintf(path, sizeof path, "%s/%s", s->doctor.log_dir, entries[i]->d_name);
            (void)snprintf(name, sizeof name, "workers/%.80s", entries[i]->d_name);
            code = add_part(cli, s, name, &call);
        }
        free(entries[i]);
    }
    free(entries);
    return code;
}

/* Secrets are read in a child, too, because a sick process can hang whoever reads of it. */
static int
learn_secrets(struct cli *cli, struct session *s)
{
    struct part_call call = {&s->doctor, doctor_write_secrets, NULL};
    struct capture capture;
    const struct capture_limits limits = limits_of(SECRETS_MS);
    if (!capture_call(cli, run_part, &call, &limits, &capture)) {
        return output_no_memory(cli);
    }
    bool ok = true;
    for (const char *at = capture.text; ok && *at != '\0';) {
        const size_t n = strcspn(at, "\n");
        ok = mask_learn(&s->mask, at, n);
        at += n + (at[n] == '\n');
    }
    const int code = capture.is_interrupted ? 128 + cli->signal_number : CLI_OK;
    capture_deinit(&capture);
    return ok ? code : output_no_memory(cli);
}

static int
add_results(struct cli *cli, struct session *s)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (out == NULL) {
        return output_no_memory(cli);
    }
    doctor_print(s->results, s->result_count, out, false);
    (void)fprintf(out, "\nParts that are not whole:\n%s",
                  s->problem_count > 0 ? s->problems : "none\n");
    const bool ok = fclose(out) == 0;
    const int code = ok ? add_masked(cli, s, "checks.txt", text, len) : output_no_memory(cli);
    free(text);
    return code;
}

/* ---- the verb ------------------------------------------------------------------------------- */

static int
gather(struct cli *cli, struct session *s)
{
    size_t count;
    const struct doctor_part *rows = doctor_parts(&count);
    int code = learn_secrets(cli, s);
    code = code != CLI_OK ? code : add_table(cli, s, rows, count);
    rows = doctor_hub_parts(&count);
    code = code != CLI_OK ? code : add_table(cli, s, rows, count);
    code = code != CLI_OK ? code : add_logs(cli, s);
    return code != CLI_OK ? code : add_results(cli, s);
}

static int
write_bundle(struct cli *cli, struct session *s, char path[PATH_MAX])
{
    int code = bundle_open(cli, cli->options.bundle, &s->bundle);
    if (code != CLI_OK) {
        return code;
    }
    (void)snprintf(path, PATH_MAX, "%s", s->bundle.path);
    code = gather(cli, s);
    code = bundle_close(cli, &s->bundle, code);
    if (code == CLI_OK) {
        output_note(cli,
                    "wrote %s%s; secrets are masked by their names: look at it before you send it",
                    path, s->problem_count > 0 ? " (some parts are not whole)" : "");
    }
    return code;
}

static int
report(const struct cli *cli, const struct session *s, const char *path)
{
    const enum output_form form = output_form(cli);
    bool has_failed = false;
    int code = CLI_OK;
    if (form == OUTPUT_JSON || form == OUTPUT_JSONL) {
        code = doctor_print_json(cli, s->results, s->result_count, path, s->problems);
    } else {
        doctor_print(s->results, s->result_count, stdout, cli->out_has_color);
    }
    for (size_t i = 0; i < s->result_count; i++) {
        has_failed |= s->results[i].finding.result == DOCTOR_FAIL;
    }
    return code != CLI_OK ? code : has_failed ? CLI_FAILED : CLI_OK;
}

int
verb_doctor(struct cli *cli)
{
    static const char *const forms[] = {"table", "json", "jsonl", "raw"};
    char path[PATH_MAX] = "";
    for (size_t i = 0; cli->options.bundle != NULL && i < sizeof forms / sizeof forms[0]; i++) {
        if (strcmp(cli->options.bundle, forms[i]) == 0) {
            return output_usage(cli, "-o is the file of the bundle here; for JSON say -j");
        }
    }
    struct session *s = calloc(1, sizeof *s);
    if (s == NULL || !hub_take_signals(cli)) {
        free(s);
        return output_no_memory(cli);
    }
    s->bundle.fd = -1;
    int code = doctor_look(cli, &s->doctor);
    code = code != CLI_OK ? code : check_all(cli, s);
    const int written = code != CLI_OK || cli->options.check ? code : write_bundle(cli, s, path);
    if (code == CLI_OK) {
        code = report(cli, s, written == CLI_OK ? path : "");
    }
    mask_deinit(&s->mask);
    free(s);
    return written != CLI_OK ? written : code;
}
