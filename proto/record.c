/* Records: see record.h. One loop over the tables decodes them all. */
#include "proto/record.h"

#include <stdarg.h>
#include <stdio.h>

/* Where a fault was found, for its message. */
struct place {
    const struct wire_field_row *row;
    struct wire_diag *diag;
};

static bool
take_field(struct span *rest, struct field *f)
{
    return mp_take(rest, &f->item, &f->raw, &f->inside);
}

__attribute__((format(printf, 2, 3))) static bool
refuse(const struct place *at, const char *format, ...)
{
    if (at->diag == NULL) {
        return false;
    }
    struct wire_diag *diag = at->diag;
    diag->code = WIRE_ERR_INVALID_ARGUMENT;
    int n = 0;
    if (at->row != NULL) {
        n = snprintf(diag->text, sizeof diag->text,
                     "%s %s: ", wire_record_row(at->row->record)->name, at->row->name);
    }
    va_list args;
    va_start(args, format);
    (void)vsnprintf(diag->text + n, sizeof diag->text - (size_t)n, format, args);
    va_end(args);
    return false;
}

static bool
wrong_kind(const struct place *at, const struct mp_item *got)
{
    return refuse(at, "must be %s, got %s", wire_type_help(at->row->type), mp_kind_name(got->kind));
}

static bool
check_uint(const struct place *at, const struct mp_item *item)
{
    if (item->kind != MP_UINT) {
        return wrong_kind(at, item);
    }
    if (item->uint < at->row->min || item->uint > at->row->max) {
        return refuse(at, "must be from %llu to %llu, got %llu", (unsigned long long)at->row->min,
                      (unsigned long long)at->row->max, (unsigned long long)item->uint);
    }
    return true;
}

static bool
check_text(const struct place *at, const struct mp_item *item)
{
    if (item->kind != MP_STR) {
        return wrong_kind(at, item);
    }
    if (item->bytes.len < at->row->min || item->bytes.len > at->row->max) {
        return refuse(at, "must have %llu to %llu bytes, got %zu", (unsigned long long)at->row->min,
                      (unsigned long long)at->row->max, item->bytes.len);
    }
    return mp_is_utf8(item->bytes) || refuse(at, "is not UTF-8");
}

/* Whether a list or map has a number of elements that the row allows. */
static bool
check_count(const struct place *at, const struct mp_item *item, enum mp_kind kind)
{
    if (item->kind != kind) {
        return wrong_kind(at, item);
    }
    if (item->count < at->row->min || item->count > at->row->max) {
        return refuse(at, "must have %llu to %llu elements, got %u",
                      (unsigned long long)at->row->min, (unsigned long long)at->row->max,
                      (unsigned)item->count);
    }
    return true;
}

static bool
check_name(const struct place *at, const struct mp_item *item, bool (*is)(struct span))
{
    char shown[61];
    if (item->kind != MP_STR) {
        return wrong_kind(at, item);
    }
    return is(item->bytes) || refuse(at, "must be %s, got '%s'", wire_type_help(at->row->type),
                                     span_show(item->bytes, shown, sizeof shown));
}

static bool
check_bytes(const struct place *at, const struct mp_item *item)
{
    if (item->kind != MP_BIN && item->kind != MP_STR) {
        return wrong_kind(at, item);
    }
    return item->bytes.len <= at->row->max ||
           refuse(at, "must have at most %llu bytes, got %zu", (unsigned long long)at->row->max,
                  item->bytes.len);
}

static bool
check_filters(const struct place *at, const struct field *f)
{
    if (!check_count(at, &f->item, MP_ARRAY)) {
        return false;
    }
    struct span inside = f->inside;
    struct mp_item item;
    for (uint32_t i = 0; i < f->item.count; i++) {
        if (!mp_next(&inside, &item) || !check_name(at, &item, name_is_filter)) {
            return false;
        }
    }
    return true;
}

