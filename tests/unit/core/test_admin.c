/* The hub's own methods: their arguments, who may call them, and what they answer. */
#include "tests/support/test.h"
#include "tests/unit/core/notation.h"
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

enum { ROOT = 1, USER = 900, OTHER_USER = 901, NETWORK = 30 };

static void
begin(struct world *w)
{
    world_init(w);
    world_worker(w, "echo", NULL);
    world_configured(w);
    world_open(w, ROOT);
}

static uint64_t
ask(struct world *w, uint64_t peer, const char *method, const char *args)
{
    return world_say(w, peer, "[2,null,1,0,'hub','%s',0,null,%s]", method, args);
}

/* What is asked as root, and a part of the answer. */
struct asked {
    const char *method, *args, *answer;
};

static const struct asked asked[] = {
    /* by name, by position, left out */
    {"status", "{}", "RESULT 1 {'hub': {"},
    {"status", "[]", "RESULT 1 {'hub': {"},
    {"describe", "{}", "'status': {'help': "},
    {"describe", "['hub']", "'scale': {'help': "},
    {"start", "['echo']", "RESULT 1 null"},
    {"start", "{'worker':'echo/0'}", "RESULT 1 null"},
    {"scale", "{'replicas':2,'worker':'echo'}", "RESULT 1 null"},
    {"scale", "['echo',2]", "RESULT 1 null"},
    /* names and types that are not known */
    {"nonsense", "{}", "ERROR 1 12 0 'the hub has no such method"},
    {"status", "{'now':1}", "ERROR 1 3 0 'there is no argument 'now'; allowed: none' null"},
    {"status", "[1]", "ERROR 1 3 0 'too many arguments; allowed: none' null"},
    {"stop", "{'name':'echo'}",
     "there is no argument 'name'; allowed: worker (a text, needed)' null"},
    {"stop", "{}", "missing argument 'worker'; allowed: worker (a text, needed)' null"},
    {"stop", "[]", "missing argument 'worker'"},
    {"stop", "[7]", "wrong type of argument 'worker'; allowed: worker (a text, needed)' null"},
    {"stop", "['echo','echo']", "too many arguments; allowed: worker (a text, needed)' null"},
    {"lease", "['hub']", "ERROR 1 5 0 'there is no worker 'hub' beside the hub itself' null"},
    {"scale", "['echo']",
     "missing argument 'replicas'; allowed: worker (a text, needed) replicas (a whole number, "
     "needed)"},
    {"scale", "['echo','2']", "wrong type of argument 'replicas'"},
    {"scale", "['echo',-2]", "wrong type of argument 'replicas'"},
    {"scale", "['echo',9007199254740992]", "wrong type of argument 'replicas'"},
    {"logs", "['echo',true]",
     "wrong type of argument 'lines'; allowed: worker (a text, needed) lines (a whole number)"},
    {"follow", "{'workers':'echo'}",
     "wrong type of argument 'workers'; allowed: workers (a list of"},
    {"follow", "[['nobody']]", "ERROR 1 5 0 'there is no worker 'nobody'"},
    {"follow", "[['echo','echo/9']]", "ERROR 1 5 0 'there is no replica 'echo/9'"},
    {"follow", "{'level':'loud'}", "ERROR 1 3 0 'level must be error, warn, info or debug' null"},
    {"log_level", "{}", "missing argument 'level'"},
    {"log_level", "['loud']", "ERROR 1 3 0 'level must be error, warn, info or debug' null"},
    {"log_level", "['debug']", "RESULT 1 null"},
    {"log_level", "['debug','hub']", "RESULT 1 null"},
    {"log_level", "['error','echo']", "RESULT 1 null"},
    {"log_level", "['error','nobody']", "ERROR 1 5 0"},
    {"log_level", "['error','echo/0']", "ERROR 1 3 0 'a level is that of a worker, not of one"},
    {"send", "['echo',7]",
     "wrong type of argument 'data'; allowed: replica (a text, needed) data (a "
     "text or bytes) end (true or false)' null"},
    {"send", "['echo','x',1]", "wrong type of argument 'end'"},
    {"send", "['nobody','x']", "ERROR 1 5 0"},
    {"send", "['echo','x']", "ERROR 1 9 0 'echo reads nothing: it has no 'stdin: pipe'' null"},
    {"run", "{'command':'true'}",
     "wrong type of argument 'command'; allowed: name (a text, needed) "
     "command (a list of texts, needed)"},
    {"run", "{'command':['true',1]}", "wrong type of argument 'command'"},
    {"run", "{'command':{}}", "wrong type of argument 'command'"},
    {"run", "{'environment':['A']}", "wrong type of argument 'environment'"},
    {"run", "{'environment':{'A':1}}", "wrong type of argument 'environment'"},
    /* values that cannot be */
    {"stop", "['nobody']", "ERROR 1 5 0 'there is no worker 'nobody'"},
    {"stop", "['echo/9']", "ERROR 1 5 0 'there is no replica 'echo/9'"},
    {"stop", "['not a name']", "ERROR 1 5 0 'there is no worker 'not a name'"},
    {"signal", "['nobody','HUP']", "ERROR 1 5 0"},
    {"signal", "['echo/9','HUP']", "ERROR 1 5 0"},
    {"signal", "['echo','HUPP']", "ERROR 1 3 0 'there is no signal 'HUPP', did you mean HUP?; use"},
    {"signal", "['echo','0']", "there is no signal '0'; use a name such as HUP or SIGHUP, or a "},
    {"signal", "['echo','65']", "ERROR 1 3 0 'there is no signal '65'"},
    {"signal", "['echo','']", "ERROR 1 3 0 'there is no signal ''"},
    {"signal", "['echo',9]", "wrong type of argument 'signal'"},
    {"signal", "['echo','HUP','all']", "ERROR 1 3 0 'to must be process or group"},
    {"signal", "['echo','HUP']", "ERROR 1 9 0 'no process of it runs"},
    {"scale", "['nobody',1]", "ERROR 1 5 0"},
    {"scale", "['echo',257]", "ERROR 1 3 0 'scale takes the name of a worker and 0 to 256"},
    {"scale", "['echo/0',1]", "ERROR 1 3 0 'scale takes"},
    {"logs", "['nobody']", "ERROR 1 5 0"},
    {"env", "['nobody']", "ERROR 1 5 0"},
    {"env", "['echo',true]", "wrong type of argument 'reveal'"},
    {"describe", "['nobody']", "ERROR 1 5 0"},
    {"describe", "['echo']", "ERROR 1 9 0 'the worker has not told its methods"},
    {"remove", "['nobody']", "ERROR 1 5 0"},
    {"remove", "['echo']", "ERROR 1 9 0 'stop the worker first"},
    {"run", "['hub',['true'],'/']",
     "ERROR 1 3 0 'name must be 1 to 64 of a-z 0-9 _ -, and not hub"},
    {"run", "['Upper',['true'],'/']", "ERROR 1 3 0 'name must be"},
    {"run", "['a/0',['true'],'/']", "ERROR 1 3 0 'name must be"},
    {"run", "['',['true'],'/']", "ERROR 1 3 0 'name must be"},
    {"run", "['new',[],'/']", "ERROR 1 3 0 'command must name a program"},
    {"run", "['new',['true'],'here']", "ERROR 1 3 0 'working_dir must be an absolute path"},
    {"run", "['new',['true'],'']", "ERROR 1 3 0 'working_dir must be an absolute path"},
    {"run", "['new',['true'],'/',{},0]", "ERROR 1 3 0 'replicas must be from 1 to 256"},
    {"run", "['new',['true'],'/',{},257]", "ERROR 1 3 0 'replicas must be"},
    {"run", "['new',['true'],'/',{},4294967297]", "ERROR 1 3 0 'replicas must be"},
    {"run", "['new',['true'],'/',{},1,'maybe']",
     "ERROR 1 3 0 'restart must be no, on-failure or always"},
    {"run", "['new',['true'],'/',{},1,'no','soon']",
     "ERROR 1 3 0 'ready must be attach or started"},
    {"run", "{'name':'new','command':['true'],'working_dir':'/','output':'x'}",
     "ERROR 1 3 0 'output must be log or events"},
    {"run", "{'name':'new','command':['true'],'working_dir':'/','stdin':'x'}",
     "ERROR 1 3 0 'stdin must be none or pipe"},
    {"run", "{'name':'new','command':['true'],'working_dir':'/','log':'x'}",
     "ERROR 1 3 0 'log must be file, journal, inherit or none"},
    {"run",
     "{'name':'l1','command':['true'],'working_dir':'/','log':'file','output':'log',"
     "'stdin':'none','preload':[]}",
     "RESULT 1 null"},
    {"run",
     "{'name':'l2','command':['true'],'working_dir':'/','log':'journal','output':'events',"
     "'stdin':'pipe'}",
     "RESULT 1 null"},
    {"run", "{'name':'l3','command':['true'],'working_dir':'/','log':'none'}", "RESULT 1 null"},
    {"run", "['echo',['true'],'/']", "ERROR 1 6 0 'there is a worker of this name already"},
};

