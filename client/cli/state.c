/* `prong status`. */
#include "client/cli/hub.h"
#include "client/cli/output.h"
#include "client/cli/status.h"

int
verb_status(struct cli *cli)
{
    struct status status = {0};
    const struct status_choice choice = {cli->argv, (size_t)cli->argc, false};
    int code = hub_connect(cli);
    if (code == CLI_OK) {
        code = status_get(cli, &status);
    }
    for (int i = 0; code == CLI_OK && i < cli->argc; i++) {
        if (status_find(&status, cli->argv[i]) == NULL) {
            code = status_no_such(cli, &status, cli->argv[i]);
        }
    }
    if (code == CLI_OK) {
        code = status_print(cli, &status, &choice);
    }
    if (code == CLI_OK && cli->options.check) {
        const struct status_wish wish = {
            .goal = STATUS_READY,
            .choice = {cli->argv, (size_t)cli->argc,
                       true}, /* without arguments: who starts by itself */
            .replicas = -1};
        code = status_judge(&wish, &status) == STATUS_DONE ? CLI_OK : CLI_NOT_RUNNING;
    }
    status_deinit(&status);
    return code;
}
