/* The test framework as the tests see it: Criterion, or under TSan, valgrind and in tests about
 * processes the project's own small one (plain_test.h) with the same surface. Tests use only
 * Test(), cr_assert*, cr_expect* in their printf forms, and test_skip(). A forked child never
 * asserts: it ends with _exit(n) and its parent looks at n. */
#ifndef PRONG_TESTS_SUPPORT_TEST_H
#define PRONG_TESTS_SUPPORT_TEST_H

#ifdef PRONG_PLAIN_TESTS
#include "tests/support/plain_test.h"
#else
#include <criterion/criterion.h>
#include <stdio.h>
#define test_accept_open_fds() ((void)0)
#endif

/* test_accept_open_fds(): the descriptors open now are no leak of this test (only the plain
 * framework looks for leaks). For what a library opens once for the whole process, as nng does;
 * called as soon as the library has started, so that what the test itself opens is still watched.
 */

/* Ends the test without a verdict. scripts/test collects the lines that begin with SKIP and shows
 * them, so a test that cannot run here is seen by whoever reads the result. */
#define test_skip(reason)                                                                          \
    do {                                                                                           \
        fprintf(stderr, "SKIP: %s\n", reason);                                                     \
        fflush(stderr);                                                                            \
        cr_skip_test("%s", reason);                                                                \
    } while (0)

#endif