static bool
check_calls(const struct place *at, const struct field *f)
{
    if (!check_count(at, &f->item, MP_ARRAY)) {
        return false;
    }
    struct span inside = f->inside;
    struct mp_item item;
    for (uint32_t i = 0; i < f->item.count; i++) {
        if (!mp_next(&inside, &item) || item.kind != MP_UINT || item.uint > WIRE_INT_MAX) {
            return refuse(at, "must be %s", wire_type_help(WIRE_TYPE_CALLS));
        }
    }
    return true;
}

static bool check_field(const struct place *at, struct field *f);

/* All pairs of a map: text keys, and for those in keys.def the type that stands there. Maps of maps
 * (METHODS) go one level down and no further. */
static bool
check_map(const struct place *at, const struct field *f, enum wire_record keys)
{
    if (f->item.kind != MP_MAP) {
        return wrong_kind(at, &f->item);
    }
    size_t first = 0; /* the keys of one record stand together; WIRE_REC_COUNT has none */
    while (first < WIRE_KEY_COUNT && wire_keys[first].record != keys) {
        first++;
    }
    struct span inside = f->inside;
    for (uint32_t i = 0; i < f->item.count; i++) {
        struct mp_item name;
        struct field value = {0};
        if (!mp_next(&inside, &name) || name.kind != MP_STR) {
            return refuse(at, "must be a map whose keys are texts");
        }
        if (!take_field(&inside, &value)) {
            return refuse(at, "is cut off");
        }
        for (size_t k = first; k < WIRE_KEY_COUNT && wire_keys[k].record == keys; k++) {
            if (span_is(name.bytes, wire_keys[k].name) &&
                !check_field(&(struct place){&wire_keys[k], at->diag}, &value)) {
                return false;
            }
        }
    }
    return true;
}

static bool
check_methods(const struct place *at, const struct field *f)
{
    if (!check_count(at, &f->item, MP_MAP)) {
        return false;
    }
    struct span inside = f->inside;
    for (uint32_t i = 0; i < f->item.count; i++) {
        struct mp_item name;
        struct field about = {0};
        if (!mp_next(&inside, &name) || !check_name(at, &name, name_is_method)) {
            return refuse(at, "keys must be %s", wire_type_help(WIRE_TYPE_METHOD));
        }
        if (!take_field(&inside, &about)) {
            return refuse(at, "is cut off");
        }
        if (about.item.kind != MP_MAP) {
            return refuse(at, "must map each method to a map about it (policy, help)");
        }
        if (!check_map(at, &about, WIRE_REC_METHODS)) {
            return false;
        }
    }
    return true;
}

static bool decode_fields(struct span *rest, enum wire_record record, uint32_t count,
                          struct record *out, struct wire_diag *diag);

static bool
check_items(const struct place *at, const struct field *f, enum wire_record record)
{
    if (!check_count(at, &f->item, MP_ARRAY)) {
        return false;
    }
    struct span inside = f->inside;
    struct record item;
    for (uint32_t i = 0; i < f->item.count; i++) {
        struct mp_item head;
        if (!mp_next(&inside, &head) || head.kind != MP_ARRAY) {
            return refuse(at, "must be %s", wire_type_help(at->row->type));
        }
        if (!decode_fields(&inside, record, head.count, &item, at->diag)) {
            return false;
        }
    }
    return true;
}

static bool
check_from(const struct place *at, const struct mp_item *item)
{
    if (item->kind == MP_UINT && item->uint <= WIRE_INT_MAX) {
        return true;
    }
    if (item->kind == MP_STR && (span_is(item->bytes, "new") || span_is(item->bytes, "oldest") ||
                                 span_is(item->bytes, "last"))) {
        return true;
    }
    return wrong_kind(at, item);
}

static bool
check_client(const struct place *at, const struct mp_item *item)
{
    return item->kind == MP_NIL || (item->kind == MP_BIN && item->bytes.len == WIRE_CLIENT_BYTES) ||
           wrong_kind(at, item);
}

static bool
check_args(const struct place *at, const struct field *f)
{
    return f->item.kind == MP_ARRAY || check_map(at, f, WIRE_REC_COUNT);
}

