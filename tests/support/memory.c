/* Memory that runs out: see memory.h. Compiled into each program, because it asserts with the
 * program's own framework. */
#include "tests/support/memory.h"

#include <stddef.h>

#include "tests/support/test.h"

_Thread_local struct memory memory;

static bool
fails(void)
{
    memory.allocations++;
    if (!memory.spared && memory.countdown > 0 && --memory.countdown == 0) {
        memory.failed = true;
        return true;
    }
    return false;
}

/* The linker's --wrap prescribes these names. */
/* NOLINTBEGIN(bugprone-reserved-identifier) */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t len);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t len);

void *
__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *
__wrap_realloc(void *p, size_t size)
{
    return fails() ? NULL : __real_realloc(p, size);
}

char *
__wrap_strdup(const char *s)
{
    return fails() ? NULL : __real_strdup(s);
}

char *
__wrap_strndup(const char *s, size_t len)
{
    return fails() ? NULL : __real_strndup(s, len);
}

/* NOLINTEND(bugprone-reserved-identifier) */

void
memory_fail_each(void (*run)(void))
{
    int n = 0;
    do {
        memory.failed = false;
        memory.countdown = ++n;
        run();
        memory.countdown = 0;
        cr_assert(n < 1000, "there is no end of allocations");
    } while (memory.failed);
    cr_assert(n > 3, "only %d allocations", n);
}
