#include "tests/unit/client/fake_hub.h"

#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "proto/link/source.h"
#include "proto/record.h"
#include "proto/write.h"

static void
reply(struct fake_hub *h, uint64_t request, const struct buf *b)
{
    link_server_reply(h->server, request, &(struct pieces){1, {buf_span(b)}});
}

static void
reply_error(struct fake_hub *h, uint64_t request, const struct write_error *e)
{
    struct buf b = {0};
    write_error(&b, e);
    reply(h, request, &b);
    buf_deinit(&b);
}

static void
welcome(struct fake_hub *h, uint64_t request)
{
    struct buf b = {0};
    if (h->refuse) {
        reply_error(h, request,
                    &(struct write_error){.code = WIRE_ERR_UNAUTHENTICATED,
                                          .message = span_text("the token is wrong")});
    } else if (!h->mute) {
        write_op(&b, WIRE_WELCOME);
        write_map(&b, 3);
        write_text(&b, "epoch");
        write_uint(&b, h->epoch);
        write_text(&b, "history");
        write_uint(&b, h->history);
        write_text(&b, "limits");
        write_map(&b, 1);
        write_text(&b, "message_bytes");
        write_uint(&b, WIRE_MESSAGE_BYTES);
        reply(h, request, &b);
    }
    buf_deinit(&b);
}

/* ---- calls ---------------------------------------------------------------------------------- */

static void
end_call(struct fake_hub *h, uint64_t seq, struct span value)
{
    struct fake_call *c = &h->call[seq];
    buf_reset(&c->outcome, 0);
    if (c->cancelled) {
        write_error(&c->outcome, &(struct write_error){.seq = seq,
                                                       .code = WIRE_ERR_CANCELLED,
                                                       .began = WIRE_BEGAN_MAYBE,
                                                       .message = span_text("cancelled")});
    } else {
        write_op(&c->outcome, WIRE_RESULT);
        write_uint(&c->outcome, seq);
        write_raw(&c->outcome, value);
    }
    c->done = true;
    c->held = false;
    reply(h, c->request, &c->outcome);
}

static void
end_with(struct fake_hub *h, uint64_t seq, uint64_t number)
{
    struct buf b = {0};
    write_uint(&b, number);
    end_call(h, seq, buf_span(&b));
    buf_deinit(&b);
}

static void
send_items(struct fake_hub *h, uint64_t seq, unsigned count, size_t bytes, bool progress)
{
    static const uint8_t half[] = {0x92, 0xcb, 0x3f, 0xe0, 0,   0,   0,  0,
                                   0,    0,    0xa4, 'h',  'a', 'l', 'f'};
    struct fake_call *c = &h->call[seq];
    struct buf b = {0};
    uint8_t *big = calloc(1, bytes + 1);
    write_op(&b, WIRE_PARTIAL);
    write_uint(&b, seq);
    write_uint(&b, c->sent_items);
    write_raw(&b, progress ? (struct span){half, sizeof half} : (struct span){0});
    write_array(&b, count);
    for (unsigned i = 0; i < count; i++) {
        if (bytes > 0) {
            write_bin(&b, (struct span){big, bytes});
        } else {
            write_uint(&b, c->sent_items + i);
        }
    }
    c->sent_items += count;
    reply(h, c->request, &b);
    buf_deinit(&b);
    free(big);
}

static void
send_pending(struct fake_hub *h, uint64_t seq)
{
    struct buf b = {0};
    write_op(&b, WIRE_PENDING);
    write_uint(&b, seq);
    reply(h, h->call[seq].request, &b);
    buf_deinit(&b);
}

/* The outcomes of many calls. */
static void
send_many(struct fake_hub *h, uint64_t seq)
{
    static const uint8_t items[] = {0x93, 0x93, 0,    0,   0xa1, 'a',  0x93, 1, 1, 0x94,
                                    5,    2,    0xa2, 'n', 'o',  0xc0, 0x93, 2, 0, 0xc0};
    struct buf b = {0};
    write_op(&b, WIRE_PARTIAL);
    write_uint(&b, seq);
    write_uint(&b, 0);
    write_nil(&b);
    buf_put(&b, items, sizeof items);
    h->call[seq].many = true;
    reply(h, h->call[seq].request, &b);
    buf_deinit(&b);
}

