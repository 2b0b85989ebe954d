/* The connection to the hub: see hub.h. */
#include "client/cli/hub.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/cli/hubdir.h"
#include "client/cli/lease.h"
#include "client/cli/output.h"
#include "client/cli/unit.h"

enum {
    CONNECT_MS_MAX = 5000,
    ADMIN_MS_MIN = 1000, /* so that after a deadline can be asked what was not ready */
    ADMIN_MS_MAX = 5000,
    MESSAGE_MIB_MAX = 16,
    MESSAGE_HEAD_BYTES = 1024, /* of a message that is not its payload, at most */
    TOKEN_BYTES_MAX = 256,
    HOST_BYTES_MAX = 256,
};

/* ---- connection ----------------------------------------------------------------------------- */

/* The token of a network endpoint: the file's first line. False with errno. */
static bool
read_token(const char *file, char token[TOKEN_BYTES_MAX + 2], size_t *len)
{
    const int fd = file != NULL ? open(file, O_RDONLY | O_CLOEXEC) : -1;
    *len = 0;
    if (file == NULL) {
        return true;
    }
    /* One byte more than is allowed, so that the library can refuse what is too long. */
    const ssize_t n = fd < 0 ? -1 : read(fd, token, TOKEN_BYTES_MAX + 1);
    const int error = errno;
    if (fd >= 0) {
        close(fd);
    }
    if (n >= 0) {
        token[n] = '\0';
        *len = strcspn(token, "\r\n");
    }
    errno = error;
    return n >= 0;
}

/* What the options or the environment name; "" when the hub is looked for. */
static const char *
named(const char *url)
{
    const char *text = url != NULL ? url : getenv("PRONG_URL");
    return text != NULL ? text : "";
}

bool
hub_is_remote(const char *url)
{
    return strstr(named(url), "tcp://") != NULL;
}

/* Of tcp and tls+tcp: the host and the port. False for other URLs and for what is none. */
static bool
split_address(const char *url, char host[HOST_BYTES_MAX], char port[8])
{
    const char *begin = strstr(url, "tcp://");
    begin = begin != NULL ? begin + strlen("tcp://") : "";
    const char *colon = strrchr(begin, ':');
    int64_t number;
    if (colon == NULL || !unit_count(colon + 1, &number) || number > UINT16_MAX) {
        return false;
    }
    const bool in_brackets = begin[0] == '[' && colon > begin + 1 && colon[-1] == ']';
    const int len = (int)(colon - begin) - 2 * in_brackets;
    (void)snprintf(port, 8, "%d", (int)number);
    return len > 0 &&
           snprintf(host, HOST_BYTES_MAX, "%.*s", len, begin + in_brackets) < HOST_BYTES_MAX;
}

/* libnng has one code for a name that is not known and for a URL that is none, and no reason for
 * either: so the resolver is asked for its own. */
static prong_err
explain_address(const char *url, prong_err err, char *why, size_t why_size)
{
    char host[HOST_BYTES_MAX], port[8];
    struct addrinfo *found = NULL;
    const struct addrinfo wanted = {.ai_socktype = SOCK_STREAM};
    if (!split_address(url, host, port)) {
        return err;
    }
    const int code = getaddrinfo(host, port, &wanted, &found);
    if (code == 0) {
        freeaddrinfo(found);
        return err;
    }
    (void)snprintf(why, why_size, "%s: %s", url,
                   code == EAI_SYSTEM ? strerror(errno) : gai_strerror(code));
    return PRONG_UNAVAILABLE;
}

prong_err
hub_try(struct cli *cli, const char *url, char *why, size_t why_size)
{
    char name[PRONG_NAME_BYTES_MAX], token[TOKEN_BYTES_MAX + 2];
    prong_options o = {.size_bytes = sizeof o, .name = name, .tls_ca_file = cli->options.ca_file};
    (void)snprintf(name, sizeof name, "prong %s", cli->verb->name);
    if (!read_token(cli->options.token_file, token, &o.token_len)) {
        (void)snprintf(why, why_size, "--token-file %s: %s", cli->options.token_file,
                       strerror(errno));
        return PRONG_INVALID_ARGUMENT;
    }
    if (o.tls_ca_file != NULL && access(o.tls_ca_file, R_OK) != 0) {
        (void)snprintf(why, why_size, "--ca-file %s: %s", o.tls_ca_file, strerror(errno));
        return PRONG_INVALID_ARGUMENT;
    }
    o.token = token;
    o.connect_timeout_ms = unit_left_ms(cli->deadline_ms, CONNECT_MS_MAX);
    o.connect_timeout_ms += o.connect_timeout_ms == 0; /* 0 is the default */
    o.reconnect_ms = cli->reconnect_ms;
    const prong_err err = prong_connect(url, &o, &cli->client, why, why_size);
    return err == PRONG_INVALID_ARGUMENT || err == PRONG_UNAVAILABLE
               ? explain_address(named(url), err, why, why_size)
               : err;
}

