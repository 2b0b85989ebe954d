/* The stories of tests/golden/: see golden.h. Each shows one promise of the protocol at its work.
 */
#include "tests/unit/core/golden.h"

#include <stdio.h>

/* A CALL; of the methods `echo` is once, `again` idempotent, `look` shared. */
static void
calls(struct golden *g, const char *who, const char *rest)
{
    char text[512];
    (void)snprintf(text, sizeof text, "[2,ID,%s]", rest);
    says(g, who, text);
}

static void
plain_call(struct golden *g)
{
    calls(g, "alice", "1,0,'echo','echo',5000,null,{'text':'hello'}");
    passes(g, 20);
    reports(g, "echo/0", "[#1,0,'hello']");
    remark(g, "The worker keeps its outcome until the caller has said that it arrived.");
    passes(g, 1000);
    calls(g, "alice", "2,1,'echo','echo',5000,null,{'text':'bye'}");
    passes(g, 5);
    reports(g, "echo/0", "[#2,1,[3,2,'what a text',{'type':'ValueError'}]]");
}

static void
death_before_begin(struct golden *g)
{
    remark(g, "The hub sends WORK, and the connection breaks before it arrives. When the worker");
    remark(g, "attaches anew its inventory does not know the call, so it is given again.");
    calls(g, "alice", "1,0,'echo','echo',5000,null,{}");
    reconnects(g, "echo/0");
    attaches(g, "echo/0", 2, "'running':[],'done':[]");
    reports(g, "echo/0", "[#1,0,'once']");
    remark(g, "A call that no replica was given waits for the next one when its worker dies.");
    dies(g, "echo/0", 9);
    calls(g, "alice", "2,1,'echo','echo',5000,null,{}");
    passes(g, 2000);
    comes_up(g, "echo/0");
    reports(g, "echo/0", "[#2,0,'later']");
}

static void
death_after_begin(struct golden *g)
{
    remark(g, "A method that is `once` may have begun: nobody can say, and it is not run again.");
    calls(g, "alice", "1,0,'echo','echo',5000,null,{}");
    passes(g, 10);
    dies(g, "echo/0", 11);
    remark(g, "One that is `idempotent` is given to another replica.");
    calls(g, "alice", "2,1,'echo','again',5000,null,{}");
    passes(g, 2000);
    comes_up(g, "echo/0");
    dies(g, "echo/1", 11);
    reports(g, "echo/0", "[#2,0,'done']");
}

static void
repeat_after_reconnect(struct golden *g)
{
    remark(g, "The caller loses its connection and asks again: it is the same call.");
    calls(g, "alice", "1,0,'echo','echo',5000,null,{}");
    reconnects(g, "alice");
    passes(g, 100);
    calls(g, "alice", "1,0,'echo','echo',5000,null,{}");
    reports(g, "echo/0", "[#1,0,'done']");
    remark(g, "The answer is lost, too: it was kept.");
    reconnects(g, "alice");
    calls(g, "alice", "1,0,'echo','echo',5000,null,{}");
    remark(g, "Once it is acknowledged it is gone, and is never run again.");
    calls(g, "alice", "2,1,'echo','echo',5000,null,{}");
    calls(g, "alice", "1,0,'echo','echo',5000,null,{}");
}

static void
cancel(struct golden *g)
{
    says(g, "echo/0", "[19,@]");
    calls(g, "alice", "1,0,'echo','echo',5000,null,{'who':'runs'}");
    calls(g, "alice", "2,0,'echo','echo',5000,null,{'who':'waits'}");
    remark(g, "What waits ends at once and has not begun.");
    says(g, "alice", "[4,ID,2]");
    remark(g, "What runs ends for its caller; the worker is told.");
    says(g, "alice", "[4,ID,1]");
    passes(g, 50);
    reports(g, "echo/0", "[#1,1,[1,2,'cancelled',null]]");
}

static void
deadline(struct golden *g)
{
    says(g, "echo/0", "[19,@]");
    calls(g, "alice", "1,0,'echo','echo',3000,null,{'who':'runs'}");
    calls(g, "bob", "1,0,'echo','echo',2000,null,{'who':'waits'}");
    passes(g, 4000);
    reports(g, "echo/0", "[#1,0,'too late']");
}