static void
run_call(struct fake_hub *h, uint64_t seq, const struct record *r)
{
    const struct span method = RECORD_FIELD(r, CALL, METHOD)->item.bytes;
    const struct span args = RECORD_FIELD(r, CALL, ARGS)->raw;
    const struct field *options = RECORD_FIELD(r, CALL, OPTIONS);
    struct field progress;
    h->calls++;
    if (record_key(options, WIRE_KEY_CALL_background, &progress)) {
        send_pending(h, seq);
    } else if (span_is(method, "map")) {
        send_many(h, seq);
    } else if (span_is(method, "options")) {
        end_call(h, seq, options->raw);
    } else if (span_is(RECORD_FIELD(r, CALL, WORKER)->item.bytes, "hub")) {
        end_call(h, seq, span_text("\x81\xa7replica\xa3w/1"));
    } else if (span_is(method, "echo")) {
        end_call(h, seq, args);
    } else if (span_is(method, "fail")) {
        reply_error(h, h->call[seq].request,
                    &(struct write_error){.seq = seq,
                                          .code = 10,
                                          .began = 2,
                                          .message = span_text("it died"),
                                          .details = span_text("\x81\xa1k\x05")});
    } else if (span_is(method, "pend")) {
        send_pending(h, seq);
    } else if (span_is(method, "hold")) {
        h->call[seq].held = true;
    } else if (span_is(method, "release")) {
        for (uint64_t i = 0; i < FAKE_CALLS_MAX; i++) {
            if (h->call[i].held) {
                end_with(h, i, i);
            }
        }
        end_call(h, seq, (struct span){0});
    } else if (span_is(method, "items")) {
        send_items(h, seq, 3, 0,
                   record_key(RECORD_FIELD(r, CALL, OPTIONS), WIRE_KEY_CALL_progress, &progress));
    } else if (span_is(method, "flood")) {
        h->call[seq].flood = true;
        send_items(h, seq, 1, 1 << 20, false);
    } else if (span_is(method, "count")) {
        end_with(h, seq, (uint64_t)h->calls);
    } else if (span_is(method, "acked")) {
        end_with(h, seq, RECORD_FIELD(r, CALL, ACK)->item.uint);
    } else {
        reply_error(h, h->call[seq].request,
                    &(struct write_error){.seq = seq,
                                          .code = WIRE_ERR_NOT_FOUND,
                                          .message = span_text("no such method")});
    }
}

static void
take_call(struct fake_hub *h, uint64_t peer, uint64_t request, const struct record *r)
{
    const uint64_t seq = RECORD_FIELD(r, CALL, SEQ)->item.uint % FAKE_CALLS_MAX;
    struct fake_call *c = &h->call[seq];
    if (span_is(RECORD_FIELD(r, CALL, METHOD)->item.bytes, "drop") && !c->known) {
        c->known = true;
        link_server_close_peer(h->server, peer);
        return;
    }
    const bool known = c->known;
    c->known = true;
    c->request = request;
    if (c->done) {
        reply(h, request, &c->outcome);
    } else if (known && span_is(RECORD_FIELD(r, CALL, METHOD)->item.bytes, "drop")) {
        end_with(h, seq, seq);
    } else if (!known) {
        run_call(h, seq, r);
    }
}

static void
take_wait(struct fake_hub *h, uint64_t request, const struct record *r)
{
    const uint64_t seq = RECORD_FIELD(r, WAIT, SEQ)->item.uint % FAKE_CALLS_MAX;
    struct fake_call *c = &h->call[seq];
    c->request = request;
    c->sent_items = RECORD_FIELD(r, WAIT, RECEIVED)->item.uint;
    if (!c->known) {
        reply_error(h, request,
                    &(struct write_error){.seq = seq,
                                          .code = WIRE_ERR_NOT_FOUND,
                                          .message = span_text("no such call")});
    } else if (c->done) {
        reply(h, request, &c->outcome);
    } else if (c->cancelled || c->many || c->sent_items == 0 ||
               (c->sent_items == 10 && !c->flood)) {
        end_with(h, seq, 1);
    } else {
        send_items(h, seq, c->flood || c->sent_items == 9 ? 1 : 3, c->flood ? 1 << 20 : 0, false);
    }
}

static void
take_cancel(struct fake_hub *h, uint64_t request, const struct record *r)
{
    const uint64_t seq = RECORD_FIELD(r, CANCEL, SEQ)->item.uint % FAKE_CALLS_MAX;
    struct buf b = {0};
    h->call[seq].cancelled = true;
    if (h->call[seq].held) {
        end_with(h, seq, 0);
    }
    write_op(&b, WIRE_ACK);
    write_uint(&b, seq);
    write_uint(&b, 0);
    reply(h, request, &b);
    buf_deinit(&b);
}

