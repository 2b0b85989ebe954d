/* Stories of a hub that are written down as a person reads them: who says what to whom, and when.
 * golden.c tells them with the real core and compares them with tests/golden/; golden_stories.c is
 * the table of them.
 *
 * Parties are the clients "alice" and "bob" and the replicas "echo/0", "echo/1", ... In what they
 * say, in the notation of tests, ID stands for the id of the client, @ for name and session of the
 * replica, #1 for the number of the first call that the hub took, and so on. */
#ifndef PRONG_TESTS_CORE_GOLDEN_H
#define PRONG_TESTS_CORE_GOLDEN_H

#include <stdint.h>

struct golden;

struct golden_story {
    const char *name;  /* of its file, without .txt */
    const char *title; /* a sentence */
    uint32_t replicas; /* of the worker `echo`, which are ready when it begins */
    void (*tell)(struct golden *g);
};
extern const struct golden_story golden_stories[];
extern const unsigned golden_story_count;

/* Somebody says records, in one message. */
void says(struct golden *g, const char *who, const char *text);
/* A replica asks for work, with room for one call; reports this and asks for more. What it was
 * given is taken. */
void polls(struct golden *g, const char *replica);
void reports(struct golden *g, const char *replica, const char *items);
/* A connection is lost; a client has a new one; both at once. */
void leaves(struct golden *g, const char *who);
void returns(struct golden *g, const char *client);
void reconnects(struct golden *g, const char *who);
/* The process ends: a status as waitpid gives it. */
void dies(struct golden *g, const char *replica, int status);
/* A process that the hub has started runs, attaches and asks for work. */
void comes_up(struct golden *g, const char *replica);
/* It attaches anew, with an inventory: "'running':[#1]". */
void attaches(struct golden *g, const char *replica, unsigned attach, const char *inventory);
void passes(struct golden *g, int64_t ms);
/* The whole hub is told to stop. */
void stops(struct golden *g);
/* A line of explanation. */
void remark(struct golden *g, const char *text);

#endif
