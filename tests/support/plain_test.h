/* The part of Criterion's surface that our tests use, for where Criterion cannot run
 * (ThreadSanitizer, valgrind) or hides what a test is about. plain_test.c has main() and says what
 * is checked. */
#ifndef PRONG_TESTS_SUPPORT_PLAIN_TEST_H
#define PRONG_TESTS_SUPPORT_PLAIN_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The names of the fields are Criterion's. */
struct plain_options {
    void (*init)(void);
    void (*fini)(void);
    double timeout; /* seconds; 0 takes the program's --timeout */
    int signal;     /* the test must end by this signal */
    int exit_code;  /* the test must call exit() with this code */
    bool disabled;
    const char *description;
    int sentinel; /* keeps the list of initialisers from being empty */
};

struct plain_test {
    const char *suite;
    const char *name;
    const char *file;
    int line;
    void (*run)(void);
    struct plain_options options;
    struct plain_test *next;
};

void plain_register(struct plain_test *test);

/* Says what failed; the caller decides whether the test goes on. */
__attribute__((format(printf, 4, 5))) void plain_fail(const char *file, int line, const char *what,
                                                      const char *format, ...);

/* Ends the running test: back to the framework, or out of the thread's or the child's process. */
_Noreturn void plain_abort(void);
__attribute__((format(printf, 1, 2))) _Noreturn void plain_skip(const char *format, ...);

void plain_fds_accept(void);
#define test_accept_open_fds() plain_fds_accept()

#define Test(...) PLAIN_TEST(__VA_ARGS__, .sentinel = 0)
#define PLAIN_TEST(suite_, name_, ...)                                                             \
    static void suite_##_##name_(void);                                                            \
    __attribute__((constructor)) static void suite_##_##name_##_register(void)                     \
    {                                                                                              \
        static struct plain_test test = {.suite = #suite_,                                         \
                                         .name = #name_,                                           \
                                         .file = __FILE__,                                         \
                                         .line = __LINE__,                                         \
                                         .run = suite_##_##name_,                                  \
                                         .options = {__VA_ARGS__}};                                \
        plain_register(&test);                                                                     \
    }                                                                                              \
    static void suite_##_##name_(void)

/* clang-format off */
/* A message is optional, and ISO C17 wants at least one argument for "...": so each macro counts
 * its arguments and takes the form without a message (1) or with one (N). At most 12 arguments. */
#define PLAIN_PICK(_1, _2, _3, _4, _5, _6, _7, _8, _9, _10, _11, _12, _13, chosen, ...) chosen
#define PLAIN_AFTER_1(...) PLAIN_PICK(__VA_ARGS__, N, N, N, N, N, N, N, N, N, N, N, N, 1, 0, 0)
#define PLAIN_AFTER_2(...) PLAIN_PICK(__VA_ARGS__, N, N, N, N, N, N, N, N, N, N, N, 1, 0, 0, 0)
#define PLAIN_AFTER_3(...) PLAIN_PICK(__VA_ARGS__, N, N, N, N, N, N, N, N, N, N, 1, 0, 0, 0, 0)
#define PLAIN_JOIN(a, b) PLAIN_JOIN_(a, b)
#define PLAIN_JOIN_(a, b) a##b

#define PLAIN_CHECK(end, ok, what, ...)                                                            \
    do {                                                                                           \
        if (!(ok)) {                                                                               \
            plain_fail(__FILE__, __LINE__, what, __VA_ARGS__);                                     \
            end;                                                                                   \
        }                                                                                          \
    } while (0)

#define PLAIN_TRUE(end, ...) PLAIN_JOIN(PLAIN_TRUE_, PLAIN_AFTER_1(__VA_ARGS__))(end, __VA_ARGS__)
#define PLAIN_TRUE_1(end, c) PLAIN_CHECK(end, c, #c, " ")
#define PLAIN_TRUE_N(end, c, ...) PLAIN_CHECK(end, c, #c, __VA_ARGS__)

#define PLAIN_NOT(end, ...) PLAIN_JOIN(PLAIN_NOT_, PLAIN_AFTER_1(__VA_ARGS__))(end, __VA_ARGS__)
#define PLAIN_NOT_1(end, c) PLAIN_CHECK(end, !(c), "not " #c, " ")
#define PLAIN_NOT_N(end, c, ...) PLAIN_CHECK(end, !(c), "not " #c, __VA_ARGS__)

#define PLAIN_OP(end, op, ...)                                                                     \
    PLAIN_JOIN(PLAIN_OP_, PLAIN_AFTER_2(__VA_ARGS__))(end, op, __VA_ARGS__)
#define PLAIN_OP_1(end, op, a, b) PLAIN_CHECK(end, (a)op(b), #a " " #op " " #b, " ")
#define PLAIN_OP_N(end, op, a, b, ...) PLAIN_CHECK(end, (a)op(b), #a " " #op " " #b, __VA_ARGS__)

/* Through a function, because a compiler that sees an array compared with NULL warns. */
bool plain_is_null(const void *pointer);
#define PLAIN_NULL(end, ...) PLAIN_JOIN(PLAIN_NULL_, PLAIN_AFTER_1(__VA_ARGS__))(end, __VA_ARGS__)
#define PLAIN_NULL_1(end, p) PLAIN_CHECK(end, plain_is_null(p), #p " is NULL", " ")
#define PLAIN_NULL_N(end, p, ...) PLAIN_CHECK(end, plain_is_null(p), #p " is NULL", __VA_ARGS__)
#define PLAIN_SET(end, ...) PLAIN_JOIN(PLAIN_SET_, PLAIN_AFTER_1(__VA_ARGS__))(end, __VA_ARGS__)
#define PLAIN_SET_1(end, p) PLAIN_CHECK(end, !plain_is_null(p), #p " is not NULL", " ")
#define PLAIN_SET_N(end, p, ...) PLAIN_CHECK(end, !plain_is_null(p), #p " is not NULL", __VA_ARGS__)

