/* One connection to a broker: see link.h. */
#include "client/devices/mqtt/link.h"

#include <errno.h>
#include <fcntl.h>
#include <mqtt_protocol.h>
#include <netdb.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/devices/net.h"

/* Where Debian has the certificates of those whom everybody trusts, and most others as well. */
static const char system_certificates[] = "/etc/ssl/certs";

enum { PORT = 1883, PORT_TLS = 8883, PASSWORD_BYTES_MAX = 1001, REASON_MIN = 128 };

/* ---- why --------------------------------------------------------------------------------------
 */

static void
explain(struct mqtt_link *link, const char *text)
{
    snprintf(link->why, sizeof link->why, "%s", text);
}

/* What a code of the library means, unless a callback has said more. */
static void
explain_code(struct mqtt_link *link, int code, int error)
{
    if (link->why[0] != '\0') {
        return;
    }
    switch (code) {
    case MOSQ_ERR_ERRNO:
        explain(link, strerror(error));
        break;
    case MOSQ_ERR_EAI:
        explain(link, gai_strerror(error));
        break;
    case MOSQ_ERR_SUCCESS:
    case MOSQ_ERR_CONN_LOST:
        explain(link, "the broker has closed the connection");
        break;
    default:
        explain(link, mosquitto_strerror(code));
    }
}

/* Errors of TLS are told nowhere else. */
static void
logged(struct mosquitto *m, void *context, int level, const char *text)
{
    (void)m;
    struct mqtt_link *link = context;
    if (level == MOSQ_LOG_ERR && link->why[0] == '\0') {
        explain(link, strncmp(text, "Error: ", 7) == 0 ? text + 7 : text);
    }
}

static void
disconnected(struct mosquitto *m, void *context, int code, const mosquitto_property *properties)
{
    (void)m;
    (void)properties;
    struct mqtt_link *link = context;
    if (code >= REASON_MIN && link->why[0] == '\0') {
        snprintf(link->why, sizeof link->why, "the broker has closed the connection: %s",
                 mosquitto_reason_string(code));
    }
}

/* ---- beginning and end ------------------------------------------------------------------------
 */

struct mqtt_link *
mqtt_link_new(const struct options *options, const char *id, bool is_clean, void *context)
{
    struct mqtt_link *link = calloc(1, sizeof *link);
    if (link == NULL) {
        return NULL;
    }
    *link = (struct mqtt_link){
        .context = context,
        .options = options,
        .is_clean = is_clean,
        .fd = -1,
        .done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
        .keepalive_s = (int)(options_number(options, "keepalive") / 1000),
        .m = mosquitto_new(id, is_clean, link),
    };
    const bool is_5 = strcmp(options_text(options, "version"), "5") == 0;
    if (link->done_fd < 0 || link->m == NULL ||
        mosquitto_int_option(link->m, MOSQ_OPT_PROTOCOL_VERSION,
                             is_5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311) != MOSQ_ERR_SUCCESS ||
        /* So that the library only notes what it is to write. */
        mosquitto_threaded_set(link->m, true) != MOSQ_ERR_SUCCESS) {
        mqtt_link_free(link);
        return NULL;
    }
    mosquitto_log_callback_set(link->m, logged);
    mosquitto_disconnect_v5_callback_set(link->m, disconnected);
    return link;
}

void
mqtt_link_free(struct mqtt_link *link)
{
    if (link == NULL) {
        return;
    }
    if (link->is_opening) {
        (void)pthread_detach(link->thread); /* it ends with the process */
        return;
    }
    mqtt_link_close(link);
    if (link->m != NULL) {
        mosquitto_destroy(link->m);
    }
    if (link->done_fd >= 0) {
        (void)close(link->done_fd); /* nothing can be lost in it */
    }
    mosquitto_property_free_all(&link->properties);
    free(link);
}

/* ---- connecting -------------------------------------------------------------------------------
 */

static int
no_password(char *buffer, int size, int is_writing, void *context)
{
    (void)buffer;
    (void)size;
    (void)is_writing;
    (void)context;
    return 0; /* the library would ask at the terminal */
}