Test(admin, arguments_go_by_name_or_position_and_a_wrong_one_is_told_what_is_allowed)
{
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        struct world w;
        begin(&w);
        const uint64_t r = ask(&w, ROOT, asked[i].method, asked[i].args);
        cr_assert(world_says(&w, r, asked[i].answer), "%s %s: %s", asked[i].method, asked[i].args,
                  world_text(&w, r));
        world_deinit(&w);
    }
}

/* The hub's own text goes through the world's decoder, which refuses what is not UTF-8. */
Test(admin, what_a_peer_sent_cannot_spoil_the_text_about_it)
{
    static const char *const names[] = {
        "x\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac"
        "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac"
        "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac"
        "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac",
        "\xff\xfe", "tab\tand\x1b[31m"};
    struct world w;
    begin(&w);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        uint64_t r = world_say(&w, ROOT, "[2,null,1,0,'hub','stop',0,null,{'%s':1}]", names[i]);
        cr_assert(world_outcome(&w, r, NULL) == WIRE_ERR_INVALID_ARGUMENT, "name %zu", i);
        cr_assert(strchr(world_text(&w, r), '\x1b') == NULL, "a terminal would obey it");
        r = world_say(&w, ROOT, "[2,null,1,0,'hub','stop',0,null,['%s']]", names[i]);
        cr_assert(world_outcome(&w, r, NULL) ==
                      (i == 1 ? WIRE_ERR_INVALID_ARGUMENT : WIRE_ERR_NOT_FOUND),
                  "value %zu: %s", i, world_text(&w, r));
        cr_assert(strchr(world_text(&w, r), '\x1b') == NULL, "a terminal would obey it");
    }
    world_deinit(&w);
}

Test(admin, a_text_with_a_zero_byte_is_no_text)
{
    struct world w;
    struct buf b = {0};
    begin(&w);
    notation_write(&b, "[2,null,1,0,'hub','stop',0,null,['echo0x']]");
    *(uint8_t *)memchr(b.data + b.w - 3, '0', 2) = 0;
    const uint64_t r = world_send(&w, ROOT, buf_span(&b));
    cr_assert(world_says(&w, r, "wrong type of argument 'worker'"), "%s", world_text(&w, r));
    buf_deinit(&b);
    world_deinit(&w);
}

