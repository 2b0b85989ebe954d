/* Who is asked about, and where somebody is in their lines: a part of follow.h.
 *
 * A place is the number of the last line that somebody has, for each name of his question, and as a
 * text it goes to him and comes back. Sees the lines, and changes nothing. */
#ifndef PRONG_SHELL_PLACE_H
#define PRONG_SHELL_PLACE_H

#include "broker/shell/stream.h"
#include "proto/buf.h"

enum { PLACE_NAMES_MAX = 64 };

struct place_name {
    struct span worker; /* borrowed */
    int64_t replica;    /* -1: all of them */
};

struct place_names {
    struct place_name list[PLACE_NAMES_MAX];
    uint32_t count; /* 0: everybody */
};

/* The nth of the numbers is that of the nth name; of all lines when there are no names. */
struct place {
    uint64_t epoch, time_us; /* of the broker and of the last line */
    uint64_t numbers[PLACE_NAMES_MAX];
    uint32_t count;
};

/* First and last number so far of a name: its lines are behind `first`. */
struct place_range {
    uint64_t first, last;
};

/* Names of workers and replicas, each with a NUL. */
void place_names_read(struct span text, struct place_names *names);
bool place_name_is_of(const struct stream *s, const struct place_name *name);
bool place_names_has(const struct stream *s, const struct place_names *names);
/* How many numbers a place has. */
uint32_t place_count(const struct place_names *names);
/* The number that counts for the nth name, 0 for a line of an earlier broker. */
uint64_t place_number(const struct line *l, const struct place_names *names, uint32_t n);
/* `otherwise`, twice, when nobody of the nth name has written. */
struct place_range place_range(const struct streams *all, const struct place_names *names,
                               uint32_t n, uint64_t otherwise);

/* Behind all that was ever written. */
void place_end(const struct streams *all, uint64_t epoch, const struct place_names *names,
               struct place *p);
/* As a msgpack text. */
void place_write(struct buf *out, const struct place *p);
/* A text of so many numbers; false when it is none. */
bool place_read(struct span text, uint32_t count, struct place *p);
/* Make one that may be of an earlier broker, whose lines are found by time, one of this: of this
 * one all is new. And nothing is ahead of what there is, whoever says so. Its epoch stays. */
void place_enter(const struct streams *all, uint64_t epoch, const struct place_names *names,
                 struct place *p);

#endif