/* Strings and bytes are worth showing, so they are compared by functions that do. */
bool plain_str(const char *file, int line, const char *what, const char *a, const char *op,
               const char *b);
bool plain_arr(const char *file, int line, const char *what, const void *a, const void *b,
               size_t size_bytes);
#define PLAIN_STR(end, op, ...)                                                                    \
    PLAIN_JOIN(PLAIN_STR_, PLAIN_AFTER_2(__VA_ARGS__))(end, op, __VA_ARGS__)
#define PLAIN_STR_1(end, op, a, b) PLAIN_STR_N(end, op, a, b, " ")
#define PLAIN_STR_N(end, op, a, b, ...)                                                            \
    PLAIN_CHECK(end, plain_str(__FILE__, __LINE__, #a " " op " " #b, a, op, b), #a " " op " " #b,  \
                __VA_ARGS__)
#define PLAIN_ARR(end, ...) PLAIN_JOIN(PLAIN_ARR_, PLAIN_AFTER_3(__VA_ARGS__))(end, __VA_ARGS__)
#define PLAIN_ARR_1(end, a, b, size) PLAIN_ARR_N(end, a, b, size, " ")
#define PLAIN_ARR_N(end, a, b, size, ...)                                                          \
    PLAIN_CHECK(end, plain_arr(__FILE__, __LINE__, #a " and " #b, a, b, size),                     \
                #a " and " #b " are equal", __VA_ARGS__)
#define PLAIN_NARR(end, ...) PLAIN_JOIN(PLAIN_NARR_, PLAIN_AFTER_3(__VA_ARGS__))(end, __VA_ARGS__)
#define PLAIN_NARR_1(end, a, b, size) PLAIN_NARR_N(end, a, b, size, " ")
#define PLAIN_NARR_N(end, a, b, size, ...)                                                         \
    PLAIN_CHECK(end, memcmp(a, b, size) != 0, #a " and " #b " differ", __VA_ARGS__)

#define PLAIN_GO_ON (void)0

#define cr_assert(...) PLAIN_TRUE(plain_abort(), __VA_ARGS__)
#define cr_assert_not(...) PLAIN_NOT(plain_abort(), __VA_ARGS__)
#define cr_assert_fail(...) PLAIN_TRUE(plain_abort(), false, __VA_ARGS__)
#define cr_assert_eq(...) PLAIN_OP(plain_abort(), ==, __VA_ARGS__)
#define cr_assert_neq(...) PLAIN_OP(plain_abort(), !=, __VA_ARGS__)
#define cr_assert_lt(...) PLAIN_OP(plain_abort(), <, __VA_ARGS__)
#define cr_assert_leq(...) PLAIN_OP(plain_abort(), <=, __VA_ARGS__)
#define cr_assert_gt(...) PLAIN_OP(plain_abort(), >, __VA_ARGS__)
#define cr_assert_geq(...) PLAIN_OP(plain_abort(), >=, __VA_ARGS__)
#define cr_assert_null(...) PLAIN_NULL(plain_abort(), __VA_ARGS__)
#define cr_assert_not_null(...) PLAIN_SET(plain_abort(), __VA_ARGS__)
#define cr_assert_str_eq(...) PLAIN_STR(plain_abort(), "==", __VA_ARGS__)
#define cr_assert_str_neq(...) PLAIN_STR(plain_abort(), "!=", __VA_ARGS__)
#define cr_assert_arr_eq(...) PLAIN_ARR(plain_abort(), __VA_ARGS__)
#define cr_assert_arr_neq(...) PLAIN_NARR(plain_abort(), __VA_ARGS__)

#define cr_expect(...) PLAIN_TRUE(PLAIN_GO_ON, __VA_ARGS__)
#define cr_expect_not(...) PLAIN_NOT(PLAIN_GO_ON, __VA_ARGS__)
#define cr_expect_fail(...) PLAIN_TRUE(PLAIN_GO_ON, false, __VA_ARGS__)
#define cr_expect_eq(...) PLAIN_OP(PLAIN_GO_ON, ==, __VA_ARGS__)
#define cr_expect_neq(...) PLAIN_OP(PLAIN_GO_ON, !=, __VA_ARGS__)
#define cr_expect_lt(...) PLAIN_OP(PLAIN_GO_ON, <, __VA_ARGS__)
#define cr_expect_leq(...) PLAIN_OP(PLAIN_GO_ON, <=, __VA_ARGS__)
#define cr_expect_gt(...) PLAIN_OP(PLAIN_GO_ON, >, __VA_ARGS__)
#define cr_expect_geq(...) PLAIN_OP(PLAIN_GO_ON, >=, __VA_ARGS__)
#define cr_expect_null(...) PLAIN_NULL(PLAIN_GO_ON, __VA_ARGS__)
#define cr_expect_not_null(...) PLAIN_SET(PLAIN_GO_ON, __VA_ARGS__)
#define cr_expect_str_eq(...) PLAIN_STR(PLAIN_GO_ON, "==", __VA_ARGS__)
#define cr_expect_str_neq(...) PLAIN_STR(PLAIN_GO_ON, "!=", __VA_ARGS__)
#define cr_expect_arr_eq(...) PLAIN_ARR(PLAIN_GO_ON, __VA_ARGS__)
#define cr_expect_arr_neq(...) PLAIN_NARR(PLAIN_GO_ON, __VA_ARGS__)
#define cr_skip_test(...) plain_skip(__VA_ARGS__)
/* clang-format on */

#endif