/* ---- who may -----------------------------------------------------------------------------------
 */

static const struct asked changes[] = {
    {"start", "['echo']", ""},
    {"stop", "['echo']", ""},
    {"restart", "['echo']", ""},
    {"scale", "['echo',2]", ""},
    {"run", "['new',['true'],'/']", ""},
    {"remove", "['new']", ""},
    {"down", "{}", ""},
};

static const struct asked looks[] = {{"status", "{}", ""}, {"describe", "{}", ""}};

static void
expect_may(struct world *w, uint64_t peer, bool look, bool change)
{
    for (size_t i = 0; i < sizeof looks / sizeof looks[0]; i++) {
        const int code = world_outcome(w, ask(w, peer, looks[i].method, looks[i].args), NULL);
        cr_assert((code == 0) == look, "%s: %d", looks[i].method, code);
    }
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        const int code = world_outcome(w, ask(w, peer, changes[i].method, changes[i].args), NULL);
        const bool denied = code == WIRE_ERR_PERMISSION_DENIED || code == WIRE_ERR_UNAUTHENTICATED;
        cr_assert(denied != change, "%s: %d", changes[i].method, code);
    }
}

Test(admin, root_may_everything)
{
    struct world w;
    begin(&w);
    expect_may(&w, ROOT, true, true);
    world_deinit(&w);
}

Test(admin, another_user_may_look_but_change_nothing)
{
    struct world w;
    begin(&w);
    world_open(&w, USER);
    expect_may(&w, USER, true, false);
    cr_assert(strstr(w.events, "hub.admin") == NULL, "what was refused is no event");
    world_deinit(&w);
}

Test(admin, the_user_of_the_hub_may_everything)
{
    struct world w;
    struct hub_options options;
    world_options(&options);
    options.uid = 1000;
    cr_assert(world_init_with(&w, &options), "no hub");
    world_worker(&w, "echo", NULL);
    world_configured(&w);
    world_open(&w, USER);
    expect_may(&w, USER, true, true);
    world_deinit(&w);
}

Test(admin, from_a_network_the_token_comes_first)
{
    struct world w;
    begin(&w);
    world_open_network(&w, NETWORK);
    expect_may(&w, NETWORK, false, false);
    uint64_t r = world_say(&w, NETWORK, "[7,'anyone']");
    cr_assert_str_eq(world_text(&w, r), "PONG 'anyone'", "%s", world_text(&w, r));
    static const char *const wrong[] = {"{}", "{'token':'no token of the net'}", "{'token':''}",
                                        "{'token':'a token of the networ'}",
                                        "{'token':'a token of the network '}"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        r = world_say(&w, NETWORK, "[1,%s]", wrong[i]);
        cr_assert(world_says(&w, r, "ERROR 0 16 0 'HELLO did not hold"), "%s: %s", wrong[i],
                  world_text(&w, r));
    }
    expect_may(&w, NETWORK, false, false);
    r = world_say(&w, NETWORK, "[1,{'token':b'a token of the network'}]");
    cr_assert(world_says(&w, r, "WELCOME {'hub': 'test'"), "%s", world_text(&w, r));
    expect_may(&w, NETWORK, true, true);
    /* What is trusted stays so. */
    r = world_say(&w, NETWORK, "[1,{}]");
    cr_assert(world_says(&w, r, "WELCOME"), "%s", world_text(&w, r));
    world_deinit(&w);
}

Test(admin, a_hub_without_a_token_lets_nobody_in_from_a_network)
{
    struct world w;
    struct hub_options options;
    world_options(&options);
    options.token = (struct span){0};
    cr_assert(world_init_with(&w, &options), "no hub");
    world_configured(&w);
    world_open_network(&w, NETWORK);
    const uint64_t r = world_say(&w, NETWORK, "[1,{'token':''}]");
    cr_assert(world_says(&w, r, "ERROR 0 16"), "%s", world_text(&w, r));
    world_deinit(&w);
}

Test(admin, a_change_is_an_event_with_who_asked_for_it)
{
    struct world w;
    begin(&w);
    (void)ask(&w, ROOT, "stop", "['echo']");
    (void)world_say(&w, ROOT, "[1,{'name':'a\tui'}]");
    (void)world_say(
        &w, ROOT,
        "[2,b'the ui of a test',1,0,'hub','scale',0,null,{'worker':'echo','replicas':3}]");
    const uint64_t r = world_say(&w, ROOT, "[6,null,['hub.admin'],'oldest',10,10000,0]");
    cr_assert(world_says(&w, r,
                         "'hub.admin', 'hub', {'uid': 0, 'pid': 101, 'method': 'stop', 'worker': "
                         "'echo', 'who': 'pid 101 uid 0'}"),
              "%s", world_text(&w, r));
    cr_assert(world_says(&w, r,
                         "'hub.admin', 'hub', {'replicas': 3, 'uid': 0, 'pid': 101, 'method': "
                         "'scale', 'worker': 'echo', 'who': 'a?ui pid 101 uid 0'}"),
              "%s", world_text(&w, r));
    world_deinit(&w);
}

Test(admin, hello_gives_a_client_id_that_nobody_has)
{
    struct world w;
    struct field id[2];
    begin(&w);
    for (size_t i = 0; i < 2; i++) {
        const struct record *r =
            world_expect(&w, world_say(&w, ROOT, "[1,{}]"), 0, WIRE_REC_WELCOME);
        cr_assert(record_key(RECORD_FIELD(r, WELCOME, ABOUT), WIRE_KEY_WELCOME_client, &id[i]));
        cr_assert(id[i].item.bytes.len == WIRE_CLIENT_BYTES, "its length");
    }
    cr_assert(memcmp(id[0].item.bytes.data, id[1].item.bytes.data, WIRE_CLIENT_BYTES) != 0,
              "the same twice");
    world_deinit(&w);
}

