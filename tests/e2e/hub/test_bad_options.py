"""Wrong values in every option of a call, in the arguments of the hub's own methods, and in what a worker says: each
is refused with a text that names it and says what is allowed, and good calls beside it are not hurt."""
import msgpack

import kit
from kit import ERR, LIMIT, NO, OP, YES

WORKERS = """echo: {command: %s, replicas: 2}
other: {command: [sleep, "1000"], autostart: false}""" % kit.worker_command()
KINDS = {"nil": None, "a boolean": True, "an integer": 7, "a negative integer": -1, "a float": 1.5, "a text": "x",
         "bytes": b"x", "an array": [], "a map": {}, "an extension": msgpack.ExtType(5, b"x")}
# What an option may be: the words about it, and the kinds that fit.
OPTIONS = {"progress": ("true or false", ["a boolean"]), "background": ("true or false", ["a boolean"]),
           "policy": ("a UTF-8 text", ["a text"]), "map": ("a UTF-8 text", ["a text"]),
           "key": ("bytes (bin or str)", ["a text", "bytes"]), "priority": ("an integer", ["an integer"]),
           "parent": ("an integer", ["an integer"])}
ONE_SET = "a call of each replica takes one set of arguments: leave out the option map"
NO_ID = "a call with outcomes in parts or in the background needs a client id"
CHOOSES = "the option key chooses a replica: name the worker alone"
ALONE = "the hub itself has no replicas: name it hub"
# (options, arguments, worker, text)
VALUES = [
    ({"policy": "twice"}, {}, "echo", "the option policy must be once, idempotent or shared"),
    ({"policy": ""}, {}, "echo", "the option policy must be once, idempotent or shared"),
    ({"policy": "x" * 17}, {}, "echo", "CALL policy: must have 0 to 16 bytes, got 17"),
    ({"map": "Ordered"}, [], "echo", "the option map must be ordered or completed"),
    ({"map": "ordered"}, {}, "echo", "with the option map the arguments must be an array of argument sets"),
    ({"map": "completed"}, [{}, 5], "echo",
     "with the option map each element of the arguments must be a map or an array"),
    ({"map": "completed"}, [[]] * (LIMIT["PARTS_MAX"] + 1), "echo",
     "with the option map there may be at most 65536 argument sets"),
    ({"map": "ordered"}, [[]], "echo/*", ONE_SET),
    ({"map": "ordered"}, [[]], "hub", "methods of the hub itself are called without the option map"),
    ({"background": True}, {}, "hub", "methods of the hub itself are called without the option background"),
    (None, {}, "hub/*", ALONE),
    (None, {}, "hub/0", ALONE),
    ({"key": "k" * 129}, {}, "echo", "CALL key: must have at most 128 bytes, got 129"),
    ({"key": "k"}, {}, "echo/0", CHOOSES),
    ({"key": "k"}, {}, "echo/*", CHOOSES),
    ({"priority": 0}, {}, "echo", "CALL priority: must be from 1 to 9, got 0"),
    ({"priority": 10}, {}, "echo", "CALL priority: must be from 1 to 9, got 10"),
    ({"parent": 0}, {}, "echo", "CALL parent: must be from 1 to 9007199254740991, got 0"),
]
# (method, arguments, code, text): the methods of the hub that are new to calls
ADMIN = [
    ("lease", {}, "INVALID_ARGUMENT",
     "missing argument 'worker'; allowed: worker (a text, needed) ttl_ms (a whole number)"),
    ("lease", {"worker": 5}, "INVALID_ARGUMENT",
     "wrong type of argument 'worker'; allowed: worker (a text, needed) ttl_ms (a whole number)"),
    ("lease", {"worker": "echo", "ttl": 5}, "INVALID_ARGUMENT",
     "there is no argument 'ttl'; allowed: worker (a text, needed) ttl_ms (a whole number)"),
    ("lease", ["echo", 5, 5], "INVALID_ARGUMENT",
     "too many arguments; allowed: worker (a text, needed) ttl_ms (a whole number)"),
    ("lease", {"worker": "echo", "ttl_ms": 0}, "INVALID_ARGUMENT", "ttl_ms must be from 1 to 3600000"),
    ("lease", {"worker": "echo", "ttl_ms": 3600001}, "INVALID_ARGUMENT", "ttl_ms must be from 1 to 3600000"),
    ("lease", {"worker": "ehco"}, "NOT_FOUND", "there is no worker 'ehco'"),
    ("lease", {"worker": "echo/2"}, "NOT_FOUND", "there is no replica 'echo/2'"),
    ("lease", {"worker": "hub"}, "NOT_FOUND", "there is no worker 'hub' beside the hub itself"),
    ("lease", {"worker": "other"}, "UNAVAILABLE",
     "no replica runs and none will start by itself (see prong status)"),
    ("renew", {"replica": "echo"}, "INVALID_ARGUMENT", "name a replica: worker/number"),
    ("renew", {"replica": "echo/0"}, "FAILED_PRECONDITION", "this client does not hold this replica"),
    ("release", {"replica": "echo/0"}, "FAILED_PRECONDITION", "this client does not hold this replica"),
    ("dlq_list", {"n": 1}, "INVALID_ARGUMENT", "there is no argument 'n'; allowed: none"),
    ("dlq_show", {}, "INVALID_ARGUMENT", "missing argument 'letter'; allowed: letter (a whole number, needed)"),
    ("dlq_retry", {"letter": "1"}, "INVALID_ARGUMENT",
     "wrong type of argument 'letter'; allowed: letter (a whole number, needed)"),
    ("dlq_drop", {"letter": 7}, "NOT_FOUND", "there is no such letter"),
]
ITEMS = "the worker reported items that are not [number of the first, [items]], or left some out"
FAILURE = "the worker reported an error that is not [code, began, message, details]"


