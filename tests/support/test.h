/* The test framework as the tests see it: Criterion, or under TSan and valgrind the small header with
 * the same surface. Tests use only Test(), cr_assert*, cr_expect* in their printf forms. */
#ifndef PRONG_TESTS_SUPPORT_TEST_H
#define PRONG_TESTS_SUPPORT_TEST_H

#ifdef PRONG_PLAIN_TESTS
#include "tests/support/plain_test.h"
#else
#include <criterion/criterion.h>
#endif

#endif
