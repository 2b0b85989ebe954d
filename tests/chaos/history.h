/* The history of a run with real processes: what callers and workers saw, as records of a fixed
 * size at the end of one file that all of them share. A record is written with one write(2) before
 * and after the thing it tells of, so that a process that is killed with -9 has told what it had
 * begun. checker.py reads it. */
#ifndef PRONG_TESTS_CHAOS_HISTORY_H
#define PRONG_TESTS_CHAOS_HISTORY_H

#include <stdint.h>

enum history_kind {
    HISTORY_INVOKE = 1, /* a client is about to call */
    HISTORY_OUTCOME,    /* and what it got */
    HISTORY_START,      /* before user code */
    HISTORY_END,        /* after it */
    HISTORY_BORN,       /* a worker process */
    HISTORY_KILL,       /* written by the test, before it kills */
};

/* checker.py: RECORD. */
struct history_record {
    uint64_t call;   /* number of the client in the upper half, of its call in the lower one */
    int64_t time_ns; /* monotonic, filled in */
    int32_t kind;
    int32_t pid;     /* START, END, BORN: of the worker; else of who writes */
    int32_t code;    /* OUTCOME; INVOKE: 1 when the method may begin again */
    int32_t began;   /* OUTCOME */
    int32_t replica; /* START, END, BORN; OUTCOME: named in the error; -1 when none is */
    int32_t right;   /* OUTCOME: the value is that of this call */
};

/* Opens the file for appending. Ends the program when that fails. */
int history_open(const char *path);
/* Ends the program when it cannot be written: what follows would be lost for the proof. */
void history_write(int fd, struct history_record record);
/* What both methods return for a call. */
uint64_t history_value(uint64_t call);

#endif