class Bad(kit.Case):
    def setUp(self):
        super().setUp()
        self.server = self.hub(WORKERS)
        self.other = self.steady(self.server)
        self.other.more()

    def still_well(self):
        self.other.more()
        self.other.finish(self)
        kit.until(lambda: self.server.status()["hub"]["calls"] == 1, "nothing is left but this call")

    def refused(self, peer, record, code, text, seq=None):
        (reply,) = peer.ask(record)
        self.assertEqual(reply[:2] + reply[3:5], [OP["ERROR"], reply[1], NO, text], record)
        self.assertEqual(kit.ERR_NAME[reply[2]], code)
        self.assertIn(reply[1], (0, record[2]) if seq is None else (seq,))

    def test_an_option_of_another_type_is_refused_and_says_which_is_allowed(self):
        client = self.server.client()
        for name, (allowed, fits) in OPTIONS.items():
            for kind, value in KINDS.items():
                if kind not in fits:
                    with self.subTest(option=name, kind=kind):
                        self.refused(client, client.record("echo", "echo", options={name: value}), "INVALID_ARGUMENT",
                                     f"CALL {name}: must be {allowed}, got {kind}", seq=0)
        self.still_well()

    def test_a_value_that_is_not_allowed_is_refused_and_says_what_is(self):
        client = self.server.client()
        for options, args, worker, text in VALUES:
            with self.subTest(options=options, worker=worker):
                self.refused(client, client.record(worker, "echo" if worker[:3] != "hub" else "status", args,
                                                   options=options), "INVALID_ARGUMENT", text)
        self.still_well()

    def test_a_parent_that_does_not_run_ends_its_call_at_once(self):
        client = self.server.client()
        for options in ({"parent": 99}, {"parent": 2**53 - 1, "background": True}):
            self.refused(client, client.record("echo", "echo", options=options), "CANCELLED",
                         "the call that the option parent names does not run (any more)")
        self.still_well()

    def test_who_gives_no_client_id_gets_one_outcome_or_a_reason(self):
        peer = self.server.peer()
        for options, worker, args in (({"map": "ordered"}, "echo", [{}]), ({"background": True}, "echo", {}),
                                      (None, "echo/*", {})):
            self.refused(peer, [OP["CALL"], None, 1, 0, worker, "echo", 0, options, args], "INVALID_ARGUMENT", NO_ID)
        self.refused(peer, [OP["CALL"], None, 1, 0, "hub", "lease", 0, None, {"worker": "echo"}], "INVALID_ARGUMENT",
                     "a lease needs a client id")
        self.refused(peer, [OP["WAIT"], None, 1, 0], "INVALID_ARGUMENT", "WAIT needs the client id of the call")
        self.still_well()

    def test_options_that_are_not_known_or_that_change_nothing_are_no_fault(self):
        client = self.server.client()
        for options in ({}, {"unknown": 5}, {"x" * 5000: [1]}, {"key": b""}, {"key": "k" * 128}, {"priority": 1},
                        {"priority": 9}, {"policy": "shared"}, {"progress": False}, {"background": False}):
            with self.subTest(options=options):
                self.assertEqual(client.end(client.begin("echo", "echo", {"n": 1}, options=options)), {"n": 1})
        self.still_well()

    def test_wrong_arguments_of_the_hubs_methods_say_which_there_are(self):
        client = self.server.client()
        for method, args, code, text in ADMIN:
            with self.subTest(method=method, args=args):
                self.refused(client, client.record("hub", method, args), code, text)
        self.still_well()


