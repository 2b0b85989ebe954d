/* A frontend that hashes many files, read from stdin one path a line.
 *
 *   find /usr/share -type f | digest            prints as sha256sum does, in the order of the list
 *   find /usr/share -type f | digest --keys     a call for each file, to the replica of its folder
 *   find /usr/share -type f | digest --cancel-after 100   gives up after so many outcomes
 *
 * Without --keys all files are one call: the hub hands them to whichever replica is free. */
#include <prong/prong.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SETS_MAX = 65536, IN_FLIGHT = 64, BAR = 40, TIMEOUT_MS = 600000 };

struct totals {
    unsigned long done, failed, cached, total;
    unsigned long long bytes;
};

static void
show_bar(const struct totals *t)
{
    const unsigned long ended = t->done + t->failed;
    const int filled = t->total > 0 ? (int)(ended * BAR / t->total) : 0;
    if (isatty(STDERR_FILENO) && (ended % 16 == 0 || ended == t->total)) {
        fprintf(stderr, "\r[%.*s%*s] %lu/%lu", filled, "########################################",
                BAR - filled, "", ended, t->total);
    }
}

/* One outcome: a line as sha256sum prints it, or a complaint. */
static void
take(struct totals *t, prong_err code, const prong_value *value, const char *message, int length)
{
    prong_value v;
    int64_t bytes = 0;
    bool cached = false;
    if (code != PRONG_OK) {
        t->failed++;
        fprintf(stderr, "%s%.*s\n", isatty(STDERR_FILENO) ? "\r\033[K" : "", length, message);
    } else {
        char *hex = prong_value_find(value, "sha256", &v) ? prong_value_string(&v) : NULL;
        char *path = prong_value_find(value, "path", &v) ? prong_value_string(&v) : NULL;
        t->done++;
        t->bytes += prong_value_find(value, "bytes", &v) && prong_value_int(&v, &bytes)
                        ? (unsigned long long)bytes
                        : 0;
        t->cached +=
            prong_value_find(value, "cached", &v) && prong_value_bool(&v, &cached) && cached;
        printf("%s  %s\n", hex != NULL ? hex : "?", path != NULL ? path : "?");
        prong_free(hex);
        prong_free(path);
    }
    show_bar(t);
}

/* ---- all files in one call ------------------------------------------------------------------- */

static prong_err
run_map(prong_client *hub, char **paths, size_t count, unsigned long cancel_after, struct totals *t)
{
    prong_writer *w = prong_writer_new();
    prong_reply *reply = NULL;
    prong_value args, item;
    prong_outcome one;
    prong_writer_array(w, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        prong_writer_map(w, 1);
        prong_writer_key(w, "path");
        prong_writer_string(w, paths[i]);
    }
    const prong_call_options options = {
        .size_bytes = sizeof options,
        .timeout_ms = TIMEOUT_MS,
        .flags = PRONG_CALL_MAP | PRONG_CALL_ORDERED | PRONG_CALL_STREAM,
    };
    prong_err code = prong_writer_finish(w, &args);
    code = code == PRONG_OK ? prong_call_async(hub, "digest", "sha256", &args, &options, &reply)
                            : code;
    while (code == PRONG_OK && prong_reply_next(reply, PRONG_FOREVER, &item) == PRONG_OK) {
        if (prong_item_outcome(&item, &one)) {
            take(t, one.code, &one.value, one.message, (int)one.message_len);
        }
        if (cancel_after > 0 && t->done + t->failed == cancel_after) {
            prong_reply_cancel(reply);
        }
    }
    if (code == PRONG_OK) {
        code = prong_reply_code(reply);
        fprintf(stderr, "%s%s", code != PRONG_OK ? prong_reply_message(reply) : "",
                code != PRONG_OK ? "\n" : "");
    }
    prong_reply_free(reply);
    prong_writer_free(w);
    return code;
}

/* ---- one call for each file, by the key of its folder ---------------------------------------- */

static prong_err
ask_one(prong_client *hub, const char *path)
{
    prong_writer *w = prong_writer_new();
    prong_reply *reply = NULL;
    prong_value args;
    const char *slash = strrchr(path, '/');
    size_t key_len = slash != NULL ? (size_t)(slash - path) : 0;
    const prong_call_options options = {
        .size_bytes = sizeof options,
        .timeout_ms = TIMEOUT_MS,
        .key = path,
        .key_len = key_len > 128 ? 128
                   : key_len > 0 ? key_len
                                 : 1,
    };
    prong_writer_map(w, 1);
    prong_writer_key(w, "path");
    prong_writer_string(w, path);
    prong_err code = prong_writer_finish(w, &args);
    code = code == PRONG_OK ? prong_call_async(hub, "digest", "sha256", &args, &options, &reply)
                            : code;
    prong_writer_free(w);
    return code;
}

static prong_err
run_keys(prong_client *hub, char **paths, size_t count, struct totals *t)
{
    size_t asked = 0, ended = 0;
    prong_err code = PRONG_OK;
    while (code == PRONG_OK && ended < count) {
        prong_reply *reply;
        for (; code == PRONG_OK && asked < count && asked - ended < IN_FLIGHT; asked++) {
            code = ask_one(hub, paths[asked]);
        }
        if (code == PRONG_OK && prong_wait_any(hub, PRONG_FOREVER, &reply) == PRONG_OK) {
            const char *message = prong_reply_message(reply);
            take(t, prong_reply_code(reply), prong_reply_value(reply), message,
                 (int)strlen(message));
            prong_reply_free(reply);
            ended++;
        }
    }
    return code;
}

/* ---- the program ----------------------------------------------------------------------------- */

static size_t
read_paths(char ***out)
{
    char *line = NULL;
    size_t room = 0, count = 0;
    char **paths = calloc(SETS_MAX, sizeof *paths);
    while (paths != NULL && count < SETS_MAX && getline(&line, &room, stdin) > 0) {
        line[strcspn(line, "\n")] = '\0';
        paths[count] = strdup(line);
        count += paths[count] != NULL;
    }
    free(line);
    *out = paths;
    return count;
}

int
main(int argc, char *argv[])
{
    prong_client *hub = NULL;
    char error[300] = "";
    char **paths = NULL;
    unsigned long cancel_after = 0;
    const bool keys = argc == 2 && strcmp(argv[1], "--keys") == 0;
    if (argc == 3 && strcmp(argv[1], "--cancel-after") == 0) {
        cancel_after = strtoul(argv[2], NULL, 10);
    }
    if (argc > 1 && !keys && cancel_after == 0) {
        fputs("usage: find FOLDER -type f | digest [--keys | --cancel-after N]\n", stderr);
        return 2;
    }
    struct totals t = {.total = read_paths(&paths)};
    prong_err code = prong_connect(NULL, NULL, &hub, error, sizeof error);
    if (code == PRONG_OK) {
        code = keys ? run_keys(hub, paths, t.total, &t)
                    : run_map(hub, paths, t.total, cancel_after, &t);
    } else {
        fprintf(stderr, "%s\n", error);
    }
    fprintf(stderr, "%s%lu hashed, %lu of them known before, %lu failed, %llu bytes: %s\n",
            isatty(STDERR_FILENO) ? "\n" : "", t.done, t.cached, t.failed, t.bytes,
            prong_err_name(code));
    for (size_t i = 0; paths != NULL && i < t.total; i++) {
        free(paths[i]);
    }
    free(paths);
    prong_client_free(hub);
    return code == PRONG_OK ? t.failed > 0 : 3;
}
