/* prong-broker: started by prongd with the spawner at descriptor 3; or a look at a configuration.
 */
#include "broker/shell/broker.h"
#include "broker/shell/kept.h"
#include "broker/shell/look.h"

#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct arguments {
    const char *runtime_dir, *config, *check, *show, *import, *kind;
    struct config_show how;
    bool no_config, quiet;
};

static const char usage[] =
    "usage: prong-broker --runtime-dir DIR [--config FILE | --no-config] [--quiet]\n"
    "                                             started by prongd\n"
    "       prong-broker --check FILE             say what is wrong with a configuration\n"
    "       prong-broker --show FILE [--worker NAME] [--json]\n"
    "                                             what a configuration comes to\n"
    "       prong-broker --import FILE [--kind supervisor|circus|procfile]\n"
    "                                             what another manager's file comes to\n"
    "       prong-broker --print-default-config   every option, as a commented file\n"
    "       prong-broker --print-config-manual    every option, as Markdown\n"
    "       prong-broker --print-config-man       every option, as a man page\n"
    "       prong-broker --version\n";

/* The configuration of a broker that is not the first: what the file comes to, or, where it cannot
 * be read, what it came to before (moved out of `kept`). NULL after it was told why. */
static struct config *
read_again(const char *path, struct kept *kept)
{
    const struct log log = log_start();
    struct config *config = NULL;
    struct config_diag diag;
    char text[CONFIG_DIAG_BYTES_MAX + CONFIG_PATH_BYTES_MAX];
    if (path == NULL) {
        return config_new();
    }
    if (config_load(path, &config_env_process, &config, &diag) == 0) {
        return config;
    }
    config_diag_format(&diag, text, sizeof text);
    log_write(&log, LOG_ERROR, "the configuration was not read again: %s", text);
    if (kept->config == NULL) {
        log_write(&log, LOG_ERROR, "and there is none from before: %s", kept->why);
        return NULL;
    }
    log_write(&log, LOG_WARN, "going on with the configuration that was read before");
    config = kept->config;
    kept->config = NULL;
    return config;
}

/* Open the broker with what the file comes to now; where that is of no use, for example because it
 * wants to listen where somebody else does, with what it came to before. */
static int
open_broker(struct broker *b, const struct arguments *a, const char *path, struct kept *kept)
{
    const bool is_first = broker_epoch() == 1;
    struct config *config = !is_first      ? read_again(path, kept)
                            : path != NULL ? look_read(path)
                                           : config_new();
    if (config == NULL) {
        return EX_CONFIG;
    }
    int code = broker_open(b, a->runtime_dir, config, path, a->quiet);
    if (code != EX_OK && kept->config != NULL) {
        log_write(&b->log, LOG_WARN, "trying the configuration that was read before");
        broker_close(b);
        config = kept->config;
        kept->config = NULL;
        code = broker_open(b, a->runtime_dir, config, path, a->quiet);
    }
    if (code == EX_OK) {
        kept_write(a->runtime_dir, b->config, path, &b->log);
    }
    return code;
}

static int
serve(const struct arguments *a)
{
    struct broker broker = {.epoll_fd = -1};
    struct kept kept = {0};
    char *found = NULL;
    int code = EX_OSERR;
    broker.spawner.fd = -1;
    if (broker_epoch() > 1) {
        kept_read(a->runtime_dir, &kept);
    }
    /* The same file as before, though it may be gone or another one be found before it. */
    const bool is_known = a->config != NULL || a->no_config || kept.config != NULL;
    if (!is_known && config_find(&config_env_process, &found) != 0) {
        (void)fprintf(stderr, "out of memory\n");
        goto out;
    }
    code = open_broker(&broker, a,
                       a->config != NULL ? a->config
                       : a->no_config    ? NULL
                       : is_known        ? kept.path
                                         : found,
                       &kept);
    if (code == EX_OK) {
        code = broker_run(&broker);
    }
    broker_close(&broker);
out:
    kept_deinit(&kept);
    free(found);
    return code;
}

static int
print(int rc)
{
    return rc == 0 ? EX_OK : EX_IOERR;
}

enum { GO_ON = -1 };

/* The exit code when an option is all that there is to do, else GO_ON. */
static int
read_arguments(int argc, char *argv[], struct arguments *a)
{
    static const struct option options[] = {
        {"runtime-dir", required_argument, NULL, 'r'},
        {"config", required_argument, NULL, 'c'},
        {"no-config", no_argument, NULL, 'n'},
        {"quiet", no_argument, NULL, 'q'},
        {"check", required_argument, NULL, 'k'},
        {"show", required_argument, NULL, 's'},
        {"worker", required_argument, NULL, 'w'},
        {"json", no_argument, NULL, 'j'},
        {"import", required_argument, NULL, 'i'},
        {"kind", required_argument, NULL, 'K'},
        {"print-default-config", no_argument, NULL, 'd'},
        {"print-config-manual", no_argument, NULL, 'm'},
        {"print-config-man", no_argument, NULL, 'M'},
        {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'r':
            a->runtime_dir = optarg;
            break;
        case 'c':
            a->config = optarg;
            break;
        case 'n':
            a->no_config = true;
            break;
        case 'q':
            a->quiet = true;
            break;
        case 'k':
            a->check = optarg;
            break;
        case 's':
            a->show = optarg;
            break;
        case 'w':
            a->how.worker = optarg;
            break;
        case 'j':
            a->how.as_json = true;
            break;
        case 'i':
            a->import = optarg;
            break;
        case 'K':
            a->kind = optarg;
            break;
        case 'd':
            return print(config_print_default(stdout));
        case 'm':
            return print(config_print_manual(stdout));
        case 'M':
            return print(config_print_man(stdout, PRONG_VERSION));
        case 'v':
            return puts("prong-broker " PRONG_VERSION) < 0 ? EX_IOERR : EX_OK;
        case 'h':
            return fputs(usage, stdout) < 0 ? EX_IOERR : EX_OK;
        default:
            (void)fputs(usage, stderr);
            return EX_USAGE;
        }
    }
    return GO_ON;
}

int
main(int argc, char *argv[])
{
    struct arguments a = {0};
    (void)signal(SIGPIPE, SIG_IGN);
    /* What a payload needed is needed again at once: glibc would give it back to the system and
     * take it anew, with its page faults, for each call. Only what lies above 8 MiB is given back.
     */
    (void)mallopt(M_TRIM_THRESHOLD, 8 << 20);
    (void)mallopt(M_MMAP_THRESHOLD, 1 << 20);
    (void)signal(SIGXFSZ, SIG_IGN); /* a log file at a limit of the system is a write that fails */
    const int code = read_arguments(argc, argv, &a);
    if (code != GO_ON) {
        return code;
    }
    if (a.check != NULL) {
        return look_check(a.check);
    }
    if (a.show != NULL) {
        return look_show(a.show, &a.how);
    }
    if (a.import != NULL) {
        return look_import(a.import, a.kind);
    }
    if (a.runtime_dir == NULL || optind < argc) {
        (void)fputs(usage, stderr);
        return EX_USAGE;
    }
    return serve(&a);
}