static bool
set_tls(struct mqtt_link *link)
{
    const struct options *o = link->options;
    const char *ca = options_text(o, "tls_ca"), *cert = options_text(o, "tls_cert");
    const bool verifies = options_number(o, "tls_verify") != 0;
    errno = 0;
    const int code = mosquitto_tls_set(link->m, ca, ca == NULL ? system_certificates : NULL, cert,
                                       options_text(o, "tls_key"), no_password);
    if (code != MOSQ_ERR_SUCCESS) {
        snprintf(link->why, sizeof link->why, "the certificates or the key cannot be read%s%s",
                 errno != 0 ? ": " : "", errno != 0 ? strerror(errno) : "");
        return false;
    }
    if (!verifies && (mosquitto_tls_opts_set(link->m, SSL_VERIFY_NONE, NULL, NULL) != 0 ||
                      mosquitto_tls_insecure_set(link->m, true) != 0)) {
        explain(link, "TLS cannot be set up");
        return false;
    }
    return true;
}

/* The first line of the file; false with the reason. */
static bool
read_password(struct mqtt_link *link, const char *path, char out[PASSWORD_BYTES_MAX])
{
    FILE *file = fopen(path, "re");
    if (file == NULL || fgets(out, PASSWORD_BYTES_MAX, file) == NULL) {
        snprintf(link->why, sizeof link->why, "no password can be read from %.100s: %s", path,
                 file == NULL ? strerror(errno) : "it is empty");
        if (file != NULL) {
            (void)fclose(file); /* only read */
        }
        return false;
    }
    (void)fclose(file);
    out[strcspn(out, "\r\n")] = '\0';
    return true;
}

static bool
set_user(struct mqtt_link *link)
{
    char from_file[PASSWORD_BYTES_MAX];
    const char *path = options_text(link->options, "password_file");
    const char *password = options_text(link->options, "password");
    if (path != NULL) {
        if (!read_password(link, path, from_file)) {
            return false;
        }
        password = from_file;
    }
    const int code =
        mosquitto_username_pw_set(link->m, options_text(link->options, "username"), password);
    explicit_bzero(from_file, sizeof from_file);
    explain_code(link, code, errno);
    return code == MOSQ_ERR_SUCCESS;
}

static void *
connect_all(void *context)
{
    struct mqtt_link *link = context;
    const struct options *o = link->options;
    const char *host = options_text(o, "host");
    int port = (int)options_number(o, "port");
    const int keepalive_s = (int)(options_number(o, "keepalive") / 1000);
    if (host[0] == '/') {
        port = 0; /* so the library takes it for the path of a socket */
    } else if (port == 0) {
        port = options_number(o, "tls") != 0 ? PORT_TLS : PORT;
    }
    link->code =
        mosquitto_connect_bind_v5(link->m, host, port, keepalive_s, NULL, link->properties);
    link->error = errno;
    bell_ring(link->done_fd);
    return NULL;
}

bool
mqtt_link_open(struct mqtt_link *link)
{
    const bool is_5 = strcmp(options_text(link->options, "version"), "5") == 0;
    mqtt_link_close(link);
    link->why[0] = '\0';
    if ((options_number(link->options, "tls") != 0 && !set_tls(link)) || !set_user(link)) {
        return false;
    }
    link->why[0] = '\0';
    if (is_5 && !link->is_clean && link->properties == NULL &&
        mosquitto_property_add_int32(&link->properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL,
                                     UINT32_MAX) != MOSQ_ERR_SUCCESS) {
        explain(link, "out of memory");
        return false;
    }
    const int error = pthread_create(&link->thread, NULL, connect_all, link);
    if (error != 0) {
        explain(link, strerror(error));
        return false;
    }
    link->is_opening = true;
    return true;
}

bool
mqtt_link_opened(struct mqtt_link *link)
{
    bell_hear(link->done_fd);
    /* The thread rings just before its end. Ours, and joined once. */
    (void)pthread_join(link->thread, NULL);
    link->is_opening = false;
    if (link->code != MOSQ_ERR_SUCCESS) {
        explain_code(link, link->code, link->error);
        return false;
    }
    /* The library closes its own whenever it likes, and nobody may wait for a closed one. */
    link->fd = fcntl(mosquitto_socket(link->m), F_DUPFD_CLOEXEC, 0);
    if (link->fd < 0) {
        explain(link, strerror(errno));
        return false;
    }
    net_tune(link->fd);
    return true;
}

