/* Names and their addresses. A name server that is silent is in tests/e2e/devices/test_net.py. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "client/devices/resolve.h"
#include "tests/support/test.h"

enum { ANSWER_MS = 60000 };

/* What the answer to the question is: see resolve_take. */
static const char *
ask(const char *host, struct addrinfo **found)
{
    struct resolve *r = resolve_begin(host, 4711, SOCK_STREAM);
    cr_assert_not_null(r);
    struct pollfd p = {.fd = resolve_fd(r), .events = POLLIN};
    cr_assert_eq(poll(&p, 1, ANSWER_MS), 1);
    const char *why = resolve_take(r, found);
    struct addrinfo *again = NULL;
    cr_expect_not_null(resolve_take(r, &again), "an answer is taken once");
    cr_expect_null(again);
    resolve_end(&r);
    cr_expect_null(r);
    return why;
}

Test(resolve, an_address_is_its_own_answer)
{
    struct addrinfo *found = NULL;
    struct sockaddr_in6 at;
    cr_assert_null(ask("::1", &found));
    cr_assert_not_null(found);
    cr_expect_eq(found->ai_family, AF_INET6);
    cr_expect_eq(found->ai_socktype, SOCK_STREAM);
    memcpy(&at, found->ai_addr, sizeof at);
    cr_expect_eq(ntohs(at.sin6_port), 4711);
    cr_expect(IN6_IS_ADDR_LOOPBACK(&at.sin6_addr));
    freeaddrinfo(found);
}

Test(resolve, this_machine_has_an_address)
{
    struct addrinfo *found = NULL;
    cr_assert_null(ask("localhost", &found));
    cr_assert_not_null(found);
    freeaddrinfo(found);
}

Test(resolve, why_there_is_none_is_said)
{
    struct addrinfo *found = NULL;
    const char *why = ask("a name with blanks", &found);
    cr_assert_not_null(why);
    cr_expect_str_neq(why, "");
    cr_expect_null(found);
}

Test(resolve, a_question_may_be_forgotten_at_any_time)
{
    struct resolve *none = NULL;
    resolve_end(&none);
    for (int i = 0; i < 100; i++) {
        struct resolve *r = resolve_begin(i % 2 == 0 ? "127.0.0.1" : "localhost", 1, SOCK_STREAM);
        cr_assert_not_null(r);
        resolve_end(&r);
        cr_assert_null(r);
    }
}
