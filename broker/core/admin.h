/* The hub's own methods, shared by the files that carry them out: admin.c reads their arguments and
 * says who asked, admin_show.c answers questions, admin_change.c does what changes something. */
#ifndef PRONG_CORE_ADMIN_H
#define PRONG_CORE_ADMIN_H

#include "broker/core/parts.h"

enum admin_method {
#define METHOD(name, changes, help) METHOD_##name,
#include "broker/core/admin.def"
#undef METHOD
    METHOD_COUNT,
};

enum admin_param {
#define PARAM(method, name, kind, required, help) PARAM_##method##_##name,
#include "broker/core/admin.def"
#undef PARAM
    PARAM_COUNT,
};

enum admin_kind { TEXT, UINT, BOOL, BYTES, TEXTS, TABLE };

struct admin_row {
    enum admin_method method;
    const char *name;
    enum admin_kind kind;
    bool required;
    const char *help;
};
extern const struct admin_row admin_params[PARAM_COUNT];

/* A call that is being carried out: its arguments by the number of their row, empty when left out.
 */
struct request {
    struct hub *hub;
    struct call *call;
    struct span value[PARAM_COUNT];
    bool sampled; /* what processes use is from now: it was asked for, and has come */
};

/* One function for each method. */
#define METHOD(name, changes, help) void admin_##name(struct request *q);
#include "broker/core/admin.def"
#undef METHOD

void admin_fail(const struct request *q, enum wire_error code, const char *text);
void admin_done(const struct request *q);
/* What was built in hub->scratch is the result. */
void admin_give_scratch(const struct request *q);
struct span admin_text(const struct request *q, enum admin_param p);
uint64_t admin_uint(const struct request *q, enum admin_param p, uint64_t otherwise);
/* The worker of an argument, and the replica when one is named. NULL after it was refused. */
struct worker *admin_worker(struct request *q, enum admin_param p, int64_t *only);
/* The same of a name that stands elsewhere. */
struct worker *admin_find(const struct request *q, struct span name, int64_t *only);
bool admin_bool(const struct request *q, enum admin_param p);

#endif
