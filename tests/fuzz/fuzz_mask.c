/* Any bytes as a text that is masked: it neither crashes nor loses a line, a known secret is
 * nowhere in the result, and what is learnt from a text is not in it either once it is masked with
 * that. */
#include "client/cli/mask.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool ok)
{
    if (!ok) {
        abort();
    }
}

static size_t
count_lines(const char *text, size_t len)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++) {
        count += text[i] == '\n';
    }
    return count;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char secret[] = "s3cr3t";
    const char *text = (const char *)data;
    struct mask mask = {.count = 0};
    size_t len = 0;
    require(mask_learn(&mask, secret, sizeof secret - 1));
    require(mask_learn_from(&mask, text, size));
    char *got = mask_copy(&mask, text, size, &len);
    require(got != NULL && got[len] == '\0');
    require(count_lines(got, len) == count_lines(text, size));
    for (size_t i = 0; i < mask.count; i++) {
        /* One that has the stars of a mask in it can be made by masking. */
        require(strchr(mask.secrets[i], '*') != NULL ||
                memmem(got, len, mask.secrets[i], strlen(mask.secrets[i])) == NULL);
    }
    free(got);
    mask_deinit(&mask);
    return 0;
}