/* ---- status -----------------------------------------------------------------------------------
 */

Test(admin, status_tells_the_hub_its_workers_and_their_replicas)
{
    struct world w;
    begin(&w);
    world_serve(&w, "echo/0");
    const uint64_t waits =
        world_say(&w, ROOT, "[2,b'sixteen bytes id',1,0,'echo','echo',60000,null,{}]");
    (void)world_say(&w, ROOT, "[2,b'sixteen bytes id',2,0,'echo','echo',60000,null,{}]");
    (void)world_say(&w, ROOT, "[2,b'sixteen bytes id',3,0,'echo','nope',60000,null,{}]");
    world_pass_ms(&w, 1500);
    const uint64_t r = ask(&w, ROOT, "status", "{}");
    cr_assert(world_outcome(&w, waits, NULL) == -1, "it runs");
    static const char *const parts[] = {
        "'hub': {'name': 'test', 'version': '1', 'epoch': 1, 'uptime_ms': 1500, 'stopping': false, "
        "'connections': 2, 'calls': 3, ",
        "'events': 2}",
        "'workers': {'echo': {'autostart': true, 'queued': 1, 'calls': 1, 'errors': 1, "
        "'replicas': ",
        "[{'replica': 'echo/0', 'state': 'busy', 'pid': 1000, 'uptime_ms': 1500, 'incarnation': 1, "
        "'restarts': 0, 'running': 1, 'calls': 0, 'reason': '', 'exit_code': null, 'waits': false, "
        "'completed': false, '"
        "status': '', "
        "'last_error': '', 'leased_by': '', "
        "'lease_ms': 0, 'cpu_ms': 10000, 'rss_bytes': 4096000, 'threads': 1}]"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        cr_assert(world_says(&w, r, parts[i]), "no %s in %s", parts[i], world_text(&w, r));
    }
    world_deinit(&w);
}

Test(admin, status_tells_why_the_last_process_ended)
{
    struct world w;
    begin(&w);
    world_serve(&w, "echo/0");
    world_exited(&w, "echo/0", 3 << 8);
    const uint64_t r = ask(&w, ROOT, "status", "{}");
    cr_assert(world_says(&w, r,
                         "'state': 'backoff', 'pid': 0, 'uptime_ms': 0, 'incarnation': 1, "
                         "'restarts': 1, 'running': 0, 'calls': 0, 'reason': 'exited with 3'"),
              "%s", world_text(&w, r));
    world_deinit(&w);
}

Test(admin, status_lists_workers_in_the_order_of_the_configuration)
{
    struct world w;
    world_init(&w);
    world_worker(&w, "zebra", NULL);
    world_worker(&w, "ant", NULL);
    world_configured(&w);
    world_open(&w, ROOT);
    const uint64_t r = ask(&w, ROOT, "status", "{}");
    const char *const text = world_text(&w, r);
    cr_assert(strstr(text, "'zebra'") < strstr(text, "'ant'"), "%s", text);
    world_deinit(&w);
}

Test(admin, describe_gives_the_methods_as_the_worker_told_them)
{
    struct world w;
    begin(&w);
    world_serve(&w, "echo/0");
    static const char *const names[] = {"['echo']", "{'worker':'echo/0'}"};
    for (size_t i = 0; i < 2; i++) {
        const uint64_t r = ask(&w, ROOT, "describe", names[i]);
        cr_assert_str_eq(world_text(&w, r),
                         "RESULT 1 {'echo': {'policy': 'once'}, 'again': {'policy': 'idempotent'}, "
                         "'same': {'policy': 'shared'}}",
                         "%s", world_text(&w, r));
    }
    world_deinit(&w);
}

Test(admin, describe_of_the_hub_names_every_method_and_argument)
{
    struct world w;
    begin(&w);
    const uint64_t r = ask(&w, ROOT, "describe", "{}");
    static const char *const parts[] = {"'status'",  "'logs'",  "'start'",
                                        "'stop'",    "'scale'", "'run'",
                                        "'remove'",  "'down'",  "'replicas': 'how many, 0 to 256'",
                                        "'args': {}"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        cr_assert(world_says(&w, r, parts[i]), "no %s in %s", parts[i], world_text(&w, r));
    }
    world_deinit(&w);
}

Test(admin, status_tells_how_the_last_process_ended)
{
    static const struct {
        int status;
        const char *part;
    } rows[] = {{3 << 8, "'exit_code': 3,"}, {11, "'exit_code': 139,"}, {0, "'exit_code': 0,"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world w;
        begin(&w);
        world_serve(&w, "echo/0");
        world_exited(&w, "echo/0", rows[i].status);
        const uint64_t r = ask(&w, ROOT, "status", "{}");
        cr_assert(world_says(&w, r, rows[i].part), "%s", world_text(&w, r));
        world_deinit(&w);
    }
    /* What could not be started has not ended. */
    struct world w;
    begin(&w);
    world_start_failed(&w, "echo/0", true);
    const uint64_t r = ask(&w, ROOT, "status", "{}");
    cr_assert(world_says(&w, r, "'exit_code': null,"), "%s", world_text(&w, r));
    world_deinit(&w);
}

/* ---- signals ------------------------------------------------------------------------------------
 */

Test(admin, a_signal_goes_to_every_process_of_a_worker_or_to_one)
{
    static const struct {
        const char *args;
        int signal;   /* to echo/0 */
        size_t times; /* so many by then */
        bool whole;
    } rows[] = {{"['echo','HUP']", 1, 1, true},
                {"['echo/0','SIGUSR1','process']", 10, 2, false},
                {"['echo/0','64','group']", 64, 3, false},
                {"{'worker':'echo','signal':'sigterm'}", 15, 4, true}};
    struct world w;
    begin(&w);
    (void)ask(&w, ROOT, "scale", "['echo',2]");
    world_serve(&w, "echo/0");
    world_serve(&w, "echo/1");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const size_t other = world_process(&w, "echo/1")->signals;
        const uint64_t r = ask(&w, ROOT, "signal", rows[i].args);
        const struct process *p = world_process(&w, "echo/0");
        cr_assert(world_says(&w, r, "RESULT 1 [{'replica': 'echo/0', 'pid': "), "%s: %s",
                  rows[i].args, world_text(&w, r));
        cr_assert(world_says(&w, r, "'echo/1'") == rows[i].whole, "%s", world_text(&w, r));
        cr_assert(p->signal == rows[i].signal && p->signals == rows[i].times, "%s", rows[i].args);
        cr_assert(world_process(&w, "echo/1")->signals == other + rows[i].whole, "%s",
                  rows[i].args);
    }
    /* One whose process is gone is left out. */
    world_exited(&w, "echo/1", 0);
    cr_assert(!world_says(&w, ask(&w, ROOT, "signal", "['echo','HUP']"), "echo/1"), "gone");
    cr_assert(world_says(&w, ask(&w, ROOT, "signal", "['echo/1','HUP']"), "no process of it runs"),
              "gone");
    world_deinit(&w);
}

