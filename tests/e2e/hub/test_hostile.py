"""Bad input from every side: a clear ERROR or a closed connection, bounded memory, and another client that is
served all the time."""
import contextlib
import glob
import os
import random
import resource
import struct

import msgpack

import kit
from kit import ERR, LIMIT, NO, OP

SEED = int(os.environ.get("PRONG_TEST_SEED", random.SystemRandom().randrange(1 << 32)))
MIB = 1 << 20
SANITIZED = 6 if kit.SLOW > 1 else 1       # shadow memory and what is quarantined after free
TCP = 'listen: ["tcp://127.0.0.1:0"]'


class Hostile(kit.Case):
    """A hub with a worker `echo`, and a steady client of it that must not notice anything."""

    def setUp(self):
        super().setUp()
        self.server = self.hub()
        self.random = random.Random(SEED)
        self.other = self.steady(self.server)
        self.other.more()
        self.broker = self.server.broker
        self.epoch = self.server.status()["hub"]["epoch"]
        self.peak = kit.peak_kib(self.broker)

    def still_well(self, mib):
        """The other client was served, it is the same broker, it has grown by at most so many MiB."""
        self.other.more()
        self.assertGreater(self.other.finish(self), 40)
        grown = (kit.peak_kib(self.broker) - self.peak) / 1024
        print(f"[{self.other.count} calls meanwhile, the slowest {self.other.slowest * 1000:.0f} ms; "
              f"the broker grew by {grown:.1f} of {mib * SANITIZED} MiB] ", end="", flush=True)
        self.assertLess(grown, mib * SANITIZED, f"seed {SEED}")
        status = self.server.status()
        self.assertEqual((status["hub"]["epoch"], status["hub"]["calls"]), (self.epoch, 1), f"seed {SEED}")
        self.assertEqual(status["workers"]["echo"]["replicas"][0]["restarts"], 0)

    def refused(self, peer, body, code, words=None):
        """The message is answered with one ERROR, and the connection goes on."""
        request = peer.send_body(body)
        answered, replies = peer.receive()
        self.assertEqual(answered, request)
        self.assertEqual(len(replies), 1, replies)
        self.assertEqual(replies[0][:4], [OP["ERROR"], 0, ERR[code], NO], (body[:64].hex(), replies))
        self.assertIsInstance(replies[0][4], str)
        if words:
            self.assertIn(words, replies[0][4])


