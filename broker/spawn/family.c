/* Owns what is known of workers, their ends and adopted processes, and their descriptors; starts
 * and kills nobody. Runs in the spawner. */
#include "broker/spawn/family.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static size_t
bucket_of(uint64_t number)
{
    /* The broker counts ids up and the kernel pids, so the low bits spread well enough. */
    return (size_t)(number % FAMILY_BUCKETS);
}

bool
family_init(struct family *family)
{
    *family = (struct family){0};
    family->workers = calloc(SPAWN_CHILDREN_MAX, sizeof *family->workers);
    family->adopted = calloc(FAMILY_ADOPTED_MAX, sizeof *family->adopted);
    if (!family->workers || !family->adopted) {
        free(family->workers);
        free(family->adopted);
        return false;
    }
    return true;
}

static void
close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

void
family_deinit(struct family *family)
{
    for (size_t i = 0; i < family->worker_count; i++) {
        close_fd(&family->workers[i]->output_fd);
        close_fd(&family->workers[i]->input_fd);
        close_fd(&family->workers[i]->fault_fd);
        free(family->workers[i]);
    }
    for (size_t i = 0; i < family->ended_count; i++) {
        close_fd(&family->ended[i].output_fd);
    }
    free(family->workers);
    free(family->adopted);
    *family = (struct family){0};
}

bool
family_has_room(const struct family *family)
{
    return family->worker_count < SPAWN_CHILDREN_MAX;
}

struct worker *
family_add(struct family *family, const struct worker *worker)
{
    struct worker *added = family_has_room(family) ? malloc(sizeof *added) : NULL;
    if (!added) {
        return NULL;
    }
    *added = *worker;
    added->index = family->worker_count;
    family->workers[family->worker_count++] = added;
    struct worker **id_head = &family->by_id[bucket_of(added->id)];
    struct worker **pid_head = &family->by_pid[bucket_of((uint64_t)added->pid)];
    added->next_by_id = *id_head;
    added->next_by_pid = *pid_head;
    *id_head = added;
    *pid_head = added;
    family->birth_count += added->fault_fd >= 0;
    return added;
}

struct worker *
family_find_id(const struct family *family, uint64_t id)
{
    struct worker *worker = family->by_id[bucket_of(id)];
    while (worker && worker->id != id) {
        worker = worker->next_by_id;
    }
    return worker;
}

struct worker *
family_find_pid(const struct family *family, pid_t pid)
{
    struct worker *worker = family->by_pid[bucket_of((uint64_t)pid)];
    while (worker && worker->pid != pid) {
        worker = worker->next_by_pid;
    }
    return worker;
}

void
family_set_running(struct family *family, struct worker *worker)
{
    if (worker->fault_fd >= 0) {
        close_fd(&worker->fault_fd);
        family->birth_count--;
    }
}

/* Take the worker out of the list and both tables, and free it. */
static void
drop_worker(struct family *family, struct worker *worker)
{
    struct worker **at = &family->by_id[bucket_of(worker->id)];
    while (*at != worker) {
        at = &(*at)->next_by_id;
    }
    *at = worker->next_by_id;
    at = &family->by_pid[bucket_of((uint64_t)worker->pid)];
    while (*at != worker) {
        at = &(*at)->next_by_pid;
    }
    *at = worker->next_by_pid;
    struct worker *last = family->workers[--family->worker_count];
    family->workers[worker->index] = last;
    last->index = worker->index;
    free(worker);
}

static void
remove_ended(struct family *family, size_t index)
{
    close_fd(&family->ended[index].output_fd);
    family->ended_count--;
    memmove(&family->ended[index], &family->ended[index + 1],
            (family->ended_count - index) * sizeof family->ended[0]);
}

static void
append_ended(struct family *family, const struct ended *ended)
{
    if (family->ended_count == SPAWN_ENDED_MAX) {
        remove_ended(family, 0);
    }
    family->ended[family->ended_count++] = *ended;
}

void
family_end(struct family *family, struct worker *worker, const struct spawn_record *record)
{
    family_set_running(family, worker);
    close_fd(&worker->input_fd);
    append_ended(family, &(struct ended){.record = *record, .output_fd = worker->output_fd});
    drop_worker(family, worker);
}

void
family_note_end(struct family *family, const struct spawn_record *record)
{
    append_ended(family, &(struct ended){.record = *record, .output_fd = -1});
}

static size_t
find_ended(const struct family *family, uint64_t id)
{
    size_t index = 0;
    while (index < family->ended_count && family->ended[index].record.id != id) {
        index++;
    }
    return index;
}

bool
family_has_ended(const struct family *family, uint64_t id)
{
    return find_ended(family, id) < family->ended_count;
}

bool
family_forget(struct family *family, uint64_t id)
{
    const size_t index = find_ended(family, id);
    if (index == family->ended_count) {
        return false;
    }
    remove_ended(family, index);
    return true;
}

int
family_output_fd(const struct family *family, uint64_t id)
{
    const struct worker *worker = family_find_id(family, id);
    if (worker) {
        return worker->output_fd;
    }
    const size_t index = find_ended(family, id);
    return index < family->ended_count ? family->ended[index].output_fd : -1;
}

int
family_input_fd(const struct family *family, uint64_t id)
{
    const struct worker *worker = family_find_id(family, id);
    return worker ? worker->input_fd : -1;
}

void
family_end_input(struct family *family, uint64_t id)
{
    struct worker *worker = family_find_id(family, id);
    if (worker) {
        close_fd(&worker->input_fd);
    }
}

bool
family_adopt(struct family *family, const struct adopted *adopted)
{
    if (family->adopted_count == FAMILY_ADOPTED_MAX) {
        return false;
    }
    family->adopted[family->adopted_count++] = *adopted;
    return true;
}

const struct adopted *
family_find_adopted(const struct family *family, pid_t pid)
{
    for (size_t i = 0; i < family->adopted_count; i++) {
        if (family->adopted[i].pid == pid) {
            return &family->adopted[i];
        }
    }
    return NULL;
}

const struct adopted *
family_find_adopted_session(const struct family *family, pid_t session)
{
    for (size_t i = 0; i < family->adopted_count; i++) {
        if (family->adopted[i].session == session || family->adopted[i].pid == session) {
            return &family->adopted[i];
        }
    }
    return NULL;
}

void
family_remove_adopted(struct family *family, pid_t pid)
{
    for (size_t i = 0; i < family->adopted_count; i++) {
        if (family->adopted[i].pid == pid) {
            family->adopted[i] = family->adopted[--family->adopted_count];
            return;
        }
    }
}
