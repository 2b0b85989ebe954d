/* Any bytes as a text that is masked: it neither crashes nor loses a line, a known secret is
 * nowhere in the result, and what is learnt from a text is not in it either once it is masked with
 * that. */
#include "client/cli/mask.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/mask.h"

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

/* The same of proto/mask.h: a named secret in a URL is masked whatever stands before it. */
static void
mask_before_url(const char *data, size_t size, const char *secret)
{
    static const char url[] = " x://h/user=a_password=s3cr3t";
    char *text = malloc(size + sizeof url);
    require(text != NULL);
    memcpy(text, data, size);
    memcpy(text + size, url, sizeof url);
    const size_t len = mask_text(text, (char[1]){0}, 1);
    char *out = malloc(len + 1);
    require(out != NULL && mask_text(text, out, len + 1) == len && strlen(out) == len);
    require(strlen(text) < size || strstr(text, secret) < text + size ||
            strstr(out, secret) == NULL);
    const size_t url_len = mask_url(text, out, len + 1); /* what does not fit is cut */
    require(strlen(out) == (url_len < len ? url_len : len));
    free(out);
    free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char secret[] = "s3cr3t";
    const char *text = (const char *)data;
    struct mask mask = {.count = 0};
    size_t len = 0;
    mask_before_url(text, size, secret);
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
