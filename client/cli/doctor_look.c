/* Finding the hub from outside, without a word from it: see doctor.h. */
#include "client/cli/doctor.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/hub.h"
#include "client/cli/hubdir.h"
#include "client/cli/procfile.h"

#define SYSTEM_DIR "/run/prong"

/* ---- processes ------------------------------------------------------------------------------ */

/* pid, parent and name from /proc/PID/stat. */
static bool
read_process(pid_t pid, struct doctor_process *p)
{
    char path[64], text[512] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0) {
        (void)close(fd);
    }
    const char *open_paren = n > 0 ? strchr(text, '(') : NULL;
    const char *close_paren = n > 0 ? strrchr(text, ')') : NULL;
    if (open_paren == NULL || close_paren == NULL || strlen(close_paren) < 5) {
        return false;
    }
    *p = (struct doctor_process){.pid = pid};
    (void)snprintf(p->name, sizeof p->name, "%.*s", (int)(close_paren - open_paren - 1),
                   open_paren + 1);
    p->parent = (pid_t)strtol(close_paren + 4, NULL, 10); /* ") S 123" */
    return true;
}

static bool
is_known(const struct doctor *d, pid_t pid)
{
    for (size_t i = 0; i < d->process_count; i++) {
        if (d->processes[i].pid == pid) {
            return true;
        }
    }
    return false;
}

