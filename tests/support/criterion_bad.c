/* What Criterion itself lets pass although it is broken; ctest is told to fail on their output. */
#include <stdlib.h>

#include "tests/support/test.h"

static void
fail_late(void)
{
    cr_assert(false, "in fini");
}

Test(bad, fails_an_assertion)
{
    cr_assert_eq(1, 2);
}

Test(bad, fails_in_fini, .fini = fail_late)
{
    cr_assert(true);
}

/* Only seen by a build with AddressSanitizer. */
Test(bad, leaks_memory)
{
    /* NOLINTBEGIN: the leak is what this test is for. */
    void *volatile lost = malloc(77);

    lost = NULL;
    cr_assert_null(lost);
    /* NOLINTEND */
}

/* Not run by anybody: that it builds is the test. */
Test(unused, skips)
{
    test_accept_open_fds();
    test_skip("no camera");
}
