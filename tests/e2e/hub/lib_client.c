/* A client of libprong that calls `echo` of the worker `echo` all the time, for tests that disturb
 * the hub.
 *
 *   lib_client URL [TOKEN [CA]]     ends when its stdin does
 *
 * stdout: "ok N" after the first and every 20th answer, and last "N calls, M failed:
 * CODE*COUNT..."; each failure stands on stderr. Exit 1 when an answer was wrong or a call was
 * refused for a reason that a new broker does not explain. */
#include <prong/prong.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CALL_MS = 20000, TELL_EACH = 20 };

struct counts {
    unsigned long calls, ok, failed;
    int exit_code;
};

static bool
wants_more(void)
{
    struct pollfd end = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&end, 1, 0) == 0;
}

static void
take(struct counts *counts, prong_err code, prong_reply *reply, const char *sent)
{
    prong_value v;
    int64_t n = 0;
    if (code == PRONG_OK) {
        char text[32];
        const bool is_right =
            prong_value_find(prong_reply_value(reply), "n", &v) && prong_value_int(&v, &n);
        (void)snprintf(text, sizeof text, "%lld", (long long)n);
        if (!is_right || strcmp(text, sent) != 0) {
            (void)fprintf(stderr, "wrong answer %s to %s\n", text, sent);
            counts->exit_code = 1;
        }
        counts->ok++;
        if (counts->ok % TELL_EACH == 1) {
            (void)printf("ok %lu\n", counts->ok);
            (void)fflush(stdout);
        }
        return;
    }
    counts->failed++;
    (void)fprintf(stderr, "call %s: %s began %d: %s\n", sent, prong_err_name(code),
                  (int)prong_reply_began(reply), prong_reply_message(reply));
    if (code != PRONG_UNAVAILABLE && code != PRONG_ABORTED) {
        counts->exit_code = 1;
    }
}

static void
call(prong_client *hub, prong_writer *writer, struct counts *counts)
{
    char sent[32];
    prong_value args;
    prong_reply *reply = NULL;
    (void)snprintf(sent, sizeof sent, "%lu", ++counts->calls);
    prong_writer_reset(writer);
    prong_writer_map(writer, 1);
    prong_writer_key(writer, "n");
    prong_writer_int(writer, (int64_t)counts->calls);
    if (prong_writer_finish(writer, &args) != PRONG_OK) {
        abort();
    }
    const prong_err code = prong_call(hub, "echo", "echo", &args, CALL_MS, &reply);
    take(counts, code, reply, sent);
    prong_reply_free(reply);
}

int
main(int argc, char *argv[])
{
    struct counts counts = {0};
    char error[300];
    prong_client *hub = NULL;
    if (argc < 2 || argc > 4) {
        return 2;
    }
    const char *token = argc > 2 && argv[2][0] != '\0' ? argv[2] : NULL;
    const prong_options options = {.size_bytes = sizeof options,
                                   .name = "lib_client",
                                   .token = token,
                                   .token_len = token != NULL ? strlen(token) : 0,
                                   .tls_ca_file = argc > 3 ? argv[3] : NULL};
    prong_writer *writer = prong_writer_new();
    const prong_err code = prong_connect(argv[1], &options, &hub, error, sizeof error);
    if (code != PRONG_OK) {
        (void)fprintf(stderr, "%s: %s\n", prong_err_name(code), error);
        prong_writer_free(writer);
        return 7;
    }
    do {
        call(hub, writer, &counts);
    } while (wants_more());
    (void)printf("%lu calls, %lu failed\n", counts.calls, counts.failed);
    prong_client_free(hub);
    prong_writer_free(writer);
    return counts.exit_code;
}