static void
full_queue(struct golden *g)
{
    remark(g, "Four may wait for this worker, beside the one that runs.");
    calls(g, "alice", "1,0,'echo','echo',60000,null,{}");
    calls(g, "alice", "2,0,'echo','echo',60000,null,{}");
    calls(g, "alice", "3,0,'echo','echo',60000,null,{}");
    calls(g, "alice", "4,0,'echo','echo',60000,null,{}");
    calls(g, "alice", "5,0,'echo','echo',60000,null,{}");
    calls(g, "bob", "1,0,'echo','echo',60000,null,{}");
    passes(g, 10);
    reports(g, "echo/0", "[#1,0,'done']");
    calls(g, "bob", "2,0,'echo','echo',60000,null,{}");
}

static void
streamed_result(struct golden *g)
{
    calls(g, "alice", "1,0,'echo','echo',60000,{'progress':true},{}");
    says(g, "echo/0", "[18,@,[[#1,3,[0,'opening']]]]");
    says(g, "alice", "[3,ID,1,0]");
    says(g, "echo/0", "[18,@,[[#1,2,[0,['a','b']]]]]");
    says(g, "alice", "[3,ID,1,2]");
    says(g, "echo/0", "[18,@,[[#1,2,[2,['c']]]]]");
    remark(g, "That answer is lost. What no WAIT has named comes again, with what came meanwhile.");
    reconnects(g, "alice");
    says(g, "echo/0", "[18,@,[[#1,2,[3,['d']]]]]");
    says(g, "alice", "[3,ID,1,2]");
    reports(g, "echo/0", "[#1,0,'that was all']");
    says(g, "alice", "[3,ID,1,4]");
}

static void
slow_reader(struct golden *g)
{
    calls(g, "alice", "1,0,'echo','echo',60000,null,{}");
    says(g, "echo/0", "[18,@,[[#1,2,[0,['a']]]]]");
    remark(g, "A megabyte that nobody fetches: the worker waits for its ACK.");
    says(g, "echo/0", "[18,@,[[#1,2,[1,[<800000>,<800000>]]]]]");
    passes(g, 26000);
    says(g, "echo/0", "[18,@,[[#1,2,[3,[]]]]]");
    passes(g, 1000);
    says(g, "alice", "[3,ID,1,1]");
    says(g, "alice", "[3,ID,1,2]");
    says(g, "alice", "[3,ID,1,3]");
    reports(g, "echo/0", "[#1,0,null]");
}

static void
map_ordered(struct golden *g)
{
    calls(g, "alice",
          "1,0,'echo','again',60000,{'map':'ordered'},[{'n':0},{'n':1},{'n':2},{'n':3}]");
    passes(g, 10);
    reports(g, "echo/1", "[#3,0,'one']");
    passes(g, 10);
    reports(g, "echo/1", "[#4,1,[3,2,'no such thing',null]]");
    remark(g, "They wait for the first.");
    passes(g, 10);
    reports(g, "echo/0", "[#2,0,'zero']");
    says(g, "alice", "[3,ID,1,1]");
    says(g, "alice", "[3,ID,1,3]");
    passes(g, 10);
    reports(g, "echo/1", "[#5,0,'three']");
    says(g, "alice", "[3,ID,1,4]");
}

static void
broadcast(struct golden *g)
{
    remark(g, "Three replicas: one answers, one dies, one has failed for good.");
    dies(g, "echo/2", 127 << 8);
    calls(g, "alice", "1,0,'echo/*','echo',60000,null,{}");
    says(g, "alice", "[3,ID,1,1]");
    reports(g, "echo/1", "[#3,0,'here']");
    says(g, "alice", "[3,ID,1,2]");
    dies(g, "echo/0", 9);
    says(g, "alice", "[3,ID,1,3]");
}

static void
key(struct golden *g)
{
    remark(g, "Calls with one key go to one replica, and to it alone.");
    calls(g, "alice", "1,0,'echo','again',60000,{'key':'camera 7'},{}");
    calls(g, "alice", "2,0,'echo','again',60000,{'key':'camera 7'},{}");
    reports(g, "echo/1", "[#1,0,1]");
    remark(g, "It goes: its key moves, and the call that may run again with it.");
    dies(g, "echo/1", 9);
    reports(g, "echo/0", "[#2,0,2]");
    remark(g, "It is back, and so is its key.");
    passes(g, 2000);
    comes_up(g, "echo/1");
    calls(g, "alice", "3,2,'echo','again',60000,{'key':'camera 7'},{}");
    reports(g, "echo/1", "[#3,0,3]");
}

