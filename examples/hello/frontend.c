#include <prong/prong.h>
#include <stdio.h>

int
main(void)
{
    prong_client *hub = NULL;
    char error[300] = "", *json = NULL;
    prong_err code = prong_connect(NULL, NULL, &hub, error, sizeof error);
    if (code == PRONG_OK)
        code = prong_call_json(hub, "greeter", "greet", "{\"name\": \"world\"}", 5000, &json);
    printf("%s\n", json != NULL ? json : error);
    prong_free(json);
    prong_client_free(hub);
    return code != PRONG_OK;
}
