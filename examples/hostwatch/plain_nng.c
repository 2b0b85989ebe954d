/* A frontend without any library of ours: a stock libnng REQ socket and msgpack-c. */
#include <msgpack.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>

#include <stdio.h>
#include <stdlib.h>

static void
text(msgpack_packer *k, const char *s)
{
    msgpack_pack_str_with_body(k, s, strlen(s));
}

/* [2, client id, seq, ack, worker, method, ttl_ms, options, args] */
static void
write_call(msgpack_packer *k)
{
    msgpack_pack_array(k, 9);
    msgpack_pack_int(k, 2);
    msgpack_pack_nil(k); /* no client id: this process asks one thing at a time */
    msgpack_pack_int(k, 1);
    msgpack_pack_int(k, 0);
    text(k, "detector");
    text(k, "score");
    msgpack_pack_int(k, 5000);
    msgpack_pack_nil(k);
    msgpack_pack_map(k, 2);
    text(k, "series");
    text(k, "cpu.cpu");
    text(k, "value");
    msgpack_pack_double(k, 0.99);
}

int
main(void)
{
    nng_socket s;
    msgpack_sbuffer out;
    msgpack_packer k;
    msgpack_unpacked answer;
    void *reply = NULL;
    size_t len = 0;
    const char *url = getenv("PRONG_URL");
    msgpack_sbuffer_init(&out);
    msgpack_packer_init(&k, &out, msgpack_sbuffer_write);
    write_call(&k);
    int rv = nng_req0_open(&s);
    if (rv == 0) {
        rv = nng_dial(s, url != NULL ? url : "ipc:///run/prong/hub.sock", NULL, 0);
    }
    if (rv == 0) {
        rv = nng_send(s, out.data, out.size, 0);
    }
    if (rv == 0) {
        rv = nng_recv(s, &reply, &len, NNG_FLAG_ALLOC);
    }
    if (rv != 0) {
        (void)fprintf(stderr, "plain_nng: %s\n", nng_strerror(rv));
        return 1;
    }
    msgpack_unpacked_init(&answer);
    if (msgpack_unpack_next(&answer, reply, len, NULL) == MSGPACK_UNPACK_SUCCESS) {
        msgpack_object_print(stdout, answer.data);
        (void)putchar('\n');
    }
    msgpack_unpacked_destroy(&answer);
    msgpack_sbuffer_destroy(&out);
    nng_free(reply, len);
    nng_close(s);
    return 0;
}
