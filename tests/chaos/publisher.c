/* A client of libprong that publishes numbered events at a steady rate, many at a time.
 *
 *   chaos_publisher URL NUMBER EVENTS_A_SECOND EVENTS
 *
 * The topic is chaos.NUMBER, the payload the event's own number, from 0. When all are stored it
 * publishes chaos.end, waits for that, and prints "POSTED FAILED SECONDS" on stdout. Before it
 * begins it waits for a line on stdin. */
#include <prong/prong.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double
now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* this clock is always there */
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
die(prong_client *hub, const char *what)
{
    char text[300];
    prong_client_error_text(hub, text, sizeof text);
    fprintf(stderr, "publisher: %s: %s\n", what, text);
    exit(3);
}

/* Posts what is due by now; how many more. */
static unsigned long
post(prong_client *hub, prong_writer *writer, const char *topic, unsigned long first,
     unsigned long due)
{
    unsigned long n = first;
    for (; n < due; n++) {
        prong_value payload;
        prong_writer_reset(writer);
        prong_writer_uint(writer, n);
        if (prong_writer_finish(writer, &payload) != PRONG_OK) {
            die(hub, "no memory");
        }
        const prong_err code = prong_post(hub, topic, &payload);
        if (code == PRONG_RESOURCE_EXHAUSTED) {
            break; /* the hub is slower: its acknowledgements come first */
        }
        if (code != PRONG_OK) {
            die(hub, prong_err_name(code));
        }
    }
    return n - first;
}

int
main(int argc, char *argv[])
{
    char error[300], topic[40], line[8];
    prong_client *hub = NULL;
    if (argc != 5) {
        fputs("usage: chaos_publisher URL NUMBER EVENTS_A_SECOND EVENTS\n", stderr);
        return 2;
    }
    const double rate = strtod(argv[3], NULL);
    const unsigned long events = strtoul(argv[4], NULL, 10);
    (void)snprintf(topic, sizeof topic, "chaos.%s", argv[2]);
    if (prong_connect(argv[1], NULL, &hub, error, sizeof error) != PRONG_OK) {
        fprintf(stderr, "publisher: %s\n", error);
        return 7;
    }
    prong_writer *writer = prong_writer_new();
    if (fgets(line, sizeof line, stdin) == NULL) {
        return 2;
    }
    const double begin_s = now_s();
    for (unsigned long posted = 0; posted < events;) {
        const double due = (now_s() - begin_s) * rate;
        const unsigned long more =
            post(hub, writer, topic, posted, due < (double)events ? (unsigned long)due : events);
        posted += more;
        /* Until a millisecond's events are due, or something was acknowledged. */
        const prong_err code = prong_dispatch(hub, 1);
        if (code != PRONG_OK && code != PRONG_DEADLINE_EXCEEDED) {
            die(hub, prong_err_name(code));
        }
    }
    if (prong_emit(hub, "chaos.end", NULL, 0, NULL) != PRONG_OK) {
        die(hub, "the last event");
    }
    const double took_s = now_s() - begin_s;
    /* The hub answers in the order of the requests, so all are known by now. */
    (void)printf("%lu %llu %.6f\n", events, (unsigned long long)prong_post_failures(hub), took_s);
    prong_writer_free(writer);
    prong_client_free(hub);
    return 0;
}