@kit.with_nng
class Messages(Hostile):
    def test_every_refused_vector_is_refused_and_says_why(self):
        paths = sorted(glob.glob(os.path.join(kit.SOURCE, "proto", "vectors", "refused", "*.hex")))
        self.assertGreater(len(paths), 200)
        peer = self.server.peer()
        for path in paths:
            with self.subTest(os.path.basename(path)), open(path, encoding="utf-8") as file:
                lines = file.read().splitlines()
                error = next(line for line in lines if line.startswith("# error:"))[8:].split(None, 1)
                body = bytes.fromhex("".join(line for line in lines if not line.startswith("#")))
                self.refused(peer, body, *error)
        peer.ping()
        self.still_well(16)

    def test_a_wrong_type_in_each_field_of_each_operation_is_refused(self):
        peer = self.server.peer()
        count = 0
        for op in kit.CONSTANTS["ops"]:
            good = [good_value(f["type"]) for f in op["fields"]]
            for place, field in enumerate(op["fields"]):
                for value in wrong_values(field):
                    fields = list(good)
                    fields[place] = value
                    with self.subTest(op=op["name"], field=field["name"], value=value):
                        self.refused(peer, msgpack.packb([op["number"], *fields]), "INVALID_ARGUMENT")
                        count += 1
            for key in op.get("keys", []):
                for value in wrong_values(key):
                    fields = [{key["name"]: value} if f["type"] in ("MAP", "OPTIONS") else g
                              for f, g in zip(op["fields"], good)]
                    with self.subTest(op=op["name"], key=key["name"], value=value):
                        self.refused(peer, msgpack.packb([op["number"], *fields]), "INVALID_ARGUMENT")
                        count += 1
            for fields in (good[:-1], [*good, None]):
                self.refused(peer, msgpack.packb([op["number"], *fields]), "INVALID_ARGUMENT")
            if op["direction"] == "reply":
                self.refused(peer, msgpack.packb([op["number"], *good]), "UNIMPLEMENTED")
        for number in (0, 8, 15, 20, 64, 83, 255, 2**40):
            self.refused(peer, msgpack.packb([number, None]), "UNIMPLEMENTED")
        self.assertGreater(count, 400)
        peer.ping()
        self.still_well(16)

    def test_a_bad_record_undoes_the_whole_message(self):
        client = self.server.client()
        good = msgpack.packb(client.record("echo", "hold", seq=1))
        for bad in (b"\xc1", b"\x92", msgpack.packb([OP["CALL"]]), msgpack.packb({}), b"\xdd\xff\xff\xff\xff"):
            self.refused(client, good + bad, "INVALID_ARGUMENT")
            self.refused(client, bad + good, "INVALID_ARGUMENT")
        self.assertTrue(self.meet.is_empty(), "a call was begun")
        self.still_well(16)

    def test_random_bytes_are_answered_in_good_frames(self):
        peer = self.server.peer()
        for n in range(2000):
            body = self.random.randbytes(self.random.randrange(0, 200))
            if n % 2:
                body = bytes([0x90 | self.random.randrange(16), self.random.choice(list(OP.values()))]) + body
            request = peer.send_body(body)
            answered, answer = peer.receive_bytes()
            self.assertEqual(answered, request)
            self.assertIn(answer[1], (OP["ERROR"], OP["PONG"]), f"seed {SEED}: {body.hex()}")
        peer.ping()
        self.still_well(16)

    def test_mutated_requests_are_answered(self):
        """Good messages with a few bytes changed; what turns out good is carried out."""
        client = self.server.client()
        # To the hub itself: what is no text inside of arguments is passed on, and Python's msgpack refuses it.
        good = [[OP["CALL"], client.id, 1, 0, "hub", "describe", 100, None, {"worker": "echo"}],
                [OP["CALL"], client.id, 3, 0, "hub", "logs", 100, None, ["echo", 5]], [OP["WAIT"], client.id, 1, 0],
                [OP["CANCEL"], client.id, 1], [OP["EMIT"], client.id, 2, "a.b", None, {"x": [1, 2.5, None]}],
                [OP["FETCH"], client.id, ["a.*", ">"], "oldest", 10, 1000, 0], [OP["PING"], [1, b"2"]],
                [OP["HELLO"], {"proto": 1, "role": "client", "name": "x"}],
                [OP["ATTACH"], {"token": b"1.x", "worker": "echo", "attach": 1, "methods": {"m": {"policy": "once"}}}],
                [OP["POLL"], "echo/0", 1, 0, 1], [OP["REPORT"], "echo/0", 1, [[1, 0, None]]],
                [OP["CONTROL"], "echo/0", 1]]
        for n in range(3000):
            body = bytearray(b"".join(msgpack.packb(r) for r in self.random.sample(good, self.random.randrange(1, 4))))
            for _ in range(self.random.randrange(1, 4)):
                body[self.random.randrange(len(body))] = self.random.randrange(256)
            if n % 5 == 0:
                del body[self.random.randrange(len(body)):]
            request = client.send_body(bytes(body))
            # A payload comes back as it went, so not every answer is what msgpack for Python can read.
            answered, answer = client.receive_bytes()
            self.assertEqual(answered, request, f"seed {SEED}: {body.hex()}")
            self.assertGreater(len(answer), 1, f"seed {SEED}: {body.hex()}")
        self.still_well(16)

    def test_a_nest_of_a_mebibyte_is_passed_on_without_recursion(self):
        peer = self.server.peer()
        body = bytes([0x92, OP["PING"]]) + b"\x91" * MIB + b"\xc0"
        request = peer.send_body(body)
        self.assertTrue(peer.receive_bytes() == (request, bytes([0x92, OP["PONG"]]) + body[2:]))
        self.still_well(16)

    def test_what_is_larger_than_the_limit_is_refused_at_once_and_read_to_its_end(self):
        peer = self.server.peer()
        for size in (LIMIT["MESSAGE_BYTES"] + 1, LIMIT["MESSAGE_BYTES"] + 3 * MIB):
            request = next(peer.ids)
            peer.write(peer.framed + struct.pack(">QI", 4 + size, request))
            # The answer comes before the body does.
            answered, replies = peer.receive()
            self.assertEqual((answered, replies[0][:4]),
                             (request, [OP["ERROR"], 0, ERR["RESOURCE_EXHAUSTED"], NO]))
            self.assertIn(str(size), replies[0][4])
            rest = size
            while rest > 0:
                peer.write(b"\x90" * min(rest, MIB))
                rest -= MIB
            peer.ping()
        # Exactly at the limit it is taken.
        pad = b"x" * (LIMIT["MESSAGE_BYTES"] - len(msgpack.packb([OP["PING"], b"x" * MIB])) + MIB)
        self.assertEqual(len(msgpack.packb([OP["PING"], pad])), LIMIT["MESSAGE_BYTES"])
        self.assertEqual(peer.ask([OP["PING"], pad])[0][1], pad)
        self.still_well(112)