int
hub_connect(struct cli *cli)
{
    char url_room[PATH_MAX], why[400] = "";
    const char *url;
    const int code = hubdir_url(cli, url_room, &url);
    if (code != CLI_OK) {
        return code;
    }
    const prong_err err = hub_try(cli, url, why, sizeof why);
    if (err == PRONG_OK) {
        return CLI_OK;
    }
    if (err == PRONG_INVALID_ARGUMENT) {
        return output_usage(cli, "%s", why);
    }
    const int failed = output_error(cli, err, "connecting", why);
    if (err == PRONG_UNAVAILABLE && !hub_is_remote(url)) {
        output_note(cli, "start a hub with 'prong up', or name one with --endpoint, --name or "
                         "--runtime-dir");
    }
    return failed;
}

void
hub_close(struct cli *cli)
{
    prong_client_free(cli->client);
    cli->client = NULL;
    if (cli->signal_fd >= 0) {
        close(cli->signal_fd);
        cli->signal_fd = -1;
    }
}

/* ---- waiting -------------------------------------------------------------------------------- */

bool
hub_take_signals(struct cli *cli)
{
    sigset_t set;
    if (cli->signal_fd >= 0) {
        return true;
    }
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &set, NULL) == 0) {
        cli->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    }
    return cli->signal_fd >= 0;
}

