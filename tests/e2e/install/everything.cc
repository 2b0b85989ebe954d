// A frontend in C++ with every installed header: everything.h, which the test writes, includes them
// all.
#include "everything.h"

#include <cstdio>

int
main()
{
    prong_worker *worker = prong_worker_new(nullptr, 0); // from the other half of the library
    prong_worker_free(worker);
    prong_client *hub = nullptr;
    char error[300] = "", *json = nullptr;
    prong_err code = prong_connect(nullptr, nullptr, &hub, error, sizeof error);
    if (code == PRONG_OK) {
        code = prong_call_json(hub, "greeter", "greet", R"({"name": "C++"})", 5000, &json);
    }
    std::printf("%s\n", json != nullptr ? json : error);
    prong_free(json);
    prong_client_free(hub);
    return worker == nullptr || code != PRONG_OK;
}
