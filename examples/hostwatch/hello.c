#include <prong/prong.h>
#include <stdio.h>
int main(void)
{
    prong_client *hub;
    char error[300] = "", *json = NULL;
    prong_err code = prong_connect(NULL, NULL, &hub, error, sizeof error);
    if (code == PRONG_OK) code = prong_call_json(hub, "detector", "score", "{\"series\": \"cpu.cpu\", \"value\": 0.99}", 5000, &json);
    return printf("%s\n", json ? json : error) < 0 || code != PRONG_OK;
}