/* ---- events --------------------------------------------------------------------------------- */

/* true when it was answered. */
static bool
answer_fetch(struct fake_hub *h, uint64_t request, const struct record *r)
{
    const struct field *from = RECORD_FIELD(r, FETCH, FROM);
    uint64_t at = from->item.kind == MP_UINT         ? from->item.uint
                  : span_is(from->item.bytes, "new") ? h->next
                                                     : h->first;
    struct span filters = RECORD_FIELD(r, FETCH, FILTERS)->inside, filter = {0};
    (void)record_text(&filters, &filter); /* the first one is enough here */
    const uint64_t lost = at < h->first ? h->first - at : 0;
    struct buf items = {0}, b = {0};
    uint32_t count = 0;
    for (at += lost; at < h->next && count < RECORD_FIELD(r, FETCH, MAX_ITEMS)->item.uint; at++) {
        const struct fake_event *e = &h->event[at];
        if (name_matches(filter, span_text(e->topic))) {
            write_array(&items, 5);
            write_uint(&items, at);
            write_uint(&items, 1000 + at);
            write_text(&items, e->topic);
            write_text(&items, "w/0");
            write_raw(&items, buf_span(&e->payload));
            count++;
        }
    }
    const bool answered = count > 0 || lost > 0 || RECORD_FIELD(r, FETCH, WAIT_MS)->item.uint == 0;
    if (answered) {
        write_op(&b, WIRE_EVENTS);
        write_uint(&b, h->history);
        write_uint(&b, at);
        write_uint(&b, lost);
        write_array(&b, count);
        const struct span all = buf_span(&items);
        buf_put(&b, all.data, all.len);
        reply(h, request, &b);
    }
    buf_deinit(&items);
    buf_deinit(&b);
    return answered;
}

static void
park(struct fake_hub *h, uint64_t request, struct span body)
{
    for (size_t i = 0; i < 1024; i++) {
        if (h->parked[i] == 0) {
            h->parked[i] = request;
            buf_reset(&h->parked_body[i], 4096);
            buf_put(&h->parked_body[i], body.data, body.len);
            return;
        }
    }
}

static void
take_emit(struct fake_hub *h, uint64_t request, const struct record *r)
{
    const uint64_t seq = RECORD_FIELD(r, EMIT, SEQ)->item.uint % FAKE_CALLS_MAX;
    struct fake_call *c = &h->call[seq];
    const struct span topic = RECORD_FIELD(r, EMIT, TOPIC)->item.bytes;
    if (span_is(topic, "bad")) {
        reply_error(h, request,
                    &(struct write_error){.seq = seq,
                                          .code = WIRE_ERR_PERMISSION_DENIED,
                                          .message = span_text("not this topic")});
        return;
    }
    if (!c->known) {
        struct fake_event *e = &h->event[h->next];
        const struct span payload = RECORD_FIELD(r, EMIT, PAYLOAD)->raw;
        (void)snprintf(e->topic, sizeof e->topic, "%.*s", (int)topic.len, (const char *)topic.data);
        buf_put(&e->payload, payload.data, payload.len);
        c->known = c->done = true;
        write_op(&c->outcome, WIRE_ACK);
        write_uint(&c->outcome, seq);
        write_uint(&c->outcome, h->next++);
        h->first = h->next - h->first > h->keep ? h->next - h->keep : h->first;
    }
    reply(h, request, &c->outcome);
    for (size_t i = 0; i < 1024; i++) {
        struct record fetch;
        if (h->parked[i] != 0 &&
            record_message(buf_span(&h->parked_body[i]), &fetch, 1, NULL) == 1 &&
            answer_fetch(h, h->parked[i], &fetch)) {
            h->parked[i] = 0;
        }
    }
}

/* ---- the server ----------------------------------------------------------------------------- */