/* ---- logs --------------------------------------------------------------------------------------
 */

static void
give_logs(struct world *w, const char *lines)
{
    struct buf b = {0};
    struct hub_input in = {.kind = HUB_IN_LOGS};
    notation_write(&b, lines);
    in.logs.call = w->logs.call;
    in.logs.payload = buf_span(&b);
    world_step(w, &in);
    buf_deinit(&b);
}

Test(admin, logs_are_asked_of_the_shell_and_answered_when_they_come)
{
    struct world w;
    begin(&w);
    const uint64_t r = ask(&w, ROOT, "logs", "['echo']");
    cr_assert(world_outcome(&w, r, NULL) == -1, "it waits");
    cr_assert_str_eq(w.logs_worker, "echo", "worker");
    cr_assert(w.logs.lines == 20 && !w.logs.logs.follows, "%u lines", w.logs.lines);
    give_logs(&w, "[{'line':'hello'}]");
    cr_assert_str_eq(world_text(&w, r), "RESULT 1 [{'line': 'hello'}]", "%s", world_text(&w, r));
    /* A second answer is nobody's. */
    give_logs(&w, "[]");
    world_deinit(&w);
}

Test(admin, logs_of_one_replica_and_at_most_a_thousand_lines)
{
    struct world w;
    begin(&w);
    (void)ask(&w, ROOT, "logs", "['echo/0',7]");
    cr_assert_str_eq(w.logs_worker, "echo/0", "%s", w.logs_worker);
    cr_assert(w.logs.lines == 7, "%u lines", w.logs.lines);
    (void)ask(&w, ROOT, "logs", "['echo',9007199254740991]");
    cr_assert(w.logs.lines == 1000, "%u lines", w.logs.lines);
    world_deinit(&w);
}

Test(admin, an_environment_is_asked_of_the_shell_and_its_reader_told)
{
    struct world w;
    begin(&w);
    uint64_t r = ask(&w, ROOT, "env", "['echo']");
    cr_assert(w.logs.kind == HUB_OUT_ENV && w.logs.replica == 0 && !w.logs.reveal, "masked");
    cr_assert_str_eq(w.logs_worker, "echo", "worker");
    cr_assert(strstr(w.events, "hub.admin") != NULL, "nobody is told: %s", w.events);
    give_logs(&w, "[{'name':'A'}]");
    cr_assert_str_eq(world_text(&w, r), "RESULT 1 [{'name': 'A'}]", "%s", world_text(&w, r));
    (void)ask(&w, ROOT, "env", "{'worker':'echo/0','reveal':1}");
    cr_assert(w.logs.kind == HUB_OUT_ENV && w.logs.reveal, "as it is");
    world_deinit(&w);
}

Test(admin, logs_that_never_come_end_with_the_deadline)
{
    struct world w;
    begin(&w);
    const uint64_t r =
        world_say(&w, ROOT, "[2,b'sixteen bytes id',1,0,'hub','logs',500,null,['echo']]");
    world_pass_ms(&w, 500);
    cr_assert(world_outcome(&w, r, NULL) == WIRE_ERR_DEADLINE_EXCEEDED, "%s", world_text(&w, r));
    give_logs(&w, "[]");
    world_deinit(&w);
}

Test(admin, logs_that_come_after_the_caller_has_left_are_dropped)
{
    struct world w;
    begin(&w);
    (void)ask(&w, ROOT, "logs", "['echo']");
    world_close(&w, ROOT);
    world_pass_ms(&w, 200000);
    give_logs(&w, "[]");
    cr_assert(hub_counts(w.hub).calls == 0, "something was kept");
    world_deinit(&w);
}

