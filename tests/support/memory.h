/* Memory that runs out: the n-th allocation of a thread fails, for each n.
 *
 * In a program of prong_test_memory() (cmake/ProngTest.cmake) the linker puts these functions in
 * front of the allocator for the objects of the program; libc and shared libraries keep their own.
 */
#ifndef PRONG_TESTS_SUPPORT_MEMORY_H
#define PRONG_TESTS_SUPPORT_MEMORY_H

#include <stdbool.h>

/* Of each thread its own, and without a world to hang it on: the allocator takes no argument. */
struct memory {
    int countdown;   /* to the allocation that fails; 0: none does */
    int allocations; /* so far, those that failed included */
    bool failed;     /* one was made to fail */
    bool spared;     /* what is allocated now does not count down */
};
extern _Thread_local struct memory memory;

/* Run it with the first, second, ... allocation failing, until one run needs fewer than that. */
void memory_fail_each(void (*run)(void));

#endif
