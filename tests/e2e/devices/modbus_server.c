/* A unit that speaks Modbus, by libmodbus, for the tests of prong-modbus:
 *
 *   modbus_server tcp PORT   on 127.0.0.1; 0 takes a free one. Prints the port when it listens
 *   modbus_server rtu PATH   on a terminal, as unit 1. Prints "ready"
 *
 * It has the addresses 0 to 299 of each table, all 0, and does what stands in the lines of its
 * stdin; each of them is answered by one line.
 *
 *   set TABLE ADDRESS VALUE...   get TABLE ADDRESS COUNT
 *   refuse TABLE ADDRESS         requests for this address get exception 2
 *   forbid FUNCTION              requests of this function get exception 1
 *   except NUMBER                every request gets this exception; 0: none does
 *   silent 1|0                   requests are carried out and not answered; forgets those before
 *   requests                     what was asked since the last time: FUNCTION:ADDRESS:COUNT... */
#include <errno.h>
#include <modbus/modbus.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ADDRESSES = 300, PEERS_MAX = 16, LINE_BYTES_MAX = 4096, LOG_MAX = 4096, TABLES = 4 };

struct request {
    int function, address, count;
};

struct server {
    modbus_t *modbus;
    modbus_mapping_t *mapping;
    bool is_serial;
    struct pollfd fds[2 + PEERS_MAX]; /* stdin; the listener or the terminal; peers */
    bool refused[TABLES][ADDRESSES];
    bool forbidden[256];
    unsigned exception;
    bool is_silent;
    struct request log[LOG_MAX];
    size_t logged;
};

static int
table_of(const char *name)
{
    static const char *const names[TABLES] = {"coil", "discrete", "input", "holding"};
    for (int i = 0; i < TABLES; i++) {
        if (strcmp(name, names[i]) == 0) {
            return i;
        }
    }
    return -1;
}

/* Which table a function is for. */
static int
table_for(int function)
{
    switch (function) {
    case MODBUS_FC_READ_DISCRETE_INPUTS:
        return 1;
    case MODBUS_FC_READ_INPUT_REGISTERS:
        return 2;
    case MODBUS_FC_READ_HOLDING_REGISTERS:
    case MODBUS_FC_WRITE_SINGLE_REGISTER:
    case MODBUS_FC_WRITE_MULTIPLE_REGISTERS:
    case MODBUS_FC_MASK_WRITE_REGISTER:
        return 3;
    default:
        return 0;
    }
}

/* ---- requests ---------------------------------------------------------------------------------
 */

static struct request
parse(const struct server *s, const uint8_t *query)
{
    const uint8_t *at = query + modbus_get_header_length(s->modbus);
    struct request r = {at[0], at[1] << 8 | at[2], 1};
    if (r.function <= MODBUS_FC_READ_INPUT_REGISTERS ||
        r.function == MODBUS_FC_WRITE_MULTIPLE_COILS ||
        r.function == MODBUS_FC_WRITE_MULTIPLE_REGISTERS) {
        r.count = at[3] << 8 | at[4];
    }
    return r;
}

static unsigned
exception_for(const struct server *s, const struct request *r)
{
    if (s->exception != 0) {
        return s->exception;
    }
    if (s->forbidden[r->function & 0xff]) {
        return MODBUS_EXCEPTION_ILLEGAL_FUNCTION;
    }
    for (int i = r->address; i < r->address + r->count && i < ADDRESSES; i++) {
        if (s->refused[table_for(r->function)][i]) {
            return MODBUS_EXCEPTION_ILLEGAL_DATA_ADDRESS;
        }
    }
    return 0;
}

/* One request of a peer; false when it is gone. */
static bool
serve(struct server *s, int fd)
{
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    if (!s->is_serial) {
        (void)modbus_set_socket(s->modbus, fd);
    }
    const int len = modbus_receive(s->modbus, query);
    if (len <= 0) {
        return len == 0 || s->is_serial;
    }
    const struct request r = parse(s, query);
    const unsigned exception = exception_for(s, &r);
    if (s->logged < LOG_MAX) {
        s->log[s->logged++] = r;
    }
    if (s->is_silent) {
        /* Carried out, with the answer going nowhere. */
        int nowhere[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, nowhere) != 0) {
            return false;
        }
        (void)modbus_set_socket(s->modbus, nowhere[0]);
        (void)modbus_reply(s->modbus, query, len, s->mapping);
        (void)modbus_set_socket(s->modbus, fd);
        close(nowhere[0]);
        close(nowhere[1]);
        return true;
    }
    return (exception != 0 ? modbus_reply_exception(s->modbus, query, exception)
                           : modbus_reply(s->modbus, query, len, s->mapping)) != -1;
}

static void
take_peer(struct server *s)
{
    const int fd = accept(s->fds[1].fd, NULL, NULL);
    for (int i = 2; i < 2 + PEERS_MAX && fd >= 0; i++) {
        if (s->fds[i].fd < 0) {
            s->fds[i].fd = fd;
            return;
        }
    }
    if (fd >= 0) {
        close(fd);
    }
}

/* ---- commands ---------------------------------------------------------------------------------
 */

static void
set(struct server *s, int table, int address, char *values)
{
    modbus_mapping_t *m = s->mapping;
    char *rest = values;
    for (char *word; address < ADDRESSES && (word = strtok_r(rest, " ", &rest)) != NULL;
         address++) {
        const long value = strtol(word, NULL, 0);
        switch (table) {
        case 0:
            m->tab_bits[address] = value != 0;
            break;
        case 1:
            m->tab_input_bits[address] = value != 0;
            break;
        case 2:
            m->tab_input_registers[address] = (uint16_t)value;
            break;
        default:
            m->tab_registers[address] = (uint16_t)value;
            break;
        }
    }
    puts("ok");
}