class Limits(kit.Case):
    def test_what_can_never_come_in_is_not_to_be_tried_again_and_small_calls_go_on(self):
        server = self.hub(hub="client_bytes: 64KiB\npayload_max: 1MiB")
        other = self.steady(server)
        client = server.client()
        for size, text in ((100000, "the arguments are more than the hub may hold of one client (hub: client_bytes)"),
                           (1100000, "the arguments are more than the hub may hold (hub: payload_max)")):
            failure = self.fails("RESOURCE_EXHAUSTED", NO, lambda: client.call("echo", "echo", x="x" * size))
            self.assertEqual((failure.message, failure.details), (text, None))
            self.assertEqual(client.call("echo", "echo", n=1), {"n": 1})
        other.more()
        other.finish(self)
        (reply,) = client.ask([OP["FETCH"], None, ["hub.limit"], "oldest", 10, 100000, 0])
        self.assertEqual([item[4]["limit"] for item in reply[4]], ["client_bytes", "payload_max"])

    def later(self, client, text):
        (reply,) = client.ask(client.record("echo", "echo"))
        self.assertEqual(reply[2:5], [ERR["RESOURCE_EXHAUSTED"], NO, text])
        self.assertGreaterEqual(reply[5]["retry_after_ms"], 1)

    def test_what_may_come_in_later_says_when(self):
        server = self.hub("echo: {command: %s, queue_size: 1}" % kit.worker_command(), hub="client_calls: 3")
        client, other = server.client(), server.client()
        client.begin("echo", "hold")
        met = self.meet.next("hold")
        client.begin("echo", "echo")
        client.ask([OP["PING"], None])               # so it has come in
        self.later(other, "too many calls wait for this worker (queue_size)")
        client.begin("hub", "lease", {"worker": "echo"})
        client.ask([OP["PING"], None])
        self.later(client, "too many calls of this client have no outcome (hub: client_calls)")
        met.go()


