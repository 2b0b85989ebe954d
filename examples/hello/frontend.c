#include <prong/prong.h>
#include <stdio.h>

int
main(void)
{
    prong_client *hub;
    char error[300] = "", *json = NULL;
    prong_err code = prong_connect(NULL, NULL, &hub, error, sizeof error);
    if (code == PRONG_OK)
        code = prong_call_json(hub, "greeter", "greet", "{\"name\": \"world\"}", 5000, &json);
    printf("%s\n", json != NULL ? json : error);
    return code != PRONG_OK;
}