static void
get(const struct server *s, int table, int address, int count)
{
    const modbus_mapping_t *m = s->mapping;
    for (int i = address; i < address + count && i < ADDRESSES; i++) {
        printf("%d ", table == 0   ? m->tab_bits[i]
                      : table == 1 ? m->tab_input_bits[i]
                      : table == 2 ? m->tab_input_registers[i]
                                   : m->tab_registers[i]);
    }
    puts("");
}

static void
tell_requests(struct server *s)
{
    for (size_t i = 0; i < s->logged; i++) {
        printf("%d:%d:%d ", s->log[i].function, s->log[i].address, s->log[i].count);
    }
    s->logged = 0;
    puts("");
}

static void
obey(struct server *s, char *line)
{
    char *rest = NULL;
    line[strcspn(line, "\n")] = '\0';
    const char *word = strtok_r(line, " ", &rest);
    const char *what = strtok_r(NULL, " ", &rest);
    const char *address_word =
        word != NULL && (strcmp(word, "set") == 0 || strcmp(word, "get") == 0 ||
                         strcmp(word, "refuse") == 0)
            ? strtok_r(NULL, " ", &rest)
            : NULL;
    const int table = what != NULL ? table_of(what) : -1;
    const int number = what != NULL ? (int)strtol(what, NULL, 0) : 0;
    const int address = address_word != NULL ? (int)strtol(address_word, NULL, 0) : -1;
    const bool is_place = table >= 0 && address >= 0 && address < ADDRESSES;
    if (word == NULL || (address_word != NULL && !is_place)) {
        puts("what?");
    } else if (strcmp(word, "set") == 0) {
        set(s, table, address, rest);
    } else if (strcmp(word, "get") == 0) {
        get(s, table, address, (int)strtol(rest, NULL, 0));
    } else if (strcmp(word, "requests") == 0) {
        tell_requests(s);
    } else {
        if (strcmp(word, "refuse") == 0) {
            s->refused[table][address] = true;
        } else if (strcmp(word, "forbid") == 0) {
            s->forbidden[number & 0xff] = true;
        } else if (strcmp(word, "except") == 0) {
            s->exception = (unsigned)number;
        } else {
            s->is_silent = number != 0;
            s->logged = 0;
        }
        puts("ok");
    }
    (void)fflush(stdout);
}

/* ---- the loop ---------------------------------------------------------------------------------
 */

static bool
open_tcp(struct server *s, const char *port)
{
    struct sockaddr_in own;
    socklen_t len = sizeof own;
    s->modbus = modbus_new_tcp("127.0.0.1", (int)strtol(port, NULL, 10));
    s->fds[1].fd = s->modbus != NULL ? modbus_tcp_listen(s->modbus, PEERS_MAX) : -1;
    if (s->fds[1].fd < 0 || getsockname(s->fds[1].fd, (struct sockaddr *)&own, &len) != 0) {
        return false;
    }
    printf("%d\n", ntohs(own.sin_port));
    return true;
}

static bool
open_rtu(struct server *s, const char *path)
{
    s->is_serial = true;
    s->modbus = modbus_new_rtu(path, 19200, 'E', 8, 1);
    if (s->modbus == NULL || modbus_set_slave(s->modbus, 1) != 0 ||
        modbus_connect(s->modbus) != 0) {
        return false;
    }
    s->fds[1].fd = modbus_get_socket(s->modbus);
    puts("ready");
    return true;
}

static void
run(struct server *s)
{
    char line[LINE_BYTES_MAX];
    while (poll(s->fds, 2 + PEERS_MAX, -1) > 0) {
        if (s->fds[0].revents != 0) {
            if (fgets(line, sizeof line, stdin) == NULL) {
                return;
            }
            obey(s, line);
        }
        if (s->fds[1].revents != 0) {
            if (!s->is_serial) {
                take_peer(s);
            } else if ((s->fds[1].revents & POLLIN) == 0 || !serve(s, s->fds[1].fd)) {
                return;
            }
        }
        for (int i = 2; i < 2 + PEERS_MAX; i++) {
            if (s->fds[i].fd >= 0 && s->fds[i].revents != 0 && !serve(s, s->fds[i].fd)) {
                close(s->fds[i].fd);
                s->fds[i].fd = -1;
            }
        }
    }
}

int
main(int argc, char **argv)
{
    static struct server s;
    for (int i = 0; i < 2 + PEERS_MAX; i++) {
        s.fds[i] = (struct pollfd){.fd = i == 0 ? STDIN_FILENO : -1, .events = POLLIN};
    }
    (void)setvbuf(stdin, NULL, _IONBF, 0); /* poll tells about lines that nobody has read */
    s.mapping = modbus_mapping_new(ADDRESSES, ADDRESSES, ADDRESSES, ADDRESSES);
    if (argc != 3 || s.mapping == NULL ||
        !(strcmp(argv[1], "rtu") == 0 ? open_rtu(&s, argv[2]) : open_tcp(&s, argv[2]))) {
        fprintf(stderr, "modbus_server: %s\n", errno != 0 ? modbus_strerror(errno) : "wrong words");
        return 1;
    }
    (void)fflush(stdout);
    (void)modbus_set_response_timeout(s.modbus, 0,
                                      1000); /* it waits so long after what it refuses */
    run(&s);
    modbus_mapping_free(s.mapping);
    modbus_free(s.modbus);
    return 0;
}