/* What was taken, against its row. */
static bool
check_field(const struct place *at, struct field *f)
{
    const struct mp_item *item = &f->item;
    switch (at->row->type) {
    case WIRE_TYPE_UINT:
        return check_uint(at, item);
    case WIRE_TYPE_CLIENT:
        return check_client(at, item);
    case WIRE_TYPE_TARGET:
        return (item->kind == MP_STR && name_target(item->bytes, &f->target)) ||
               check_name(at, item, name_is_worker);
    case WIRE_TYPE_TARGETS:
        return (item->kind == MP_STR && name_targets(item->bytes, &f->target)) ||
               check_name(at, item, name_is_worker);
    case WIRE_TYPE_NAME:
        return check_name(at, item, name_is_worker);
    case WIRE_TYPE_METHOD:
        return check_name(at, item, name_is_method);
    case WIRE_TYPE_TOPIC:
        return check_name(at, item, name_is_topic);
    case WIRE_TYPE_FILTERS:
        return check_filters(at, f);
    case WIRE_TYPE_FROM:
        return check_from(at, item);
    case WIRE_TYPE_TEXT:
        return check_text(at, item);
    case WIRE_TYPE_BYTES:
        return check_bytes(at, item);
    case WIRE_TYPE_BOOL:
        return item->kind == MP_BOOL || wrong_kind(at, item);
    case WIRE_TYPE_MAP:
        return check_map(at, f, at->row->record);
    case WIRE_TYPE_TABLE:
        return check_map(at, f, WIRE_REC_COUNT);
    case WIRE_TYPE_OPTIONS:
        return item->kind == MP_NIL || check_map(at, f, at->row->record);
    case WIRE_TYPE_PAYLOAD:
        return true;
    case WIRE_TYPE_ARGS:
        return check_args(at, f);
    case WIRE_TYPE_LIST:
        return item->kind == MP_ARRAY || wrong_kind(at, item);
    case WIRE_TYPE_CALLS:
        return check_calls(at, f);
    case WIRE_TYPE_SEQ_OR_CALLS:
        return item->kind == MP_UINT ? check_uint(at, item) : check_calls(at, f);
    case WIRE_TYPE_METHODS:
        return check_methods(at, f);
    case WIRE_TYPE_REPORT_ITEMS:
        return check_items(at, f, WIRE_REC_REPORT_ITEM);
    case WIRE_TYPE_WORK_ITEMS:
        return check_items(at, f, WIRE_REC_WORK_ITEM);
    case WIRE_TYPE_EVENT_ITEMS:
        return check_items(at, f, WIRE_REC_EVENT_ITEM);
    case WIRE_TYPE_COUNT:
        break;
    }
    return false;
}

static bool
decode_fields(struct span *rest, enum wire_record record, uint32_t count, struct record *out,
              struct wire_diag *diag)
{
    const struct wire_record_row *row = wire_record_row(record);
    if (count != row->count) {
        return refuse(&(struct place){NULL, diag}, "%s must have %u fields%s, got %u", row->name,
                      (unsigned)row->count, row->op != 0 ? " after its number" : "",
                      (unsigned)count);
    }
    out->record = record;
    for (uint16_t i = 0; i < row->count; i++) {
        const struct place at = {&wire_fields[row->first + i], diag};
        if (!take_field(rest, &out->field[i])) {
            return refuse(&at, "is cut off or not msgpack");
        }
        if (!check_field(&at, &out->field[i])) {
            return false;
        }
    }
    return true;
}

