/* prong-broker: started by prongd with the spawner at descriptor 3; or a look at a configuration.
 */
#include "broker/shell/broker.h"

#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct arguments {
    const char *runtime_dir, *config, *check;
    bool no_config;
};

static const char usage[] =
    "usage: prong-broker --runtime-dir DIR [--config FILE | --no-config]   (started by prongd)\n"
    "       prong-broker --check FILE             say what is wrong with a configuration\n"
    "       prong-broker --print-default-config   every option, as a commented file\n"
    "       prong-broker --print-config-manual    every option, as Markdown\n"
    "       prong-broker --version\n";

/* Read the configuration, or take the defaults when there is none. NULL after it was told. */
static struct config *
read_config(const char *file)
{
    struct config *config = NULL;
    struct config_diag diag;
    if (file == NULL) {
        return config_new();
    }
    if (config_load(file, &config_env_process, &config, &diag) != 0) {
        char text[CONFIG_DIAG_BYTES_MAX + 300];
        config_diag_format(&diag, text, sizeof text);
        (void)fprintf(stderr, "%s\n", text);
        return NULL;
    }
    return config;
}

static int
check(const char *file)
{
    struct config *config = read_config(file);
    const int code = config != NULL ? EX_OK : EX_CONFIG;
    config_free(config);
    return code;
}

static int
serve(const struct arguments *a)
{
    struct broker broker;
    char *found = NULL;
    if (a->config == NULL && !a->no_config && config_find(&config_env_process, &found) != 0) {
        (void)fprintf(stderr, "out of memory\n");
        return EX_OSERR;
    }
    const char *path = a->config != NULL ? a->config : found;
    struct config *config = read_config(path);
    if (config == NULL) {
        free(found);
        return EX_CONFIG;
    }
    int code = broker_open(&broker, a->runtime_dir, config, path);
    if (code == EX_OK) {
        code = broker_run(&broker);
    }
    broker_close(&broker);
    free(found);
    return code;
}

int
main(int argc, char *argv[])
{
    static const struct option options[] = {
        {"runtime-dir", required_argument, NULL, 'r'},
        {"config", required_argument, NULL, 'c'},
        {"no-config", no_argument, NULL, 'n'},
        {"check", required_argument, NULL, 'k'},
        {"print-default-config", no_argument, NULL, 'd'},
        {"print-config-manual", no_argument, NULL, 'm'},
        {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct arguments a = {0};
    (void)signal(SIGPIPE, SIG_IGN);
    /* What a payload needed is needed again at once: glibc would give it back to the system and
     * take it anew, with its page faults, for each call. Only what lies above 8 MiB is given back.
     */
    (void)mallopt(M_TRIM_THRESHOLD, 8 << 20);
    (void)mallopt(M_MMAP_THRESHOLD, 1 << 20);
    (void)signal(SIGXFSZ, SIG_IGN); /* a log file at a limit of the system is a write that fails */
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'r':
            a.runtime_dir = optarg;
            break;
        case 'c':
            a.config = optarg;
            break;
        case 'n':
            a.no_config = true;
            break;
        case 'k':
            a.check = optarg;
            break;
        case 'd':
            return config_print_default(stdout) == 0 ? EX_OK : EX_IOERR;
        case 'm':
            return config_print_manual(stdout) == 0 ? EX_OK : EX_IOERR;
        case 'v':
            return puts("prong-broker " PRONG_VERSION) < 0 ? EX_IOERR : EX_OK;
        case 'h':
            return fputs(usage, stdout) < 0 ? EX_IOERR : EX_OK;
        default:
            (void)fputs(usage, stderr);
            return EX_USAGE;
        }
    }
    if (a.check != NULL) {
        return check(a.check);
    }
    if (a.runtime_dir == NULL || optind < argc) {
        (void)fputs(usage, stderr);
        return EX_USAGE;
    }
    return serve(&a);
}