@kit.with_nng
class Frames(Hostile):
    def closes(self, data, greet=True):
        with kit.Peer(self.server.url, greet=greet) as peer:
            with contextlib.suppress(kit.Closed):
                peer.write(data)
            self.assertTrue(peer.is_closed(), data[:32].hex())

    def test_wrong_protocols_are_hung_up_on(self):
        for greeting in ("0053500000100000", "0053500000110000", "0053500000310000", "0053500000500000",
                         "0053500000210000", "0053500100300000", "0053500000300001", "0153500000300000",
                         "474554202f204854", "0000000000000000", "ffffffffffffffff", "1603010200010001"):
            with self.subTest(greeting):
                self.closes(bytes.fromhex(greeting), greet=False)
        self.still_well(16)

    def test_impossible_lengths_are_hung_up_on(self):
        for length in (2**62, 2**63, 2**64 - 1, LIMIT["MESSAGE_BYTES_HARD"] + 5, 2**32 + 8, 0, 1, 3):
            with self.subTest(length):
                self.closes(b"\1" + struct.pack(">QI", length, 0x80000001) + b"x" * 1000)
        for first in (0, 2, 0xff):
            with self.subTest(first=first):
                self.closes(bytes([first]) + struct.pack(">QI", 8, 0x80000001) + b"\x92\x07\xc0\xc0")
        self.still_well(16)

    def test_a_length_below_1_GiB_is_answered_and_may_be_left_unfinished(self):
        peers = []
        for length in (LIMIT["MESSAGE_BYTES"] + 5, 100 * MIB, LIMIT["MESSAGE_BYTES_HARD"]):
            for _ in range(20):
                peer = self.server.peer()
                peer.write(b"\1" + struct.pack(">QI", length, 0x80000009) + b"y" * 5000)
                answered, replies = peer.receive()
                self.assertEqual((answered, replies[0][2]), (0x80000009, ERR["RESOURCE_EXHAUSTED"]))
                peers.append(peer)
        self.other.more()
        for peer in peers:
            peer.close()
        self.still_well(16)

    def test_a_request_without_an_id_is_hung_up_on(self):
        self.closes(b"\1" + struct.pack(">Q", 4) + b"\x00\x00\x00\x01")
        self.closes(b"\1" + struct.pack(">Q", 400) + b"\x00\x00\x00\x01" * 100)
        self.still_well(16)

    def test_words_that_devices_put_before_the_id_come_back(self):
        peer = self.server.peer()
        stack = bytes.fromhex("00000007 7fffffff 80000123".replace(" ", ""))
        peer.write(b"\1" + struct.pack(">Q", len(stack) + 3) + stack + msgpack.packb([OP["PING"], 5]))
        self.assertEqual(peer.read(8 + 9 + len(stack) + 3),
                         kit.HUB_GREETING + b"\1" + struct.pack(">Q", len(stack) + 3) + stack
                         + msgpack.packb([OP["PONG"], 5]))
        self.still_well(16)

    def test_byte_by_byte_and_all_at_once(self):
        peer = self.server.peer(greet=False)
        one = peer.frame(msgpack.packb([OP["PING"], 1]), 0x80000001)
        for byte in kit.GREETING + one:
            peer.write(bytes([byte]))
        self.assertEqual(peer.receive(), (0x80000001, [[OP["PONG"], 1]]))
        # Bad and good ones in one write: each good one is answered.
        many = b"".join(peer.frame(msgpack.packb([OP["PING"], n]) if n % 3 else b"\xc1\xc1", 0x80000000 + n)
                        for n in range(200))
        peer.write(many)
        for n in range(200):
            answered, replies = peer.receive()
            self.assertEqual((answered - 0x80000000, replies[0][0]), (n, OP["PONG"] if n % 3 else OP["ERROR"]))
        self.still_well(16)

    def test_frames_that_are_cut_off_end_nothing_but_themselves(self):
        client = self.server.client()
        call = client.frame(msgpack.packb([OP["CALL"], None, 1, 0, "echo", "echo", 5000, None, {"a": "b" * 50}]),
                            0x80000001)
        whole = kit.GREETING + call
        for end in range(len(whole)):
            with kit.Peer(self.server.url, greet=False) as peer:
                peer.write(whole[:end])
        for end in range(0, len(whole), 7):          # with a whole one before
            with kit.Peer(self.server.url) as peer:
                peer.write(client.frame(msgpack.packb([OP["PING"], 1]), 0x80000001) + whole[8:end])
                self.assertEqual(peer.receive()[1], [[OP["PONG"], 1]])
        self.still_well(16)

    def test_random_bytes_instead_of_frames(self):
        for n in range(300):
            with kit.Peer(self.server.url, greet=n % 2 == 0) as peer, contextlib.suppress(kit.Closed):
                peer.write(self.random.randbytes(self.random.randrange(1, 3000)))
        self.still_well(16)