bool
record_next(struct span *rest, struct record *out, struct wire_diag *diag)
{
    const struct place nowhere = {NULL, diag};
    struct mp_item head, op;
    struct span s = *rest;
    if (!mp_next(&s, &head) || head.kind != MP_ARRAY || head.count == 0 || !mp_next(&s, &op) ||
        op.kind != MP_UINT) {
        return refuse(&nowhere,
                      "a record must be an array that begins with the number of an operation");
    }
    const enum wire_record record = wire_record_of_op(op.uint);
    if (record == WIRE_REC_COUNT) {
        (void)refuse(&nowhere, "there is no operation %llu", (unsigned long long)op.uint);
        if (diag != NULL) {
            diag->code = WIRE_ERR_UNIMPLEMENTED;
        }
        return false;
    }
    if (!decode_fields(&s, record, head.count - 1, out, diag)) {
        return false;
    }
    *rest = s;
    return true;
}

size_t
record_message(struct span body, struct record *out, size_t max, struct wire_diag *diag)
{
    size_t n = 0;
    do {
        if (n == max) {
            (void)refuse(&(struct place){NULL, diag},
                         "a message must not hold more than %zu records", max);
            return 0;
        }
        if (!record_next(&body, &out[n++], diag)) {
            return 0;
        }
    } while (body.len > 0);
    return n;
}

bool
record_item(struct span *inside, enum wire_record record, struct record *out)
{
    struct mp_item head;
    const struct wire_record_row *row = wire_record_row(record);
    if (inside->len == 0 || !mp_next(inside, &head) || head.kind != MP_ARRAY ||
        head.count != row->count) {
        return false;
    }
    out->record = record;
    for (uint16_t i = 0; i < row->count; i++) {
        /* No elements have targets, which are all that checking would add. */
        if (!take_field(inside, &out->field[i])) {
            return false;
        }
    }
    return true;
}

bool
record_number(struct span *inside, uint64_t *number)
{
    struct mp_item item;
    if (inside->len == 0 || !mp_next(inside, &item) || item.kind != MP_UINT) {
        return false;
    }
    *number = item.uint;
    return true;
}

bool
record_text(struct span *inside, struct span *text)
{
    struct mp_item item;
    if (inside->len == 0 || !mp_next(inside, &item) || item.kind != MP_STR) {
        return false;
    }
    *text = item.bytes;
    return true;
}

bool
record_key(const struct field *map, enum wire_key key, struct field *out)
{
    if (map->item.kind != MP_MAP) {
        return false;
    }
    struct span inside = map->inside;
    for (uint32_t i = 0; i < map->item.count; i++) {
        struct mp_item name;
        struct field value = {0};
        if (!mp_next(&inside, &name) || !take_field(&inside, &value)) {
            return false;
        }
        if (name.kind == MP_STR && span_is(name.bytes, wire_keys[key].name)) {
            *out = value;
            return check_field(&(struct place){&wire_keys[key], NULL}, out);
        }
    }
    return false;
}

bool
record_failure(struct span payload, struct wire_failure *out)
{
    struct mp_item head, code, began, message;
    struct span s = payload;
    if (!mp_next(&s, &head) || head.kind != MP_ARRAY || head.count != 4 || !mp_next(&s, &code) ||
        code.kind != MP_UINT || code.uint == 0 || code.uint >= WIRE_ERR_COUNT ||
        !mp_next(&s, &began) || began.kind != MP_UINT || began.uint > WIRE_BEGAN_YES ||
        !mp_next(&s, &message) || message.kind != MP_STR || !mp_is_utf8(message.bytes) ||
        !mp_skip(&s, &out->details)) {
        return false;
    }
    out->code = (unsigned)code.uint;
    out->began = (unsigned)began.uint;
    out->message = message.bytes;
    return s.len == 0;
}

uint64_t
record_limit(const struct record *welcome, const char *name, uint64_t otherwise)
{
    struct field limits = {0};
    struct mp_item key, value;
    struct span object;
    (void)record_key(RECORD_FIELD(welcome, WELCOME, ABOUT), WIRE_KEY_WELCOME_limits, &limits);
    while (mp_next(&limits.inside, &key) && mp_skip(&limits.inside, &object)) {
        if (span_is(key.bytes, name) && mp_next(&object, &value) && value.kind == MP_UINT &&
            value.uint > 0) {
            return value.uint;
        }
    }
    return otherwise;
}
