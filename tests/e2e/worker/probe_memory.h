/* Methods of the probe that give what lies in shared memory, and let go of it at once. */
#ifndef PRONG_TESTS_E2E_WORKER_PROBE_MEMORY_H
#define PRONG_TESTS_E2E_WORKER_PROBE_MEMORY_H

#include <prong/stream.h>
#include <prong/worker.h>

/* Opened when it is needed first. */
struct probe_memory {
    prong_reader *reader; /* of the stream `cam` */
    prong_memory *memory;
};

/* The newest frame of `cam`, which it reads with a hold of 2. */
prong_err probe_frame(prong_job *job, const prong_value *args, void *context);
/* The same as an item, and then its number. */
prong_err probe_frame_item(prong_job *job, const prong_value *args, void *context);
/* A buffer of 10000 bytes that are 7. `how` in the arguments: what becomes of it, as in
 * probe_memory.c. */
prong_err probe_buffer(prong_job *job, const prong_value *args, void *context);
void probe_memory_free(struct probe_memory *m);

#endif