class Workers(kit.Case):
    """The test is the worker: it takes the token of a process that says nothing itself."""

    def setUp(self):
        super().setUp()
        self.server = self.hub('echo: {command: %s}\nmute: {command: [sleep, "1000"]}' % kit.worker_command(),
                               ready=False)
        self.server.wait_listening()
        self.token = kit.until(self.find_token, "the process that says nothing")
        self.worker = self.server.peer()
        self.other = self.steady(self.server)

    def find_token(self):
        pid = self.server.replicas("mute")[0]["pid"]
        if pid == 0:
            return None
        with open(f"/proc/{pid}/environ", "rb") as file:
            return next((v[12:] for v in file.read().split(b"\0") if v.startswith(b"PRONG_TOKEN=")), None)

    def attach(self, **about):
        about = {"token": self.token, "methods": {"m": {"policy": "idempotent"}}, **about}
        return self.worker.ask([OP["ATTACH"], about])[0]

    def test_a_wrong_attach_says_what_is_allowed_and_a_good_one_works_afterwards(self):
        for about, code, text in (
                ({"methods": {"m": {"policy": "idempotant"}}}, "INVALID_ARGUMENT",
                 "METHODS policy: must be once, idempotent or shared"),
                ({"methods": {"m": {"policy": 5}}}, "INVALID_ARGUMENT",
                 "METHODS policy: must be a UTF-8 text, got an integer"),
                ({"methods": {"m": 5}}, "INVALID_ARGUMENT",
                 "ATTACH methods: must map each method to a map about it (policy, help)"),
                ({"methods": {"a b": {}}}, "INVALID_ARGUMENT",
                 "ATTACH methods: keys must be a method name of A-Z a-z 0-9 _ (1 to 64)"),
                ({"capacity": 0}, "INVALID_ARGUMENT", "ATTACH capacity: must be from 1 to 1024, got 0"),
                ({"capacity": 1025}, "INVALID_ARGUMENT", "ATTACH capacity: must be from 1 to 1024, got 1025"),
                ({"running": [1, "x"]}, "INVALID_ARGUMENT", "ATTACH running: must be a list of call numbers"),
                ({"token": self.token[:-1]}, "PERMISSION_DENIED",
                 "ATTACH needs the token that the hub put into PRONG_TOKEN of the process it started")):
            with self.subTest(about=about):
                reply = self.attach(**about)
                self.assertEqual((kit.ERR_NAME[reply[2]], reply[4]), (code, text))
        self.assertEqual(self.attach()[1]["replica"], "mute/0")
        self.other.more()
        self.other.finish(self)

    def test_a_wrong_report_ends_its_call_with_a_reason_and_the_worker_goes_on(self):
        me = ["mute/0", self.attach()[1]["session"]]
        client, taken = self.server.client(), 0
        (reply,) = self.worker.ask([OP["POLL"], *me, 99, 1])
        self.assertEqual(reply[4], "POLL taken: must be the number of a WORK of this session, from 0 to 0, got 99")
        bad = [(2, payload, ITEMS) for payload in (None, 5, [], [0], ["x", []], [5, [1]], [0, 5], [0, [1], 2])]
        bad += [(1, payload, FAILURE) for payload in (None, [], [99, 2, "x", None], [0, 2, "x", None],
                                                      [2, 9, "x", None], [2, 2, 5, None], [2, 2, "x"])]
        for kind, payload, text in bad:
            with self.subTest(kind=kind, payload=payload):
                seq = client.begin("mute", "m")
                work = next(r for r in self.worker.ask([OP["POLL"], *me, taken, 1]) if r[0] == OP["WORK"])
                taken, call = work[1], work[2][0][0]
                for wrong in (5, [5], [[call]], [[call, 9, None]], [[0, 0, None]], [["x", 0, None]]):
                    self.assertEqual(self.worker.ask([OP["REPORT"], *me, wrong])[0][2], ERR["INVALID_ARGUMENT"])
                self.worker.ask([OP["REPORT"], *me, [[call, kind, payload]]])
                failure = self.fails("INTERNAL", YES, lambda: client.end(seq))
                self.assertEqual(failure.message, text)
                if kind == 2:
                    self.worker.ask([OP["REPORT"], *me, [[call, 0, None]]])    # now it is free again
        self.other.more()
        self.other.finish(self)


if __name__ == "__main__":
    kit.main()