static void
add_below(struct doctor *d)
{
    const struct dirent *entry;
    struct doctor_process p;
    DIR *dir = opendir("/proc");
    while (dir != NULL && d->process_count < DOCTOR_PROCESSES_MAX &&
           (entry = readdir(dir)) != NULL) {
        if (isdigit((unsigned char)entry->d_name[0]) &&
            read_process((pid_t)strtol(entry->d_name, NULL, 10), &p) && !is_known(d, p.pid) &&
            is_known(d, p.parent)) {
            d->processes[d->process_count++] = p;
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
}

/* Round by round, because a child may have a lower number than its parent. */
static void
find_processes(struct doctor *d)
{
    size_t before = 0;
    if (d->keeper > 0 && read_process(d->keeper, &d->processes[0])) {
        d->process_count = 1;
    }
    while (d->process_count > before) {
        before = d->process_count;
        add_below(d);
    }
}

pid_t
doctor_find(const struct doctor *d, const char *name)
{
    for (size_t i = 0; i < d->process_count; i++) {
        if (strcmp(d->processes[i].name, name) == 0) {
            return d->processes[i].pid;
        }
    }
    return 0;
}

/* ---- files ---------------------------------------------------------------------------------- */

/* The folder of the first *.log that the broker has open; else where it would make one without
 * hub: log_dir. */
static void
find_log_dir(struct doctor *d)
{
    char path[80], target[PATH_MAX];
    const struct dirent *entry;
    const pid_t broker = doctor_find(d, "prong-broker");
    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)broker);
    DIR *dir = broker > 0 ? opendir(path) : NULL;
    while (dir != NULL && d->log_dir[0] == '\0' && (entry = readdir(dir)) != NULL) {
        const ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof target - 1);
        target[n > 0 ? n : 0] = '\0';
        char *slash = strrchr(target, '/');
        if (slash != NULL && n > 4 && strcmp(target + n - 4, ".log") == 0 &&
            strcmp(slash, "/hub.log") != 0) {
            *slash = '\0';
            (void)snprintf(d->log_dir, sizeof d->log_dir, "%s", target);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    char list[PATH_MAX] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/environ", (int)d->keeper);
    if (d->log_dir[0] == '\0' && d->keeper > 0 &&
        procfile_variable(path, "LOGS_DIRECTORY", list, sizeof list) && list[0] == '/') {
        (void)snprintf(d->log_dir, sizeof d->log_dir, "%.*s", (int)strcspn(list, ":"), list);
    }
    if (d->log_dir[0] == '\0' &&
        snprintf(d->log_dir, sizeof d->log_dir, "%s/log", d->dir) >= (int)sizeof d->log_dir) {
        d->log_dir[0] = '\0';
    }
}

/* What stands behind --config among the words of the keeper. */
static bool
find_option(pid_t keeper, char out[PATH_MAX])
{
    char path[64], words[PATH_MAX + 512];
    (void)snprintf(path, sizeof path, "/proc/%d/cmdline", (int)keeper);
    const char *at = procfile_words(path, words, sizeof words) ? strstr(words, " --config") : NULL;
    if (at == NULL || (at[9] != ' ' && at[9] != '=')) {
        return false;
    }
    /* A path with a blank is cut: then no file is found, and that is said. */
    (void)snprintf(out, PATH_MAX, "%.*s", (int)strcspn(at + 10, " "), at + 10);
    return true;
}

static bool
try_config(char out[PATH_MAX], const char *folder, const char *rest)
{
    return folder[0] != '\0' && snprintf(out, PATH_MAX, "%s/%s", folder, rest) < PATH_MAX &&
           access(out, F_OK) == 0;
}

/* Where prongd looks, with the folder and the environment of the keeper, or ours without one. */
static void
find_config(struct doctor *d)
{
    char path[64], here[PATH_MAX] = "", option[PATH_MAX], xdg[PATH_MAX] = "", home[PATH_MAX] = "";
    const int pid = d->keeper > 0 ? (int)d->keeper : (int)getpid();
    (void)snprintf(path, sizeof path, "/proc/%d/cwd", pid);
    const ssize_t n = readlink(path, here, sizeof here - 1);
    here[n > 0 ? n : 0] = '\0';
    (void)snprintf(path, sizeof path, "/proc/%d/environ", pid);
    if (d->keeper > 0 && find_option(d->keeper, option)) {
        if (option[0] == '/') {
            (void)snprintf(d->config, sizeof d->config, "%s", option);
        } else {
            (void)try_config(d->config, here, option);
        }
        return;
    }
    (void)procfile_variable(path, "XDG_CONFIG_HOME", xdg, sizeof xdg);
    (void)procfile_variable(path, "HOME", home, sizeof home);
    if (!try_config(d->config, here, "prong.yaml") &&
        !try_config(d->config, xdg, "prong/prong.yaml") &&
        !(xdg[0] == '\0' && try_config(d->config, home, ".config/prong/prong.yaml")) &&
        !try_config(d->config, "/etc/prong", "prong.yaml")) {
        d->config[0] = '\0';
    }
}

/* ---- the hub -------------------------------------------------------------------------------- */

int
doctor_look(const struct cli *cli, struct doctor *d)
{
    const struct options *o = &cli->options;
    const char *named = o->endpoint != NULL ? o->endpoint : getenv("PRONG_URL");
    const bool is_chosen = o->runtime_dir != NULL || o->hub_name != NULL;
    if (!is_chosen && hub_is_remote(o->endpoint)) {
        (void)snprintf(d->url, sizeof d->url, "%s", named);
        return CLI_OK;
    }
    const int code = hubdir_choose(cli, false, d->dir);
    if (code != CLI_OK) {
        return code;
    }
    d->keeper = hubdir_owner(d->dir);
    /* As prong_connect: without a hub of the user's that of the machine is meant. */
    if (!is_chosen && (named == NULL || named[0] == '\0') && d->keeper == 0 &&
        hubdir_owner(SYSTEM_DIR) != 0) {
        (void)snprintf(d->dir, sizeof d->dir, "%s", SYSTEM_DIR);
        d->keeper = hubdir_owner(SYSTEM_DIR);
    }
    (void)snprintf(d->url, sizeof d->url, "ipc://%s/" HUBDIR_SOCKET, d->dir);
    find_processes(d);
    find_log_dir(d);
    find_config(d);
    return CLI_OK;
}
