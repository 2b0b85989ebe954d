/* The cgroup that the hub is in: finding it and dividing it; what is made in it is cgroup.c's. Runs
 * in the spawner. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/spawn/cgroup_files.h"
#include "broker/spawn/proc.h"
#include "broker/spawn/records.h"

enum { MOVES_MAX = 16 }; /* a process that forks meanwhile leaves a child in the old place */

const char *const cgroup_controller_names[CGROUP_CONTROLLER_COUNT] = {
    [CGROUP_CPU] = "cpu", [CGROUP_MEMORY] = "memory", [CGROUP_PIDS] = "pids"};

bool
cgroup_read_file(int folder, const char *name, char text[CGROUP_TEXT_BYTES])
{
    size_t used = 0;
    const int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t got = 1;
    while (used < CGROUP_TEXT_BYTES - 1 && got != 0) {
        got = read(fd, text + used, CGROUP_TEXT_BYTES - 1 - used);
        if (got < 0 && errno != EINTR) {
            break; /* half of a list would be taken for all of it */
        }
        used += got > 0 ? (size_t)got : 0;
    }
    const int error = errno;
    close(fd);
    errno = error;
    text[used] = '\0';
    return got >= 0;
}

bool
cgroup_write_file(int folder, const char *name, const char *text)
{
    const int fd = openat(folder, name, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    const ssize_t written = write(fd, text, strlen(text));
    const int error = written < 0 ? errno : EIO; /* half a command is none */
    close(fd);
    errno = error;
    return written == (ssize_t)strlen(text);
}

int
cgroup_open_base(const struct cgroups *cgroups)
{
    return open(cgroups->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* ---- finding ----------------------------------------------------------------------------------
 */

/* The next word of a line, which ends it; `end`, an empty text, when there is none. */
static char *
next_word(char **at, char *end)
{
    char *word = strsep(at, " ");
    return word != NULL ? word : end;
}

/* mountinfo writes a space and its like as \040. */
static void
unescape(char *text)
{
    char *out = text;
    for (const char *at = text; *at != '\0'; out++) {
        if (at[0] == '\\' && strspn(at + 1, "01234567") >= 3) {
            *out = (char)((at[1] - '0') * 64 + (at[2] - '0') * 8 + (at[3] - '0'));
            at += 4;
        } else {
            *out = *at++;
        }
    }
    *out = '\0';
}

struct mount {
    char *root, *point;
};

/* Take one line of mountinfo apart; true if it is a cgroup of version 2. See proc(5): the kind of
 * the file system stands behind a lone '-'. */
static bool
read_mount(char *line, struct mount *mount)
{
    char *const end = line + strlen(line);
    for (int i = 0; i < 3; i++) {
        next_word(&line, end);
    }
    mount->root = next_word(&line, end);
    mount->point = next_word(&line, end);
    while (line != NULL && strcmp(next_word(&line, end), "-") != 0) {
    }
    if (strcmp(next_word(&line, end), "cgroup2") != 0) {
        return false;
    }
    unescape(mount->root);
    unescape(mount->point);
    return true;
}

/* `own` below what the mount shows, or NULL: "/a/b" below "/a" is "/b". */
static const char *
below_root(const char *own, const char *root)
{
    const size_t len = strcmp(root, "/") == 0 ? 0 : strlen(root);
    const bool is_below = strncmp(own, root, len) == 0 && (own[len] == '/' || own[len] == '\0');
    return is_below && strncmp(own, "/..", 3) != 0 ? own + len : NULL;
}

/* The cgroup of version 2 in /proc/self/cgroup: the line 0::PATH. */
static bool
find_own(const char *text, char own[PATH_MAX])
{
    for (const char *line = text; *line != '\0';) {
        const size_t len = strcspn(line, "\n");
        if (strncmp(line, "0::/", 4) == 0 && len - 3 < PATH_MAX) {
            memcpy(own, line + 3, len - 3);
            own[len - 3] = '\0';
            return true;
        }
        line += len + (line[len] == '\n');
    }
    return false;
}

bool
cgroup_find(const char *mountinfo, const char *own_text, char path[PATH_MAX],
            char why[CGROUP_WHY_BYTES])
{
    char own[PATH_MAX];
    char *lines = strdup(mountinfo);
    char *rest = lines;
    bool is_found = false;
    bool has_mount = false;
    if (lines == NULL) {
        snprintf(why, CGROUP_WHY_BYTES, "the hub has no memory to look for its cgroup");
        return false;
    }
    if (!find_own(own_text, own)) {
        snprintf(why, CGROUP_WHY_BYTES, "the hub is in no cgroup of version 2");
        free(lines);
        errno = EOPNOTSUPP;
        return false;
    }
    for (char *line; !is_found && (line = strsep(&rest, "\n")) != NULL;) {
        struct mount mount;
        if (!read_mount(line, &mount)) {
            continue;
        }
        has_mount = true;
        const char *below = below_root(own, mount.root);
        if (below != NULL) {
            const int len =
                snprintf(path, PATH_MAX, "%s%s", mount.point, strcmp(below, "/") == 0 ? "" : below);
            is_found = len > 0 && len < PATH_MAX;
        }
    }
    free(lines);
    if (!has_mount) {
        snprintf(why, CGROUP_WHY_BYTES, "no cgroup of version 2 is mounted");
    } else if (!is_found) {
        snprintf(why, CGROUP_WHY_BYTES, "the hub's cgroup %.300s is not below a mount", own);
    }
    errno = EOPNOTSUPP;
    return is_found;
}

/* ---- dividing the hub's cgroup ----------------------------------------------------------------
 */

/* Whether a list of words has this one. */
static bool
has_word(const char *text, const char *word)
{
    const size_t len = strlen(word);
    for (const char *at = text; *at != '\0';) {
        const size_t length = strcspn(at, " \n");
        if (length == len && strncmp(at, word, len) == 0) {
            return true;
        }
        at += length + (at[length] != '\0');
    }
    return false;
}

__attribute__((format(printf, 2, 3))) static void
explain(struct cgroups *cgroups, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(cgroups->why, sizeof cgroups->why, format, args);
    va_end(args);
}

enum moved { MOVED_ALL, MOVED_SOME, MOVED_FOREIGN, MOVED_FAILED };

/* Move the processes of the hub's cgroup to its folder prong.hub, if all are the hub's. */
static enum moved
move_once(const struct cgroups *cgroups, int base, char text[CGROUP_TEXT_BYTES])
{
    bool has_moved = false;
    if (!cgroup_read_file(base, "cgroup.procs", text)) {
        return MOVED_FAILED;
    }
    for (const char *at = text; *at != '\0'; at += strcspn(at, "\n") + 1) {
        const pid_t pid = (pid_t)strtol(at, NULL, 10);
        if (pid != cgroups->keeper_pid && !proc_is_below(pid, cgroups->keeper_pid) &&
            kill(pid, 0) == 0) {
            return MOVED_FOREIGN;
        }
    }
    for (char *at = text; *at != '\0';) {
        char *line = strsep(&at, "\n");
        /* One that has ended meanwhile needs no move. */
        if (!cgroup_write_file(base, CGROUP_OWN_FOLDER "/cgroup.procs", line) && errno != ESRCH) {
            return MOVED_FAILED;
        }
        has_moved = true;
        if (at == NULL) {
            break;
        }
    }
    return has_moved ? MOVED_SOME : MOVED_ALL;
}

/* Make room for controllers in the cgroups below: the kernel wants no process beside them. */
static bool
move_away(struct cgroups *cgroups, int base, char text[CGROUP_TEXT_BYTES])
{
    enum moved moved = MOVED_SOME;
    if (mkdirat(base, CGROUP_OWN_FOLDER, 0755) != 0 && errno != EEXIST) {
        explain(cgroups, "the hub may not divide its cgroup %.300s: %s", cgroups->base,
                strerror(errno));
        return false;
    }
    for (int i = 0; i < MOVES_MAX && moved == MOVED_SOME; i++) {
        moved = move_once(cgroups, base, text);
    }
    if (moved == MOVED_ALL) {
        return true;
    }
    const int error = errno;
    unlinkat(base, CGROUP_OWN_FOLDER, AT_REMOVEDIR); /* it stays when somebody is in it */
    if (moved == MOVED_FOREIGN) {
        explain(cgroups,
                "processes that are not the hub's are in its cgroup %.300s, too; one of its own is "
                "needed (systemd: Delegate=yes in its unit)",
                cgroups->base);
    } else {
        explain(cgroups, "the hub's processes cannot be moved within its cgroup %.300s: %s",
                cgroups->base, strerror(error));
    }
    return false;
}

/* Turn on those of the controllers that are there for the cgroups below. */
static void
enable(struct cgroups *cgroups, int base, unsigned available, char text[CGROUP_TEXT_BYTES])
{
    for (int i = 0; i < CGROUP_CONTROLLER_COUNT; i++) {
        char command[16];
        snprintf(command, sizeof command, "+%s", cgroup_controller_names[i]);
        if ((available & 1U << i) == 0) {
            continue;
        }
        if (!cgroup_write_file(base, "cgroup.subtree_control", command)) {
            explain(cgroups, "the controller %s of the hub's cgroup %.300s cannot be turned on: %s",
                    cgroup_controller_names[i], cgroups->base, strerror(errno));
        }
    }
    if (!cgroup_read_file(base, "cgroup.subtree_control", text)) {
        explain(cgroups, "which controllers the hub's cgroup %.300s has cannot be read: %s",
                cgroups->base, strerror(errno));
        return;
    }
    for (int i = 0; i < CGROUP_CONTROLLER_COUNT; i++) {
        cgroups->controllers |= has_word(text, cgroup_controller_names[i]) ? 1U << i : 0;
    }
}

/* There is no cgroup to make others in, or not now. */
static void
give_up(struct cgroups *cgroups, int error)
{
    explain(cgroups, "the hub may not divide its cgroup %.300s: %s", cgroups->base,
            strerror(error));
    cgroups->base[0] = '\0';
    cgroups->error = spawn_error_passes(error) ? error : EOPNOTSUPP;
}

static void
divide(struct cgroups *cgroups, int base, char text[CGROUP_TEXT_BYTES])
{
    unsigned available = 0;
    if (!cgroup_read_file(base, "cgroup.controllers", text)) {
        if (spawn_error_passes(errno)) {
            give_up(cgroups, errno);
            return;
        }
        text[0] = '\0';
    }
    for (int i = 0; i < CGROUP_CONTROLLER_COUNT; i++) {
        available |= has_word(text, cgroup_controller_names[i]) ? 1U << i : 0;
    }
    if (available == 0) {
        explain(cgroups, "the hub's cgroup %.300s has no controllers cpu, memory and pids",
                cgroups->base);
        return;
    }
    /* Only the root, where processes and controllers go together, has no such file. */
    const bool is_root = faccessat(base, "cgroup.type", F_OK, 0) != 0;
    if (is_root && spawn_error_passes(errno)) {
        give_up(cgroups, errno);
    } else if (is_root || move_away(cgroups, base, text)) {
        explain(cgroups, "the hub's cgroup %.300s has not this controller", cgroups->base);
        enable(cgroups, base, available, text);
    }
}

void
cgroups_init(struct cgroups *cgroups, pid_t keeper_pid)
{
    *cgroups = (struct cgroups){.keeper_pid = keeper_pid};
}

bool
cgroup_find_base(struct cgroups *cgroups, const struct cgroup_sources *sources)
{
    char *mountinfo = malloc(CGROUP_TEXT_BYTES);
    char *own = malloc(CGROUP_TEXT_BYTES);
    const bool is_read = mountinfo != NULL && own != NULL &&
                         cgroup_read_file(AT_FDCWD, sources->mountinfo, mountinfo) &&
                         cgroup_read_file(AT_FDCWD, sources->own, own);
    const bool is_found = is_read && cgroup_find(mountinfo, own, cgroups->base, cgroups->why);
    if (!is_found) {
        const int error = errno;
        cgroups->error = spawn_error_passes(error) ? error : EOPNOTSUPP;
        cgroups->base[0] = '\0';
        if (!is_read) {
            explain(cgroups, "the hub's cgroup cannot be looked for: %s", strerror(error));
        }
    }
    free(own);
    free(mountinfo);
    return is_found;
}

/* Whether a folder can be made there. Not by faccessat: that a mount is read-only or a cgroup full
 * only trying tells. One that is there already is of a hub that died here, or looks just now; it
 * says nothing of what this one may, but whoever may not make it may not take it away either. */
static bool
can_divide(int base)
{
    enum { TRIES_MAX = 10 };
    for (int i = 0; i < TRIES_MAX; i++) {
        if (mkdirat(base, CGROUP_PREFIX "try", 0755) == 0) {
            unlinkat(base, CGROUP_PREFIX "try", AT_REMOVEDIR);
            return true;
        }
        if (errno != EEXIST ||
            (unlinkat(base, CGROUP_PREFIX "try", AT_REMOVEDIR) != 0 && errno != ENOENT)) {
            return false;
        }
    }
    return true; /* it was taken away each time, by one who may */
}

void
cgroups_open(struct cgroups *cgroups, const struct cgroup_sources *sources)
{
    if (cgroups->is_open) {
        return;
    }
    if (cgroup_find_base(cgroups, sources)) {
        char *text = malloc(CGROUP_TEXT_BYTES);
        const int base = text != NULL ? cgroup_open_base(cgroups) : -1;
        if (base < 0 || !can_divide(base)) {
            give_up(cgroups, errno);
        } else {
            divide(cgroups, base, text);
            cgroups->has_rest = true; /* of a hub before us */
        }
        if (base >= 0) {
            close(base);
        }
        free(text);
    }
    cgroups->is_open = cgroups->base[0] != '\0' || !spawn_error_passes(cgroups->error);
}
