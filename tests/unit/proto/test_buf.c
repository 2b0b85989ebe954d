/* The growing buffer. */
#include "tests/unit/proto/helper.h"

#include <string.h>

Test(buf, a_buffer_of_zeros_is_empty)
{
    struct buf b = {0};
    cr_assert_eq(buf_span(&b).len, 0);
    cr_assert_null(buf_span(&b).data);
    buf_deinit(&b);
}

Test(buf, what_was_put_comes_out_in_order)
{
    struct buf b = {0};
    for (int i = 0; i < 1000; i++) {
        buf_put(&b, "0123456789", 10);
    }
    const struct span s = buf_span(&b);
    cr_assert_eq(s.len, 10000);
    for (size_t i = 0; i < s.len; i++) {
        CHECK(s.data[i] == '0' + i % 10, "byte %zu is %c", i, s.data[i]);
    }
    buf_deinit(&b);
}

Test(buf, putting_nothing_takes_no_memory)
{
    struct buf b = {0};
    buf_put(&b, NULL, 0);
    cr_assert_null(b.data);
    cr_assert_not(b.failed);
}

Test(buf, what_was_skipped_is_gone_from_the_front)
{
    struct buf b = {0};
    buf_put(&b, "abcdef", 6);
    buf_skip(&b, 2);
    cr_assert_eq(buf_span(&b).len, 4);
    cr_assert_arr_eq(buf_span(&b).data, "cdef", 4);
    buf_skip(&b, 4);
    cr_assert_eq(buf_span(&b).len, 0);
    buf_deinit(&b);
}

Test(buf, skipping_more_than_is_there_leaves_it_empty)
{
    struct buf b = {0};
    buf_put(&b, "ab", 2);
    buf_skip(&b, 100);
    cr_assert_eq(buf_span(&b).len, 0);
    buf_put(&b, "c", 1);
    cr_assert_arr_eq(buf_span(&b).data, "c", 1);
    buf_deinit(&b);
}

Test(buf, room_that_was_read_is_used_before_more_memory_is_taken)
{
    struct buf b = {0};
    cr_assert(buf_reserve(&b, 1));
    const size_t cap = b.cap;
    for (int i = 0; i < 10000; i++) {
        buf_put(&b, "0123456789", 10);
        buf_skip(&b, 9);
        buf_skip(&b, 1);
    }
    cr_assert_eq(b.cap, cap, "grew to %zu", b.cap);
    buf_put(&b, "ab", 2);
    buf_skip(&b, 1);
    for (size_t i = 0; i < cap - 2; i++) {
        buf_put(&b, "x", 1);
    }
    buf_put(&b, "y", 1);
    cr_assert_eq(b.cap, cap, "grew to %zu", b.cap);
    cr_assert_eq(buf_span(&b).len, cap);
    cr_assert_eq(buf_span(&b).data[0], 'b');
    cr_assert_eq(buf_span(&b).data[cap - 1], 'y');
    buf_deinit(&b);
}

Test(buf, what_fits_exactly_takes_no_further_memory)
{
    struct buf b = {0};
    cr_assert(buf_reserve(&b, 1));
    const size_t cap = b.cap;
    for (size_t i = 0; i < cap; i++) {
        buf_put(&b, "x", 1);
    }
    cr_assert_eq(b.cap, cap);
    buf_skip(&b, 10);
    buf_put(&b, "0123456789", 10);
    cr_assert_eq(b.cap, cap);
    cr_assert_arr_eq(buf_span(&b).data + cap - 10, "0123456789", 10);
    buf_deinit(&b);
    cr_assert(buf_reserve(&b, cap));
    cr_assert_eq(b.cap, cap);
    buf_deinit(&b);
}

Test(buf, a_size_that_no_memory_has_fails_and_the_failure_stays)
{
    struct buf b = {0};
    buf_put(&b, "abc", 3);
    cr_assert_not(buf_reserve(&b, SIZE_MAX));
    cr_assert(b.failed);
    cr_assert_not(buf_reserve(&b, 1));
    buf_put(&b, "d", 1);
    cr_assert_eq(buf_span(&b).len, 3, "what is put after a failure is ignored");
    buf_deinit(&b);
    cr_assert_not(b.failed);
}

Test(buf, reset_forgets_content_and_failure)
{
    struct buf b = {0};
    buf_put(&b, "abc", 3);
    cr_assert_not(buf_reserve(&b, SIZE_MAX / 2));
    buf_reset(&b, b.cap);
    cr_assert_not(b.failed);
    cr_assert_not_null(b.data, "memory within the limit is kept");
    cr_assert_eq(buf_span(&b).len, 0);
    buf_reset(&b, b.cap - 1);
    cr_assert_null(b.data, "memory above the limit is given back");
    cr_assert_eq(b.cap, 0);
}

Test(buf, deinit_may_run_twice_and_leaves_a_usable_buffer)
{
    struct buf b = {0};
    buf_put(&b, "abc", 3);
    buf_deinit(&b);
    buf_deinit(&b);
    buf_put(&b, "d", 1);
    cr_assert_eq(buf_span(&b).len, 1);
    buf_deinit(&b);
}

Test(buf, a_large_write_takes_what_it_needs_and_small_ones_double)
{
    struct buf b = {0};
    cr_assert(buf_reserve(&b, 100000));
    cr_assert_leq(b.cap, 100000 + 4096);
    const size_t cap = b.cap;
    b.w = cap;
    buf_put(&b, "x", 1);
    cr_assert_geq(b.cap, 2 * cap);
    buf_deinit(&b);
}

Test(buf, what_is_kept_takes_no_more_than_it_needs)
{
    struct buf b = {0};
    cr_assert(buf_fit(&b, 40));
    cr_assert_eq(b.cap, 40);
    buf_put(&b, "0123456789", 10);
    cr_assert(buf_fit(&b, 30));
    cr_assert_eq(b.cap, 40, "there was room");
    buf_skip(&b, 5);
    cr_assert(buf_fit(&b, 35));
    cr_assert_eq(b.cap, 40, "there was room at the front");
    cr_assert_not(buf_fit(&b, SIZE_MAX / 2));
    cr_assert(b.failed);
    buf_deinit(&b);
}

Test(buf, recycle_keeps_what_was_needed_last_and_gives_the_rest_back)
{
    struct buf b = {0};
    cr_assert(buf_reserve(&b, 100000));
    const size_t cap = b.cap;
    b.w = 100000;
    buf_recycle(&b, 1000);
    cr_assert_eq(b.cap, cap);
    cr_assert_eq(buf_span(&b).len, 0);
    buf_put(&b, "x", 1);
    buf_recycle(&b, 1000);
    cr_assert_eq(b.cap, 0);
    buf_put(&b, "x", 1);
    buf_recycle(&b, 1000);
    cr_assert_neq(b.cap, 0, "up to what may always be kept");
    buf_deinit(&b);
    buf_recycle(&b, 0);
    cr_assert_eq(b.cap, 0);
}
