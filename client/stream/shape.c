/* Types and shapes of frames and buffers: see inside.h. */
#include "client/stream/inside.h"

#include <stdlib.h>
#include <string.h>

/* Bytes of one element; 0 when it is no dtype of fixed size. */
static uint64_t
item_bytes(const char *dtype)
{
    if (strlen(dtype) < 3 || strlen(dtype) > RING_DTYPE_BYTES || strchr("|<>=", dtype[0]) == NULL ||
        strchr("biufcSUVmM", dtype[1]) == NULL ||
        strspn(dtype + 2, "0123456789") != strlen(dtype + 2)) {
        return 0;
    }
    return strtoul(dtype + 2, NULL, 10) * (dtype[1] == 'U' ? 4 : 1);
}

prong_err
shape_check(const prong_frame_info *info, size_t bytes, struct shape *out, struct why why)
{
    const char *dtype = info->dtype != NULL ? info->dtype : "|u1";
    const uint64_t item = item_bytes(dtype);
    if (item == 0 || info->dims > RING_DIMS_MAX || (info->dims > 0 && info->shape == NULL)) {
        return fail(why, PRONG_INVALID_ARGUMENT,
                    "a dtype is as \"|u1\" or \"<f4\", and there are at most %d dimensions, not "
                    "'%.20s' and %u",
                    RING_DIMS_MAX, dtype, info->dims);
    }
    *out = (struct shape){.dims = info->dims != 0 ? info->dims : 1};
    out->shape[0] = bytes / item;
    uint64_t product = item;
    for (uint32_t i = 0; i < out->dims; i++) {
        out->shape[i] = info->dims != 0 ? info->shape[i] : out->shape[i];
        /* Beyond what any frame has, it is wrong and need not be exact. */
        product = out->shape[i] == 0                              ? 0
                  : product > LEND_SLOT_BYTES_MAX / out->shape[i] ? UINT64_MAX / 2
                                                                  : product * out->shape[i];
    }
    if (product != bytes) {
        return fail(why, PRONG_INVALID_ARGUMENT,
                    "shape and dtype '%s' are those of %llu bytes, and there are %zu", dtype,
                    (unsigned long long)product, bytes);
    }
    memcpy(out->dtype, dtype, strlen(dtype));
    return PRONG_OK;
}
