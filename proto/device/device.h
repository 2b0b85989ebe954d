/* The table of devices as data: what the broker's configuration and the programs in client/devices
 * read options with. Constant, no memory; the rows stand in tbl/devices.def. */
#ifndef PRONG_PROTO_DEVICE_DEVICE_H
#define PRONG_PROTO_DEVICE_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum device_set {
#define DEVICE_SHARED(id, title)                   DEVICE_##id,
#define DEVICE_KIND(id, name, program, sets, help) DEVICE_##id,
#include "proto/tbl/devices.def"
    DEVICE_SET_COUNT
};

/* For sets and rows of the table. */
#define DEVICE_HAS(id)    (UINT64_C(1) << DEVICE_##id)
#define DEVICE_WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

enum device_type {
    DEVICE_TYPE_INT,
    DEVICE_TYPE_BOOL,
    DEVICE_TYPE_STRING,
    DEVICE_TYPE_ENUM,
    DEVICE_TYPE_DURATION, /* milliseconds */
    DEVICE_TYPE_SIZE,     /* bytes */
    DEVICE_TYPE_LIST,     /* of texts */
    DEVICE_TYPE_MAP,      /* of texts */
    DEVICE_TYPE_PATH,
};

struct device_kind {
    enum device_set id;
    const char *name, *program, *help;
    uint64_t sets; /* its own included */
};

/* A set of options that several kinds have. */
struct device_shared {
    enum device_set id;
    const char *title;
};

struct device_option {
    enum device_set set;
    enum device_type type;
    const char *key, *fallback, *unset, *example, *help, *accepts;
    const char *const *allowed; /* ENUM; ends with NULL */
    int64_t min, max;
    /* STRING, or each item of a LIST, or each name of a MAP; or NULL. */
    bool (*check)(const char *text, char *why, size_t why_bytes);
    bool has_paths; /* LIST: its items are paths */
    /* MAP: the same of each value, as `check` is of each name. */
    bool (*check_each)(const char *text, char *why, size_t why_bytes);
    const char *either;  /* an option of the kind: exactly one of the two is given */
    const char *with;    /* an option of the kind: this one belongs to it */
    const char *needs;   /* an option of the kind: this one is nothing without it */
    const char *without; /* an option of the kind: at most one of the two is given */
};

extern const struct device_kind device_kinds[];
extern const size_t device_kind_count;
extern const struct device_shared device_shared_sets[];
extern const size_t device_shared_count;
extern const struct device_option device_options[];
extern const size_t device_option_count;

/* NULL when there is none of that name. */
const struct device_kind *device_kind_find(const char *name);
/* Whether a kind has options of a set. */
bool device_kind_has(const struct device_kind *kind, enum device_set set);
/* The place in device_options of an option that a kind has, or -1. */
int device_option_find(const struct device_kind *kind, const char *key);

#endif