static void
lease(struct golden *g)
{
    calls(g, "bob", "1,0,'echo','echo',60000,null,{}");
    calls(g, "alice", "1,0,'hub','lease',60000,null,{'worker':'echo','ttl_ms':10000}");
    remark(g, "Others go elsewhere, and are refused when they name it.");
    calls(g, "bob", "2,0,'echo','echo',60000,null,{}");
    calls(g, "bob", "3,0,'echo/1','echo',60000,null,{}");
    reports(g, "echo/0", "[#1,0,1]");
    calls(g, "alice", "2,0,'echo/1','echo',60000,null,{}");
    reports(g, "echo/1", "[#5,0,2]");
    passes(g, 8000);
    calls(g, "alice", "3,0,'hub','renew',1000,null,{'replica':'echo/1','ttl_ms':10000}");
    passes(g, 8000);
    calls(g, "alice", "4,0,'hub','release',1000,null,{'replica':'echo/1'}");
    calls(g, "alice", "5,0,'hub','release',1000,null,{'replica':'echo/1'}");
    remark(g, "Who does not renew loses it.");
    calls(g, "alice", "6,0,'hub','lease',60000,null,{'worker':'echo','ttl_ms':2000}");
    passes(g, 3000);
    calls(g, "bob", "4,0,'echo/1','echo',60000,null,{}");
}

static void
background(struct golden *g)
{
    says(g, "bob", "[6,null,['echo.done'],'new',10,100000,60000]");
    calls(g, "alice", "1,0,'echo','echo',0,{'background':true},{}");
    leaves(g, "alice");
    passes(g, 6000);
    reports(g, "echo/0", "[#1,0,'done while she was away']");
    passes(g, 300000);
    remark(g, "She, or another program of hers, comes and asks.");
    returns(g, "alice");
    says(g, "alice", "[3,ID,1,0]");
}

static void
inner_call(struct golden *g)
{
    remark(g, "A method of the only replica calls its own worker: that could never begin.");
    calls(g, "alice", "1,0,'echo','echo',60000,null,{}");
    says(g, "echo/0", "[2,b'worker of a test',1,0,'echo','echo',60000,{'parent':#1},{}]");
    reports(g, "echo/0", "[#1,1,[9,2,'it would have waited for itself',null]]");
}

static void
shared(struct golden *g)
{
    calls(g, "alice", "1,0,'echo','look',60000,null,{'at':'camera 7'}");
    calls(g, "bob", "1,0,'echo','look',60000,null,{'at':'camera 7'}");
    remark(g, "One run answers both.");
    passes(g, 10);
    reports(g, "echo/0", "[#1,0,'a picture']");
    remark(g, "Who came first gives up: the other is answered by a run of its own.");
    calls(g, "alice", "2,1,'echo','look',60000,null,{'at':'camera 7'}");
    calls(g, "bob", "2,1,'echo','look',60000,null,{'at':'camera 7'}");
    says(g, "alice", "[4,ID,2]");
    reports(g, "echo/0", "[#3,1,[1,2,'cancelled',null]]");
    reports(g, "echo/0", "[#4,0,'another picture']");
}

static void
poison(struct golden *g)
{
    remark(g, "A call kills one replica after the other.");
    calls(g, "alice", "1,0,'echo','again',60000,null,{'text':'deadly'}");
    dies(g, "echo/0", 11);
    dies(g, "echo/1", 11);
    passes(g, 3000);
    comes_up(g, "echo/0");
    comes_up(g, "echo/1");
    remark(g, "It does not get a third one, whoever asks.");
    calls(g, "bob", "1,0,'echo','again',60000,null,{'text':'deadly'}");
    calls(g, "bob", "2,0,'echo','again',60000,null,{'text':'another'}");
    reports(g, "echo/0", "[#3,0,'done']");
    calls(g, "bob", "3,0,'hub','dlq_list',1000,null,{}");
    remark(g, "After ten minutes it may try again.");
    passes(g, 600000);
    polls(g, "echo/0");
    calls(g, "bob", "4,0,'echo','again',60000,null,{'text':'deadly'}");
}

