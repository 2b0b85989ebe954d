/* What prong-gen prints: one function per file that is generated. Each returns false after it has
 * said on stderr what was wrong. */
#ifndef PRONG_GEN_GEN_H
#define PRONG_GEN_GEN_H

#include <stdbool.h>
#include <stdio.h>

/* proto/PROTOCOL.md; `folder` is where protocol.md.in and what it includes stand. */
bool gen_protocol(FILE *out, const char *folder);
/* proto/constants.json, for bindings. */
bool gen_constants(FILE *out);
/* client/include/prong/codes.h, for users of the C library. */
bool gen_header(FILE *out);
/* bindings/python/prong/_constants.py; `version` is that of the project. */
bool gen_python(FILE *out, const char *version);

#endif