bool
hub_read_signals(struct cli *cli)
{
    struct signalfd_siginfo info;
    bool came = false;
    while (cli->signal_fd >= 0 &&
           read(cli->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        cli->signal_number = (int)info.ssi_signo;
        came = true;
    }
    return came;
}

enum hub_woke
hub_wait(struct cli *cli, int64_t deadline_ms, int out_fd)
{
    return hub_wait_input(cli, deadline_ms, out_fd, -1);
}

enum hub_woke
hub_wait_input(struct cli *cli, int64_t deadline_ms, int out_fd, int in_fd)
{
    const int64_t lease_ms = lease_serve(cli);
    if (!hub_take_signals(cli) || prong_fd(cli->client) < 0) {
        output_say(cli, "out of descriptors");
        return HUB_GONE;
    }
    /* A pipe that nobody reads shows as POLLERR, which poll tells unasked. */
    struct pollfd polls[] = {{.fd = prong_fd(cli->client), .events = POLLIN},
                             {.fd = cli->signal_fd, .events = POLLIN},
                             {.fd = out_fd, .events = 0},
                             {.fd = in_fd, .events = POLLIN}};
    const int64_t until_ms = lease_ms < deadline_ms ? lease_ms : deadline_ms;
    const int wait_ms = until_ms == CLI_NEVER_MS ? -1 : unit_left_ms(until_ms, 3600000);
    const int n = poll(polls, sizeof polls / sizeof polls[0], wait_ms);
    if (n < 0) {
        return errno == EINTR ? HUB_WOKE : HUB_GONE;
    }
    if (hub_read_signals(cli)) {
        return HUB_INTERRUPTED;
    }
    if (polls[2].revents & POLLERR) {
        return HUB_UNREAD;
    }
    /* Also when it is not readable: harmless, and a look at the clock of the library. */
    if (prong_dispatch(cli->client, 0) == PRONG_UNAVAILABLE) {
        return HUB_GONE;
    }
    return n == 0 && unit_now_ms() >= deadline_ms ? HUB_LATE : HUB_WOKE;
}

int
hub_woke_code(struct cli *cli, enum hub_woke woke, const char *waiting_for)
{
    char span[UNIT_SPAN_BYTES];
    switch (woke) {
    case HUB_WOKE:
    case HUB_UNREAD:
        return CLI_OK;
    case HUB_LATE:
        unit_span(cli->options.timeout_ms, span);
        output_say(cli, "%s did not come within %s (--timeout)", waiting_for, span);
        return CLI_TIMEOUT;
    case HUB_INTERRUPTED:
        return 128 + cli->signal_number;
    case HUB_GONE:
        return output_error(cli, PRONG_UNAVAILABLE, "connection", "the hub is gone");
    }
    return CLI_FAILED;
}

/* ---- calls ---------------------------------------------------------------------------------- */

int
hub_refused(struct cli *cli, prong_err err, const char *what, const prong_value *payload)
{
    const bool is_too_large =
        err == PRONG_RESOURCE_EXHAUSTED && payload != NULL &&
        payload->len > MESSAGE_MIB_MAX * 1024 * 1024 - (size_t)MESSAGE_HEAD_BYTES;
    char why[300];
    prong_client_error_text(cli->client, why, sizeof why);
    if (is_too_large) {
        (void)snprintf(why, sizeof why, "%zu bytes are too large for a message of at most %d MiB",
                       payload->len, MESSAGE_MIB_MAX);
    }
    const int code = output_error(cli, err, what, why);
    return err == PRONG_INVALID_ARGUMENT ? CLI_USAGE : is_too_large ? CLI_FAILED : code;
}

/* One more thing has come. */
static int
look(struct cli *cli, const struct hub_call *call, prong_reply *reply)
{
    return call->look != NULL ? call->look(cli, call->context, reply) : CLI_OK;
}

/* Until the outcome is there. */
static int
await(struct cli *cli, const struct hub_call *call, prong_reply *reply)
{
    int64_t give_up_ms = CLI_NEVER_MS;
    bool is_cancelled = false;
    int code = CLI_OK;
    while (code == CLI_OK && !prong_reply_is_done(reply)) {
        const enum hub_woke woke =
            hub_wait(cli, give_up_ms, call->ends_unread ? STDOUT_FILENO : -1);
        if (woke == HUB_INTERRUPTED && !is_cancelled) {
            prong_reply_cancel(reply);
            is_cancelled = true;
            give_up_ms = unit_now_ms() + HUB_CANCEL_MS;
        } else if (woke == HUB_INTERRUPTED || woke == HUB_LATE) {
            code = 128 + cli->signal_number; /* late: the hub did not even say that it cancelled */
        } else if (woke == HUB_GONE && !prong_reply_is_done(reply)) {
            code = output_error(cli, PRONG_UNAVAILABLE, call->method, "the hub is gone");
        } else {
            code = woke == HUB_UNREAD ? HUB_ENOUGH : look(cli, call, reply);
        }
    }
    code = code == CLI_OK ? look(cli, call, reply) : code;
    return code == CLI_OK && is_cancelled ? 128 + cli->signal_number : code;
}

int
hub_call(struct cli *cli, const struct hub_call *call, prong_reply **out)
{
    prong_call_options o = call->options;
    prong_reply *reply = NULL;
    o.size_bytes = sizeof o;
    const prong_err err =
        prong_call_async(cli->client, call->worker, call->method, call->args, &o, &reply);
    if (err != PRONG_OK) {
        char what[200];
        (void)snprintf(what, sizeof what, "%.90s.%.90s", call->worker, call->method);
        return hub_refused(cli, err, what, call->args);
    }
    const int code = await(cli, call, reply);
    if (code != CLI_OK) {
        prong_reply_free(reply);
        (void)prong_flush(cli->client); /* else the hub cancels it because we left */
        reply = NULL;
    }
    *out = code == CLI_OK ? reply : NULL;
    return code == HUB_ENOUGH ? CLI_OK : code;
}
int
hub_ask(struct cli *cli, const char *method, const prong_value *args, const char *what,
        prong_reply **out)
{
    struct hub_call call = {
        .worker = "hub", .method = method, .args = args, .options = {.timeout_ms = ADMIN_MS_MIN}};
    const int32_t left_ms = unit_left_ms(cli->deadline_ms, ADMIN_MS_MAX);
    call.options.timeout_ms = left_ms < ADMIN_MS_MIN ? ADMIN_MS_MIN : left_ms;
    prong_reply *reply = NULL;
    int code = hub_call(cli, &call, &reply);
    if (code == CLI_OK && prong_reply_code(reply) != PRONG_OK) {
        code = output_failure(cli, what, reply);
    }
    if (code == CLI_OK && out != NULL) {
        *out = reply;
        return CLI_OK;
    }
    prong_reply_free(reply);
    return code;
}

int
hub_ask_written(struct cli *cli, const char *method, const char *worker, prong_writer *w,
                prong_reply **out)
{
    prong_value args;
    char what[160];
    (void)snprintf(what, sizeof what, "%s %s", method, worker);
    return prong_writer_finish(w, &args) == PRONG_OK
               ? hub_ask(cli, method, &args, what, out)
               : output_usage(cli, "%s", prong_writer_problem(w));
}

int
hub_ask_number(struct cli *cli, const char *method, const char *worker, const char *key,
               int64_t number, prong_reply **out)
{
    prong_writer *w = prong_writer_new();
    if (w == NULL) {
        return output_no_memory(cli);
    }
    prong_writer_map(w, key != NULL ? 2 : 1);
    prong_writer_key(w, "worker");
    prong_writer_string(w, worker);
    if (key != NULL) {
        prong_writer_key(w, key);
        prong_writer_int(w, number);
    }
    const int code = hub_ask_written(cli, method, worker, w, out);
    prong_writer_free(w);
    return code;
}

int
hub_ask_worker(struct cli *cli, const char *method, const char *worker, prong_reply **out)
{
    return hub_ask_number(cli, method, worker, NULL, 0, out);
}