void
mqtt_link_refused(struct mqtt_link *link, int code)
{
    const bool is_5 = strcmp(options_text(link->options, "version"), "5") == 0;
    snprintf(link->why, sizeof link->why, "the broker refuses the connection: %s",
             is_5 ? mosquitto_reason_string(code) : mosquitto_connack_string(code));
}

void
mqtt_link_accepted(struct mqtt_link *link, const mosquitto_property *properties)
{
    uint16_t seconds = 0;
    link->why[0] = '\0';
    link->keepalive_s = (int)(options_number(link->options, "keepalive") / 1000);
    if (mosquitto_property_read_int16(properties, MQTT_PROP_SERVER_KEEP_ALIVE, &seconds, false) !=
            NULL &&
        seconds > 0 && seconds < link->keepalive_s) {
        link->keepalive_s = seconds;
    }
}

/* ---- while it is open -------------------------------------------------------------------------
 */

static bool
goes_on(struct mqtt_link *link, int code)
{
    const int error = errno;
    if (code == MOSQ_ERR_SUCCESS && mosquitto_socket(link->m) >= 0) {
        return true;
    }
    explain_code(link, code, error);
    return false;
}

/* The library reads on while TLS has more of a record, unless errno happens to be EAGAIN after a
 * message: its own wakeup, that nobody reads here, and what is sent to the hub leave that. */
bool
mqtt_link_has_rest(const struct mqtt_link *link)
{
    const SSL *ssl = mosquitto_ssl_get(link->m);
    return ssl != NULL && SSL_pending(ssl) > 0;
}

enum mqtt_read
mqtt_link_read(struct mqtt_link *link)
{
    char byte;
    /* Looked at first: while TLS is set up, the library takes an end for nothing to read yet. */
    const ssize_t n =
        mqtt_link_has_rest(link) ? 1 : recv(link->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return MQTT_NOTHING;
    }
    if (n <= 0) {
        explain_code(link, n == 0 ? MOSQ_ERR_CONN_LOST : MOSQ_ERR_ERRNO, errno);
        return MQTT_ENDED;
    }
    return goes_on(link, mosquitto_loop_read(link->m, 1)) ? MQTT_SOME : MQTT_ENDED;
}

bool
mqtt_link_write(struct mqtt_link *link)
{
    return goes_on(link, mosquitto_loop_write(link->m, 1));
}

bool
mqtt_link_wants_write(const struct mqtt_link *link)
{
    return mosquitto_want_write(link->m);
}

bool
mqtt_link_tend(struct mqtt_link *link)
{
    return goes_on(link, mosquitto_loop_misc(link->m));
}

int64_t
mqtt_link_pulse_ms(const struct mqtt_link *link)
{
    return link->keepalive_s >= 4 ? link->keepalive_s * INT64_C(250) : 1000;
}

void
mqtt_link_ping(struct mqtt_link *link)
{
    /* The library asks again only after it has read the answer. This one is a packet without
     * contents between two of its own, and its answer changes nothing. */
    static const char ping[] = {(char)CMD_PINGREQ, 0};
    SSL *ssl = mosquitto_ssl_get(link->m);
    if (mosquitto_want_write(link->m)) {
        return; /* something else leaves, which does as well */
    }
    if (ssl != NULL) {
        (void)SSL_write(ssl, ping, sizeof ping); /* what fails is told by the next read */
    } else {
        (void)send(link->fd, ping, sizeof ping, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
}

void
mqtt_link_leave(struct mqtt_link *link)
{
    if (mosquitto_disconnect_v5(link->m, 0, NULL) == MOSQ_ERR_SUCCESS) {
        (void)mosquitto_loop_write(link->m, 1); /* it is the end in either case */
    }
}

void
mqtt_link_close(struct mqtt_link *link)
{
    if (link->fd >= 0) {
        (void)shutdown(link->fd, SHUT_RDWR); /* the library has another descriptor of it */
        (void)close(link->fd);
        link->fd = -1;
    }
}
