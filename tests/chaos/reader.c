/* A subscriber of libprong that writes down every event it gets.
 *
 *   chaos_reader URL FILE ENDS
 *
 * It reads all topics, says "ready" on stdout when it is subscribed, and ends after so many events
 * chaos.end. Each event is a struct line in the file (checker.py: EVENT). */
#include <prong/prong.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct line {
    uint64_t number, lost, seq;
    uint32_t who; /* the publisher, UINT32_MAX for what is nobody's */
    uint32_t reset;
};

static bool
take(FILE *file, const prong_event *event)
{
    struct line line = {.number = event->number, .lost = event->lost, .who = UINT32_MAX};
    const bool ends = strcmp(event->topic, "chaos.end") == 0;
    line.reset = event->reset;
    if (!ends && strncmp(event->topic, "chaos.", 6) == 0) {
        line.who = (uint32_t)strtoul(event->topic + 6, NULL, 10);
        if (!prong_value_uint(&event->payload, &line.seq)) {
            line.seq = UINT64_MAX;
        }
    }
    if (fwrite(&line, sizeof line, 1, file) != 1) {
        perror("reader");
        exit(2);
    }
    return ends;
}

int
main(int argc, char *argv[])
{
    char text[300];
    prong_client *hub = NULL;
    prong_subscription *s = NULL;
    const prong_event *event;
    static const char *const filters[] = {">"};
    if (argc != 4) {
        fputs("usage: chaos_reader URL FILE ENDS\n", stderr);
        return 2;
    }
    FILE *file = fopen(argv[2], "we");
    if (file == NULL || prong_connect(argv[1], NULL, &hub, text, sizeof text) != PRONG_OK ||
        prong_subscribe(hub, filters, 1, NULL, &s) != PRONG_OK) {
        fprintf(stderr, "reader: %s\n", file == NULL ? argv[2] : text);
        return 7;
    }
    (void)puts("ready");
    (void)fflush(stdout);
    for (unsigned long ends = strtoul(argv[3], NULL, 10); ends > 0;) {
        const prong_err code = prong_subscription_next(s, 60000, &event);
        if (code != PRONG_OK) {
            prong_client_error_text(hub, text, sizeof text);
            fprintf(stderr, "reader: %s: %s\n", prong_err_name(code), text);
            return 3;
        }
        ends -= take(file, event);
    }
    prong_subscription_free(s);
    prong_client_free(hub);
    return fclose(file) == 0 ? 0 : 2;
}
