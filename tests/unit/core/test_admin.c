/* The hub's own methods: their arguments, and who may call them. What they do is in
 * test_admin_show.c, test_admin_logs.c and test_admin_change.c. */
#include "tests/support/test.h"
#include "tests/unit/core/admin.h"
#include "tests/unit/core/notation.h"
#include "tests/unit/core/world.h"

#include <stdio.h>
#include <string.h>

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
        admin_begin(&w);
        const uint64_t r = admin_ask(&w, ROOT, asked[i].method, asked[i].args);
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
    admin_begin(&w);
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
    admin_begin(&w);
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
        const int code = world_outcome(w, admin_ask(w, peer, looks[i].method, looks[i].args), NULL);
        cr_assert((code == 0) == look, "%s: %d", looks[i].method, code);
    }
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        const int code =
            world_outcome(w, admin_ask(w, peer, changes[i].method, changes[i].args), NULL);
        const bool denied = code == WIRE_ERR_PERMISSION_DENIED || code == WIRE_ERR_UNAUTHENTICATED;
        cr_assert(denied != change, "%s: %d", changes[i].method, code);
    }
}

Test(admin, root_may_everything)
{
    struct world w;
    admin_begin(&w);
    expect_may(&w, ROOT, true, true);
    world_deinit(&w);
}

Test(admin, another_user_may_look_but_change_nothing)
{
    struct world w;
    admin_begin(&w);
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
    admin_begin(&w);
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
    admin_begin(&w);
    (void)admin_ask(&w, ROOT, "stop", "['echo']");
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
    admin_begin(&w);
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