@kit.with_nng
class Hogs(Hostile):
    def allow_many_descriptors(self):
        """Room for many connections in this process."""
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        if hard < 4096:
            self.skipTest(f"only {hard} descriptors are allowed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))

    def test_half_sent_headers_and_bodies_may_be_held_open(self):
        peers = []
        frame = b"\1" + struct.pack(">QI", LIMIT["MESSAGE_BYTES"] - 100, 0x80000001)
        for n in range(300):
            peer = self.server.peer(greet=False)
            peer.write((kit.GREETING[:n % 8], kit.GREETING + frame[:n % 13],
                        kit.GREETING + frame + b"x" * 60_000)[n % 3])
            peers.append(peer)
        self.other.more(100)
        self.assertEqual(self.server.client().call("echo", "echo", n=1), {"n": 1})
        # Room that is promised costs nothing: what was sent, twice over for growing buffers.
        for peer in peers:
            peer.close()
        self.still_well(48)

    def test_who_reads_nothing_is_closed_and_others_go_on(self):
        """Answers that nobody reads are kept up to a bound, then their connection ends."""
        peer = self.server.peer()
        body = msgpack.packb([OP["PING"], b"p" * (MIB - 100)])
        with self.assertRaises(kit.Closed):
            for n in range(300):
                peer.send_body(body)
            # A broken pipe may be told only after what fitted into the kernel.
            self.assertTrue(peer.is_closed())
            raise kit.Closed
        self.still_well(3 * LIMIT["OUT_BYTES_MAX"] // MIB)

    def test_connections_above_the_bound_are_refused_and_room_comes_back(self):
        self.allow_many_descriptors()
        # The spare ones are opened as any, and serve who is a worker or administers.
        count = LIMIT["PEERS_MAX"] + LIMIT["PEERS_SPARE"] + 100
        open_peers, closed = [], 0
        for _ in range(count):
            peer = None
            with contextlib.suppress(kit.Closed, OSError):
                peer = kit.Peer(self.server.url)
                self.addCleanup(peer.close)
                peer.ping()
                open_peers.append(peer)
                continue
            closed += 1
        self.assertGreaterEqual(closed, 90)
        self.assertGreater(len(open_peers), 900)
        self.other.more()
        for peer in open_peers:
            peer.close()
        kit.until(lambda: self.connections() <= 3, "the closed connections go")
        self.still_well(64)

    def connections(self):
        """Who asks is one of them, and may be one too many as long as the others are there."""
        with contextlib.suppress(kit.Closed, OSError):
            return self.server.status()["hub"]["connections"]
        return LIMIT["PEERS_MAX"]

    def test_silent_connections_make_room_for_those_who_speak(self):
        """Who connects and says nothing cannot lock others out."""
        self.allow_many_descriptors()
        silent = [self.server.peer(greet=False) for _ in range(LIMIT["PEERS_MAX"] + 50)]
        self.assertEqual(self.server.client().call("echo", "echo", n=1), {"n": 1})
        for peer in silent:
            peer.close()
        self.still_well(64)

    def test_requests_that_wait_are_bounded(self):
        peer = self.server.peer()
        for n in range(LIMIT["PARKED_MAX"] + 50):
            peer.send([OP["FETCH"], None, ["no.thing"], "new", 1, 1, 25000])
        refused = [peer.receive()[1][0] for _ in range(50)]
        self.assertEqual({(r[0], r[2]) for r in refused}, {(OP["ERROR"], ERR["RESOURCE_EXHAUSTED"])})
        peer.close()
        self.still_well(16)

    def test_calls_of_one_client_are_bounded(self):
        client = self.server.client()
        holder = self.server.client()
        seq = holder.begin("echo", "hold")
        met = self.meet.next("hold")
        records = [client.record("echo", "echo", {"n": n}, ttl_ms=20000) for n in range(LIMIT["WINDOW"] + 20)]
        client.send(*records[:200])
        client.send(*records[200:])
        full = [r for r in client.receive()[1] if r[0] == OP["ERROR"]]
        self.assertEqual({r[2] for r in full}, {ERR["RESOURCE_EXHAUSTED"]})
        self.assertEqual(len(full), 20)
        met.go()
        self.assertIs(holder.end(seq), True)
        client.close()
        kit.until(lambda: self.server.status()["hub"]["calls"] <= 2, "the calls end")
        self.still_well(16)

    def test_bytes_of_arguments_are_bounded(self):
        """More bytes than the hub may hold are refused at once, and the small calls of others are not."""
        if self.engine == "nng":
            self.skipTest("the core is the same")
        holder = self.server.client()
        seq = holder.begin("echo", "hold", ttl_ms=60000 * kit.SLOW)
        met = self.meet.next("hold")
        self.other.stopping.set()                       # its calls would wait for the one that is held
        clients, refused = [], 0
        blob = b"b" * (LIMIT["MESSAGE_BYTES"] - 1000)
        for _ in range(LIMIT["PAYLOAD_BYTES_MAX"] // len(blob) + 4):
            client = self.server.client()
            client.send([OP["CALL"], client.id, 1, 0, "echo", "big", 60000, None, {"size": 1, "pad": blob}])
            client.send([OP["PING"], 1])
            while True:
                replies = client.receive()[1]
                if replies[0][0] == OP["ERROR"]:
                    self.assertEqual((replies[0][2], replies[0][3]), (ERR["RESOURCE_EXHAUSTED"], NO))
                    refused += 1
                elif replies[0][0] == OP["PONG"]:
                    break
            clients.append(client)
        self.assertGreater(refused, 0)
        self.assertGreater(len(clients) - refused, 5)
        self.assertGreater(self.server.status()["hub"]["calls"], 5)      # which is a call itself
        for client in clients:
            client.close()
        met.go()
        self.assertIs(holder.end(seq), True)
        grown = (kit.peak_kib(self.broker) - self.peak) / 1024
        self.assertLess(grown, 2.5 * LIMIT["PAYLOAD_BYTES_MAX"] / MIB * SANITIZED)


class Network(Hostile):
    """What comes over tcp before a token."""

    def setUp(self):
        kit.Case.setUp(self)
        self.server = self.hub(hub=TCP)
        self.url = self.server.network_url()
        self.random = random.Random(SEED)
        self.other = self.steady(self.server)
        self.other.more()
        self.broker = self.server.broker
        self.epoch = self.server.status()["hub"]["epoch"]
        self.peak = kit.peak_kib(self.broker)

    def test_nothing_but_hello_and_ping_is_answered_without_a_token(self):
        with kit.Peer(self.url) as peer:
            peer.ping()
            for op in kit.CONSTANTS["ops"]:
                if op["direction"] == "request" and op["name"] not in ("HELLO", "PING"):
                    good = [good_value(f["type"]) for f in op["fields"]]
                    replies = peer.ask([op["number"], *good])
                    self.assertEqual([r[:4:2] for r in replies], [[OP["ERROR"], ERR["UNAUTHENTICATED"]]], op["name"])
            self.assertEqual(peer.ask([OP["HELLO"], {}])[0][2], ERR["UNAUTHENTICATED"])
        self.still_well(16)

    def test_random_bytes_and_impossible_lengths_are_closed(self):
        for length in (2**62, 2**64 - 1, LIMIT["MESSAGE_BYTES_HARD"] + 5, 0, 3):
            with kit.Peer(self.url) as peer:
                with contextlib.suppress(kit.Closed):
                    peer.write(struct.pack(">QI", length, 0x80000001) + b"x" * 1000)
                self.assertTrue(peer.is_closed(), length)
        for n in range(200):
            with kit.Peer(self.url, greet=n % 2 == 0) as peer, contextlib.suppress(kit.Closed):
                peer.write(self.random.randbytes(self.random.randrange(1, 3000)))
        self.still_well(32)

    def test_half_sent_headers_may_be_held_open(self):
        peers = []
        frame = struct.pack(">QI", LIMIT["MESSAGE_BYTES"] - 100, 0x80000001)
        for n in range(200):
            peer = kit.Peer(self.url, greet=False)
            self.addCleanup(peer.close)
            peer.write((kit.GREETING[:n % 8], kit.GREETING + frame[:n % 12],
                        kit.GREETING + frame + b"x" * 60_000)[n % 3])
            peers.append(peer)
        self.other.more(100)
        with kit.Client(self.url, hello=self.server.token()) as client:
            self.assertEqual(client.call("echo", "echo", n=1), {"n": 1})
        self.still_well(96)


# ---- values by type -----------------------------------------------------------------------------------------

GOOD = {"UINT": 1, "CLIENT": bytes(range(16)), "TARGET": "echo/0", "TARGETS": "echo/0",
        "NAME": "echo", "METHOD": "echo", "TOPIC": "a.b",
        "FILTERS": ["a.*"], "FROM": "new", "TEXT": "stop", "BYTES": b"x", "BOOL": True, "MAP": {}, "TABLE": {},
        "OPTIONS": None, "PAYLOAD": None, "ARGS": {}, "LIST": [], "CALLS": [1], "SEQ_OR_CALLS": 1, "METHODS": {},
        "REPORT_ITEMS": [], "WORK_ITEMS": [], "EVENT_ITEMS": []}
# One value of each msgpack type, and which field types may be of that type.
SAMPLES = [(None, {"CLIENT", "OPTIONS"}), (True, {"BOOL"}), (7, {"UINT", "FROM", "SEQ_OR_CALLS"}), (-1, set()),
           (1.0, set()), (2**53, set()), (2**64 - 1, set()),
           ("no name!", {"TEXT", "BYTES"}),
           (b"\xff" * 15, {"BYTES"}), ([None], {"LIST", "ARGS"}), ({1: 2}, set()),
           (msgpack.ExtType(5, b"x"), set()), ([[[]]], {"LIST", "ARGS"})]


def good_value(type_name):
    return GOOD[type_name]


def wrong_values(field):
    return [] if field["type"] == "PAYLOAD" else [v for v, fits in SAMPLES if field["type"] not in fits]


if __name__ == "__main__":
    kit.main()