static void
inventory(struct golden *g)
{
    remark(g, "The connection of a worker breaks while it runs one call and keeps the outcome of");
    remark(g, "another, which it had reported just then. Nothing is lost, nothing runs twice.");
    calls(g, "alice", "1,0,'echo','echo',60000,null,{}");
    reports(g, "echo/0", "[#1,0,'first']");
    calls(g, "alice", "2,0,'echo','echo',60000,null,{}");
    reconnects(g, "echo/0");
    attaches(g, "echo/0", 2, "'running':[#2],'done':[#1]");
    reports(g, "echo/0", "[#1,0,'first'],[#2,0,'second']");
    remark(g, "With the session of before nothing is given, but outcomes are taken.");
    says(g, "echo/0", "[17,'echo/0',77,0,1]");
}

static void
late_reader(struct golden *g)
{
    says(g, "alice", "[6,ID,['camera.>'],'new',10,100000,0]");
    says(g, "bob", "[5,ID,1,'camera.found',null,{'x':1}]");
    says(g, "bob", "[5,ID,2,'camera.lost',null,{'x':1}] [5,ID,3,'other.thing',null,1]");
    says(g, "alice", "[6,ID,['camera.>'],3,10,100000,0]");
    remark(g, "More than the ring holds: she is told how many fell out of it.");
    says(g, "bob", "[5,ID,4,'camera.image',null,<30000>]");
    says(g, "bob", "[5,ID,5,'camera.image',null,<30000>]");
    says(g, "bob", "[5,ID,6,'camera.image',null,<30000>]");
    says(g, "alice", "[6,ID,['camera.>'],5,10,100000,0]");
}

static void
from_last(struct golden *g)
{
    says(g, "bob", "[5,ID,1,'state.door',null,'open']");
    says(g, "bob", "[5,ID,2,'state.light',null,'on']");
    says(g, "bob", "[5,ID,3,'state.door',null,'shut']");
    remark(g, "The newest of each topic, and where to go on.");
    says(g, "alice", "[6,ID,['state.*'],'last',10,100000,0]");
    says(g, "alice", "[6,ID,['state.*'],6,10,100000,20000]");
    passes(g, 500);
    says(g, "bob", "[5,ID,4,'state.light',null,'off']");
}

static void
stop(struct golden *g)
{
    says(g, "echo/0", "[19,@]");
    calls(g, "alice", "1,0,'echo','echo',60000,null,{'who':'runs'}");
    calls(g, "bob", "1,0,'echo','echo',60000,null,{'who':'waits'}");
    stops(g);
    remark(g, "What runs may end; what waits, and what comes now, is refused.");
    calls(g, "bob", "2,0,'echo','echo',60000,null,{'who':'comes now'}");
    passes(g, 100);
    reports(g, "echo/0", "[#1,0,'done']");
    passes(g, 100);
    dies(g, "echo/0", 0);
}

const struct golden_story golden_stories[] = {
    {"plain-call", "A call, and one that fails.", 1, plain_call},
    {"death-before-begin", "A worker is lost before a call has begun: it runs later.", 1,
     death_before_begin},
    {"death-after-begin", "A worker dies with a call that may have begun.", 2, death_after_begin},
    {"repeat", "A caller repeats its call after a lost connection.", 1, repeat_after_reconnect},
    {"cancel", "Calls are cancelled while they wait and while they run.", 1, cancel},
    {"deadline", "Deadlines pass of a call that runs and of one that waits.", 1, deadline},
    {"full-queue", "A queue is full, and says so at once.", 1, full_queue},
    {"stream", "A method yields its result in pieces, and a connection is lost.", 1,
     streamed_result},
    {"slow-reader", "A caller does not fetch, so the worker waits.", 1, slow_reader},
    {"map-ordered", "Four calls in one, in order, one of which fails.", 2, map_ordered},
    {"broadcast", "A call of each replica.", 3, broadcast},
    {"key", "Calls with a key stay with their replica, and move only when it goes.", 2, key},
    {"lease", "A replica is leased, renewed, given back and lost.", 2, lease},
    {"background", "A call in the background outlives the presence of its caller.", 1, background},
    {"inner-call", "A call inside a call that could never begin.", 1, inner_call},
    {"shared", "Equal calls of a shared method are answered by one run.", 1, shared},
    {"poison", "Two replicas die with a call, and it is refused.", 2, poison},
    {"inventory", "A worker reconnects and says what it still holds.", 1, inventory},
    {"late-reader", "A reader of events comes late and is told what it lost.", 1, late_reader},
    {"from-last", "A reader begins with the newest event of each topic.", 1, from_last},
    {"stop", "The whole hub is stopped while there are calls.", 1, stop},
};
const unsigned golden_story_count = sizeof golden_stories / sizeof golden_stories[0];