static void
on_message(void *context, struct link_server *server, uint64_t peer, uint64_t request,
           uint32_t sp_id, struct span body)
{
    struct fake_hub *h = context;
    struct record r;
    struct wire_diag diag;
    (void)server;
    (void)sp_id;
    h->messages++;
    if (record_message(body, &r, 1, &diag) != 1) {
        reply_error(h, request,
                    &(struct write_error){.code = diag.code, .message = span_text(diag.text)});
    } else if (r.record == WIRE_REC_HELLO) {
        welcome(h, request);
    } else if (r.record == WIRE_REC_CALL) {
        take_call(h, peer, request, &r);
    } else if (r.record == WIRE_REC_WAIT) {
        take_wait(h, request, &r);
    } else if (r.record == WIRE_REC_CANCEL) {
        take_cancel(h, request, &r);
    } else if (r.record == WIRE_REC_EMIT) {
        take_emit(h, request, &r);
    } else if (r.record == WIRE_REC_FETCH && !answer_fetch(h, request, &r)) {
        park(h, request, body);
    }
}

static void
on_opened(void *context, struct link_server *server, uint64_t peer, const struct link_cred *cred)
{
    (void)server;
    (void)peer;
    (void)cred;
    ((struct fake_hub *)context)->opened++;
}

static void
on_closed(void *context, struct link_server *server, uint64_t peer)
{
    (void)server;
    (void)peer;
    ((struct fake_hub *)context)->closed++;
}

static void *
serve(void *context)
{
    struct fake_hub *h = context;
    for (;;) {
        struct epoll_event events[16];
        const int n = epoll_wait(h->epoll_fd, events, 16, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == h) {
                return NULL;
            }
            struct source *source = events[i].data.ptr;
            source->ready(source, events[i].events);
        }
        link_server_turn(h->server);
    }
}

void
fake_init(struct fake_hub *h)
{
    *h =
        (struct fake_hub){.epoch = 1, .history = 1, .keep = FAKE_EVENTS_MAX, .first = 1, .next = 1};
    char directory[100] = "hub-XXXXXX", here[100];
    cr_assert_not_null(mkdtemp(directory));
    cr_assert_not_null(getcwd(here, sizeof here) != NULL ? here : NULL);
    (void)snprintf(h->url, sizeof h->url, "ipc://%s/s", directory);
    h->call = calloc(FAKE_CALLS_MAX, sizeof *h->call);
    h->event = calloc(FAKE_EVENTS_MAX, sizeof *h->event);
    cr_assert(h->call != NULL && h->event != NULL);
}

void
fake_start(struct fake_hub *h)
{
    struct link_error error = {0};
    struct epoll_event stop = {.events = EPOLLIN, .data.ptr = h};
    const struct link_handler handler = {
        .context = h, .opened = on_opened, .message = on_message, .closed = on_closed};
    h->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    h->stop_fd = eventfd(0, EFD_CLOEXEC);
    const struct link_server_options options = {.epoll_fd = h->epoll_fd,
                                                .message_bytes_max = WIRE_MESSAGE_BYTES,
                                                .socket_mode = 0600,
                                                .peers_max = 1000,
                                                .out_bytes_max = WIRE_OUT_BYTES_MAX};
    cr_assert_eq(link_server_open(h->network ? "tcp://127.0.0.1:0" : h->url, &options, &handler,
                                  &h->server, &error),
                 0, "%s", error.text);
    (void)snprintf(h->url, sizeof h->url, "%s", link_server_url(h->server));
    cr_assert_eq(epoll_ctl(h->epoll_fd, EPOLL_CTL_ADD, h->stop_fd, &stop), 0);
    cr_assert_eq(pthread_create(&h->thread, NULL, serve, h), 0);
}

void
fake_stop(struct fake_hub *h)
{
    const uint64_t one = 1;
    if (h->server != NULL) {
        cr_assert_eq(write(h->stop_fd, &one, sizeof one), (ssize_t)sizeof one);
        pthread_join(h->thread, NULL);
        link_server_free(h->server);
        close(h->stop_fd);
        close(h->epoll_fd);
        memset(h->parked, 0, sizeof h->parked);
        h->server = NULL;
    }
}

void
fake_forget(struct fake_hub *h)
{
    for (size_t i = 0; i < FAKE_CALLS_MAX; i++) {
        buf_deinit(&h->call[i].outcome);
        h->call[i] = (struct fake_call){0};
    }
}

void
fake_deinit(struct fake_hub *h)
{
    fake_stop(h);
    fake_forget(h);
    for (size_t i = 0; i < FAKE_EVENTS_MAX; i++) {
        buf_deinit(&h->event[i].payload);
    }
    for (size_t i = 0; i < 1024; i++) {
        buf_deinit(&h->parked_body[i]);
    }
    free(h->call);
    free(h->event);
}