Test(admin, who_follows_is_told_by_the_shell_and_may_wait)
{
    struct world w;
    begin(&w);
    uint64_t r = ask(&w, ROOT, "follow", "{}");
    cr_assert(w.logs.logs.follows && w.logs.lines == 20 && w.logs.body.len == 0, "everybody");
    cr_assert(w.logs.level == SPEC_LEVEL_DEBUG && w.logs.logs.wait_ms == 0, "of all levels, now");
    give_logs(&w, "{'lines':[]}");
    cr_assert(world_says(&w, r, "RESULT 1 {'lines': []}"), "%s", world_text(&w, r));
    r = ask(&w, ROOT, "follow",
            "{'workers':['echo/0','echo'],'lines':3,'level':'warn','since_us':5,'wait_ms':90000}");
    cr_assert(w.logs.body.len == strlen("echo/0") + 1 + strlen("echo") + 1, "two names");
    cr_assert_str_eq(w.logs_worker, "echo/0", "%s", w.logs_worker);
    cr_assert(w.logs.lines == 3 && w.logs.level == SPEC_LEVEL_WARN && w.logs.logs.since_us == 5 &&
                  w.logs.logs.wait_ms == 60000,
              "what was asked");
    struct hub_input in = {.kind = HUB_IN_LOGS};
    in.logs.call = w.logs.call;
    in.logs.refused = "after is nonsense";
    world_step(&w, &in);
    cr_assert(world_says(&w, r, "ERROR 1 3 0 'after is nonsense' null"), "%s", world_text(&w, r));
    world_deinit(&w);
}

Test(admin, at_most_64_workers_can_be_followed_by_name)
{
    struct world w;
    char names[64 * 8 + 20];
    begin(&w);
    for (int count = 64; count <= 65; count++) {
        size_t n = (size_t)snprintf(names, sizeof names, "[[");
        for (int i = 0; i < count; i++) {
            n += (size_t)snprintf(names + n, sizeof names - n, "%s'echo'", i > 0 ? "," : "");
        }
        (void)snprintf(names + n, sizeof names - n, "]]");
        const uint64_t r = ask(&w, ROOT, "follow", names);
        cr_assert(world_outcome(&w, r, NULL) == (count == 64 ? -1 : WIRE_ERR_INVALID_ARGUMENT),
                  "%d: %s", count, world_text(&w, r));
    }
    world_deinit(&w);
}

Test(admin, a_level_is_set_by_the_shell_and_by_nobody_without_the_right_to)
{
    struct world w;
    begin(&w);
    world_open(&w, USER);
    (void)ask(&w, ROOT, "log_level", "['debug']");
    cr_assert(w.level.kind == HUB_OUT_LOG_LEVEL && w.level.spec == NULL &&
                  w.level.level == SPEC_LEVEL_DEBUG,
              "of the hub");
    (void)ask(&w, ROOT, "log_level", "['error','echo']");
    cr_assert(w.level.spec != NULL && w.level.level == SPEC_LEVEL_ERROR, "of a worker");
    w.level = (struct hub_effect){0};
    uint64_t r = ask(&w, USER, "log_level", "['error','echo']");
    cr_assert(world_outcome(&w, r, NULL) == WIRE_ERR_PERMISSION_DENIED && w.level.spec == NULL,
              "%s", world_text(&w, r));
    r = ask(&w, USER, "send", "['echo','x']");
    cr_assert(world_outcome(&w, r, NULL) == WIRE_ERR_PERMISSION_DENIED, "%s", world_text(&w, r));
    world_deinit(&w);
}

/* ---- stdin -------------------------------------------------------------------------------------
 */

static void
reads(struct worker_spec *spec)
{
    spec->output.takes_input = true;
    spec->ready = SPEC_READY_STARTED;
}

static void
answer_send(struct world *w, enum hub_sent what)
{
    struct hub_input in = {.kind = HUB_IN_SENT};
    in.sent.call = w->sent.call;
    in.sent.what = what;
    in.sent.held_bytes = 65000;
    world_step(w, &in);
}

Test(admin, what_is_sent_goes_to_the_shell_and_its_answer_to_who_sent)
{
    struct world w;
    world_init(&w);
    world_worker(&w, "cat", reads);
    world_configured(&w);
    world_open(&w, ROOT);
    uint64_t r = ask(&w, ROOT, "send", "['cat','x']");
    cr_assert(world_says(&w, r, "ERROR 1 14 0 'cat/0 is starting' null"), "%s", world_text(&w, r));
    world_started(&w, "cat/0");
    r = ask(&w, ROOT, "send", "['cat','hello']");
    cr_assert(world_outcome(&w, r, NULL) == -1, "it waits for the shell");
    cr_assert(w.sent.process == world_process(&w, "cat/0")->id && !w.sent.ends, "the process");
    cr_assert_str_eq(w.sent_bytes, "hello", "%s", w.sent_bytes);
    answer_send(&w, HUB_SENT);
    cr_assert(world_says(&w, r, "RESULT 1 null"), "%s", world_text(&w, r));
    r = ask(&w, ROOT, "send", "{'replica':'cat/0','end':true}");
    cr_assert(w.sent.ends && w.sent.body.len == 0, "the end alone");
    answer_send(&w, HUB_SENT_CLOSED);
    cr_assert(world_says(&w, r, "ERROR 1 14 0 'the program's stdin is closed' null"), "%s",
              world_text(&w, r));
    r = ask(&w, ROOT, "send", "['cat',b'bytes']");
    answer_send(&w, HUB_SENT_FULL);
    cr_assert(world_says(&w, r,
                         "ERROR 1 8 0 'the program does not read: 65000 bytes wait for it "
                         "already'"),
              "%s", world_text(&w, r));
    answer_send(&w, HUB_SENT); /* a second answer is nobody's */
    world_exited(&w, "cat/0", 0);
    r = ask(&w, ROOT, "send", "['cat','x']");
    cr_assert(world_outcome(&w, r, NULL) == WIRE_ERR_UNAVAILABLE, "%s", world_text(&w, r));
    world_deinit(&w);
}

Test(admin, who_sends_names_a_replica_where_there_are_several)
{
    struct world w;
    world_init(&w);
    world_worker(&w, "cat", reads);
    world_configured(&w);
    world_open(&w, ROOT);
    (void)ask(&w, ROOT, "scale", "['cat',2]");
    const uint64_t r = ask(&w, ROOT, "send", "['cat','x']");
    cr_assert(world_says(&w, r, "ERROR 1 3 0 'cat has 2 replicas: name one, as cat/0' null"), "%s",
              world_text(&w, r));
    world_deinit(&w);
}

/* ---- run and remove ----------------------------------------------------------------------------
 */

Test(admin, run_adds_a_worker_and_starts_it)
{
    struct world w;
    begin(&w);
    uint64_t r = ask(&w, ROOT, "run",
                     "{'name':'new','command':['sh','-c','true'],'working_dir':'/tmp','replicas':2,"
                     "'environment':{'A':'1','B':'x=y'},'restart':'always','ready':'started'}");
    cr_assert(world_outcome(&w, r, NULL) == 0, "%s", world_text(&w, r));
    cr_assert(w.process_count == 3, "%zu processes", w.process_count);
    world_started(&w, "new/0");
    world_started(&w, "new/1");
    world_exited(&w, "new/1", 0);
    r = ask(&w, ROOT, "status", "{}");
    cr_assert(world_says(&w, r,
                         "'new': {'autostart': false, 'queued': 0, 'calls': 0, 'errors': 0, "
                         "'replicas': [{'replica': 'new/0', 'state': 'ready'"),
              "%s", world_text(&w, r));
    cr_assert(world_says(&w, r, "'replica': 'new/1', 'state': 'backoff'"), "restart: always");
    world_deinit(&w);
}

/* The specification of the process that a message of root starts; NULL when it starts none. */
static const struct worker_spec *
started_by(struct world *w, const struct buf *message)
{
    struct hub_effects out;
    struct hub_input in = {.kind = HUB_IN_MESSAGE, .peer = ROOT, .now_ns = w->now_ns};
    const struct worker_spec *spec = NULL;
    in.message.request = 1;
    in.message.body = buf_span(message);
    cr_assert(hub_step(w->hub, &in, &out), "step");
    for (size_t i = 0; i < out.count; i++) {
        spec = out.list[i].kind == HUB_OUT_START ? out.list[i].spec : spec;
    }
    return spec;
}

/* What the shell is told: folder, arguments, settings, one after another. */
Test(admin, run_passes_folder_command_and_environment_on)
{
    static const char want[] = "/tmp\0sh\0-c\0true\0A=1\0B=x=y";
    struct world w;
    struct buf b = {0};
    begin(&w);
    notation_write(&b, "[2,null,1,0,'hub','run',0,null,{'name':'new','command':['sh','-c','true'],"
                       "'working_dir':'/tmp','environment':{'A':'1','B':'x=y'}}]");
    const struct worker_spec *spec = started_by(&w, &b);
    cr_assert(spec != NULL && spec->launch.argc == 3 && spec->launch.envc == 2, "counts");
    cr_assert(spec->launch.text_bytes == sizeof want, "%zu bytes", spec->launch.text_bytes);
    cr_assert_arr_eq(spec->launch.text, want, sizeof want, "text");
    cr_assert(spec->restart == SPEC_RESTART_ON_FAILURE && spec->ready == SPEC_READY_ATTACH &&
                  !spec->autostart && spec->replicas == 1,
              "defaults");
    buf_deinit(&b);
    world_deinit(&w);
}

/* The modules of a template are one more setting. */
Test(admin, run_tells_modules_of_a_template_and_where_lines_go)
{
    static const char want[] = "/\0true\0A=1\0PRONG_PRELOAD=numpy,PIL.Image";
    struct world w;
    struct buf b = {0};
    begin(&w);
    notation_write(&b, "[2,null,1,0,'hub','run',0,null,{'name':'new','command':['true'],"
                       "'working_dir':'/','environment':{'A':'1'},"
                       "'log':'inherit','preload':['numpy','PIL.Image']}]");
    const struct worker_spec *spec = started_by(&w, &b);
    cr_assert(spec != NULL && spec->launch.is_warm && spec->launch.envc == 2, "counts");
    cr_assert_eq(spec->output.log, SPEC_LOG_INHERIT, "where its lines go");
    cr_assert_eq(spec->launch.text_bytes, sizeof want, "%zu bytes", spec->launch.text_bytes);
    cr_assert_arr_eq(spec->launch.text, want, sizeof want, "text");
    buf_deinit(&b);
    world_deinit(&w);
}

Test(admin, only_a_stopped_worker_that_was_run_is_removed)
{
    struct world w;
    begin(&w);
    (void)ask(&w, ROOT, "run", "['new',['true'],'/']");
    cr_assert(world_says(&w, ask(&w, ROOT, "remove", "['new']"), "stop the worker first"),
              "it runs");
    world_started(&w, "new/0");
    (void)ask(&w, ROOT, "stop", "['new']");
    cr_assert(world_says(&w, ask(&w, ROOT, "remove", "['new']"), "stop the worker first"), "still");
    world_exited(&w, "new/0", 15);
    const uint64_t one = ask(&w, ROOT, "remove", "['new/0']");
    cr_assert(world_says(&w, one, "ERROR 1 3 0"), "a replica is no worker: %s",
              world_text(&w, one));
    cr_assert(world_outcome(&w, ask(&w, ROOT, "remove", "['new']"), NULL) == 0, "now it may go");
    cr_assert(world_says(&w, ask(&w, ROOT, "stop", "['new']"), "there is no worker"), "it is gone");
    (void)ask(&w, ROOT, "stop", "['echo']");
    world_exited(&w, "echo/0", 15);
    cr_assert(world_says(&w, ask(&w, ROOT, "remove", "['echo']"), "belongs to the configuration"),
              "echo");
    world_deinit(&w);
}

Test(admin, what_run_says_of_restarts_holds_for_the_worker)
{
    static const struct {
        const char *restart, *after_success, *after_failure;
    } rows[] = {{"no", "stopped", "failed"},
                {"on-failure", "stopped", "backoff"},
                {"always", "backoff", "backoff"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world w;
        begin(&w);
        const uint64_t r =
            world_say(&w, ROOT,
                      "[2,null,1,0,'hub','run',0,null,{'name':'new','command':['true'],"
                      "'working_dir':'/','replicas':2,'restart':'%s','ready':'attach'}]",
                      rows[i].restart);
        cr_assert(world_outcome(&w, r, NULL) == 0, "%s", world_text(&w, r));
        world_serve(&w, "new/0");
        world_serve(&w, "new/1");
        world_exited(&w, "new/0", 0);
        world_exited(&w, "new/1", 1 << 8);
        expect_state(&w, "new/0", rows[i].after_success);
        expect_state(&w, "new/1", rows[i].after_failure);
        world_deinit(&w);
    }
}

Test(admin, a_worker_that_is_about_to_start_again_is_not_removed)
{
    struct world w;
    begin(&w);
    (void)ask(&w, ROOT, "run", "['new',['true'],'/']");
    world_serve(&w, "new/0");
    world_exited(&w, "new/0", 1 << 8);
    expect_state(&w, "new/0", "backoff");
    cr_assert(world_says(&w, ask(&w, ROOT, "remove", "['new']"), "stop the worker first"),
              "it has no process, and will have one");
    (void)ask(&w, ROOT, "stop", "['new']");
    cr_assert(world_outcome(&w, ask(&w, ROOT, "remove", "['new']"), NULL) == 0, "now it may go");
    world_deinit(&w);
}

Test(admin, outcomes_of_a_removed_worker_are_still_kept)
{
    struct world w;
    begin(&w);
    (void)ask(&w, ROOT, "run", "['new',['true'],'/']");
    world_serve(&w, "new/0");
    (void)world_say(&w, ROOT, "[2,b'sixteen bytes id',1,0,'new','echo',0,null,{}]");
    world_done(&w, "new/0", world_given(&w, "new/0"));
    (void)ask(&w, ROOT, "stop", "['new']");
    world_exited(&w, "new/0", 15);
    cr_assert(world_outcome(&w, ask(&w, ROOT, "remove", "['new']"), NULL) == 0, "remove");
    const uint64_t r = world_say(&w, ROOT, "[3,b'sixteen bytes id',1,0]");
    cr_assert_str_eq(world_text(&w, r), "RESULT 1 'done'", "%s", world_text(&w, r));
    world_pass_ms(&w, 200000);
    world_deinit(&w);
}

Test(admin, a_hub_that_stops_takes_no_changes)
{
    struct world w;
    begin(&w);
    (void)ask(&w, ROOT, "run", "['new',['true'],'/']");
    world_stop(&w);
    static const struct asked late[] = {{"start", "['echo']", ""},
                                        {"restart", "['echo']", ""},
                                        {"stop", "['echo']", ""},
                                        {"scale", "['echo',3]", ""},
                                        {"run", "['third',['true'],'/']", ""}};
    for (size_t i = 0; i < sizeof late / sizeof late[0]; i++) {
        const uint64_t r = ask(&w, ROOT, late[i].method, late[i].args);
        cr_assert(world_says(&w, r, "ERROR 1 14 0 'the hub is stopping'"), "%s: %s", late[i].method,
                  world_text(&w, r));
    }
    cr_assert(world_says(&w, ask(&w, ROOT, "status", "{}"), "'stopping': true"), "status");
    world_deinit(&w);
}

Test(admin, there_are_at_most_256_workers)
{
    struct world w;
    world_init(&w);
    world_open(&w, ROOT);
    for (int i = 0; i < WIRE_WORKERS_MAX; i++) {
        char name[20];
        (void)snprintf(name, sizeof name, "w%d", i);
        world_worker(&w, name, NULL);
    }
    const uint64_t r = ask(&w, ROOT, "run", "['new',['true'],'/']");
    cr_assert(world_says(&w, r, "ERROR 1 8 0 'the hub has too many workers'"), "%s",
              world_text(&w, r));
    world_deinit(&w);
}

Test(admin, one_replica_is_started_stopped_and_restarted_alone)
{
    struct world w;
    begin(&w);
    (void)ask(&w, ROOT, "scale", "['echo',2]");
    world_serve(&w, "echo/0");
    world_serve(&w, "echo/1");
    (void)ask(&w, ROOT, "stop", "['echo/1']");
    expect_state(&w, "echo/0", "ready");
    world_exited(&w, "echo/1", 15);
    (void)ask(&w, ROOT, "start", "['echo/1']");
    expect_state(&w, "echo/1", "starting");
    (void)ask(&w, ROOT, "restart", "['echo/0']");
    expect_state(&w, "echo/0", "stopping");
    world_deinit(&w);
}

/* Its program may be another one, so nothing that was read of it before may be left. */
Test(admin, a_restart_of_a_whole_worker_is_another_edition_of_it)
{
    struct world w;
    begin(&w);
    (void)ask(&w, ROOT, "scale", "['echo',2]");
    world_serve(&w, "echo/0");
    world_serve(&w, "echo/1");
    const uint32_t first = world_process(&w, "echo/0")->edition;
    cr_assert_eq(world_process(&w, "echo/1")->edition, first, "its replicas differ");
    (void)ask(&w, ROOT, "restart", "['echo/1']");
    world_exited(&w, "echo/1", 15);
    cr_assert_eq(world_process(&w, "echo/1")->edition, first, "after a restart of one replica");
    (void)ask(&w, ROOT, "restart", "['echo']");
    world_exited(&w, "echo/0", 15);
    cr_assert_neq(world_process(&w, "echo/0")->edition, first, "after a restart of all");
    world_deinit(&w);
}
