"""The good vectors: every operation with its edges."""
import struct

from msgpack_plain import Ext, Form, has_form, pack, shown

ID = bytes(range(16))
MAX = 2**53 - 1
FULL = "n" * 64
TOPIC = ".".join(["t" * 31] * 4) + "x"      # 128 bytes
UNICODE = "Gr\u00fc\u00dfe \u65e5\u672c \U0001f426"


def u8(v):
    return Form(v, struct.pack(">BB", 0xcc, v))


def u16(v):
    return Form(v, struct.pack(">BH", 0xcd, v))


def u32(v):
    return Form(v, struct.pack(">BI", 0xce, v))


def u64(v):
    return Form(v, struct.pack(">BQ", 0xcf, v))


def i8(v):
    return Form(v, struct.pack(">Bb", 0xd0, v))


def i32(v):
    return Form(v, struct.pack(">Bi", 0xd2, v))


def i64(v):
    return Form(v, struct.pack(">Bq", 0xd3, v))


def str32(v):
    return Form(v, struct.pack(">BI", 0xdb, len(v)) + v.encode())


def array32(v):
    return Form(v, struct.pack(">BI", 0xdd, len(v)) + b"".join(map(pack, v)))


def map32(v):
    return Form(v, struct.pack(">BI", 0xdf, len(v)) + b"".join(pack(k) + pack(x) for k, x in v.items()))


def nested(depth):
    v = []
    for _ in range(depth - 1):
        v = [v]
    return v


def client_ops():
    yield "hello, nothing said", [1, {}]
    yield "hello, everything said", [1, {"proto": 1, "role": "client", "name": "ui", "token": b"\0" * 32}]
    yield "hello, unicode name", [1, {"name": UNICODE}]
    yield "hello, longest name and role", [1, {"role": "r" * 64, "name": "n" * 64}]
    yield "hello, longest token, as text", [1, {"token": "k" * 256}]
    yield "hello, unknown keys of any kind", [1, {"later": [1, {"x": None}], "": b"", "name": "a"}]
    yield "call, no client id", [2, None, 1, 0, "detector", "detect", 5000, None, {"path": "a.jpg"}]
    yield "call, client id", [2, ID, 7, 6, "detector", "detect", 0, None, {}]
    yield "call, largest numbers", [2, ID, MAX, MAX, "detector", "detect", 3600000, {}, []]
    yield "call, one replica", [2, ID, 1, 0, "detector/0", "detect", 1, None, [1, "two", None]]
    yield "call, largest replica", [2, ID, 1, 0, "a-b_9/999", "x", 1, None, []]
    yield "call, longest names", [2, ID, 1, 0, FULL, "M" * 64, 1, None, []]
    yield "call, progress wanted", [2, ID, 1, 0, "d", "m", 1, {"progress": True}, {}]
    yield "call, unknown options", [2, ID, 1, 0, "d", "m", 1, {"later": "left", "x": [{}]}, {}]
    yield "call, each replica", [2, ID, 1, 0, "detector/*", "x", 1, None, []]
    yield "call, everything asked", [2, ID, 1, 0, "d", "m", 1, {
        "progress": False, "policy": "idempotent", "key": b"\0" * 128, "priority": 9, "parent": MAX,
        "background": True, "map": "completed"}, [{}, [1], {}]]
    yield "call, a key as text", [2, ID, 1, 0, "d", "m", 1, {"key": UNICODE, "priority": 1}, {}]
    yield "call, unicode arguments", [2, ID, 1, 0, "d", "m", 1, None, {UNICODE: UNICODE}]
    yield "call, 16 arguments", [2, ID, 1, 0, "d", "m", 1, None, {f"a{i}": i for i in range(16)}]
    yield "call, all ints in 64 bits", [u64(2), ID, u64(1), u64(0), "d", "m", u64(5000), None, []]
    yield "call, all ints in 32 bits", [u32(2), ID, u32(1), u32(0), "d", "m", u32(5000), None, []]
    yield "call, ints in short long forms", [u8(2), ID, u16(1), u8(0), "d", "m", u16(9), None, []]
    yield "call, ints in signed forms", [i8(2), ID, i64(MAX), i32(0), "d", "m", i32(9), None, []]
    yield "call, long forms of lists and texts", array32(
        [2, ID, 1, 0, str32("d"), str32("m"), 1, map32({}), map32({"a": array32([])})])
    yield "wait, smallest", [3, ID, 1, 0]
    yield "wait, largest", [3, ID, MAX, MAX]
    yield "wait, no client id", [3, None, 1, 0]
    yield "cancel", [4, ID, 1]
    yield "cancel, largest, no client id", [4, None, MAX]
    yield from event_ops()


def event_ops():
    yield "emit, nothing", [5, None, 1, "a", None, None]
    yield "emit, longest topic", [5, ID, MAX, TOPIC, {}, {"x": 1}]
    yield "emit, options", [5, ID, 1, "a.B-c_9", {"later": 1}, True]
    for name, value in payloads():
        yield "emit, " + name, [5, ID, 1, "camera.frame", None, value]
    yield "fetch, from a number", [6, ID, ["camera.*"], 0, 1, 1, 0]
    yield "fetch, largest numbers", [6, ID, [">"], MAX, 65536, MAX, MAX]
    yield "fetch, new", [6, None, ["*"], "new", 100, 1048576, 25000]
    yield "fetch, oldest", [6, ID, ["a.*.b", "*.>", "a"], "oldest", 1, 1, 0]
    yield "fetch, last", [6, ID, [TOPIC], "last", 1, 1, 0]
    yield "fetch, 32 filters", [6, ID, [f"a.b{i}" for i in range(32)], u64(5), 1, 1, 0]
    yield "ping, nil", [7, None]
    yield "ping, a payload", [7, {"a": [1, 2.5, b"\xff"]}]
    yield "ping, 32 levels", [7, nested(32)]


def payloads():
    """Every kind of msgpack object."""
    yield "true", True
    yield "false", False
    yield "smallest integer", -2**63
    yield "largest integer", 2**64 - 1
    yield "first integer that is not exact in a double", 2**53 + 1
    yield "-1", -1
    yield "-33", -33
    yield "-129", -129
    yield "-32769", -32769
    yield "a double", 0.1
    yield "a whole double", 1.0
    yield "infinity", float("inf")
    yield "a float of 32 bits", Form(0.5, struct.pack(">Bf", 0xca, 0.5))
    yield "31 bytes of text", "x" * 31
    yield "32 bytes of text", "x" * 32
    yield "256 bytes of text", "x" * 256
    yield "no bytes", b""
    yield "256 bytes", b"\xa5" * 256
    yield "a timestamp", Ext(-1, struct.pack(">I", 1700000000))
    yield "an extension of 3 bytes", Ext(1, b"abc")
    yield "an extension of 16 bytes", Ext(127, b"e" * 16)
    yield "an extension of no bytes", Ext(0, b"")

    yield "16 elements", list(range(16))
    yield "a map in a map", {"a": {"b": {"c": [{}]}}}


def worker_ops():
    about = {"once": {}, "twice": {"policy": "idempotent", "help": UNICODE, "later": 1},
             "same": {"policy": "shared"}}
    yield "attach, nothing said", [16, {}]
    yield "attach, everything said", [16, {
        "token": b"0123456789abcdef" * 2, "worker": "detector", "pid": 4711, "attach": 1,
        "methods": about, "capacity": 1024, "running": [1, MAX], "done": [2], "proto": 1}]
    yield "attach, empty lists", [16, {"methods": {}, "running": [], "done": [], "capacity": 1}]
    yield "attach, 256 methods", [16, {"methods": {f"m{i}": {} for i in range(256)}}]
    yield "attach, unknown keys", [16, {"later": {"x": 1}, "pid": u32(1)}]
    yield "poll, smallest", [17, "detector/0", 0, 0, 0]
    yield "poll, largest", [17, "detector/255", MAX, MAX, 1024]
    yield "report, nothing", [18, "detector/0", 1, []]
    yield "report, a result", [18, "detector/0", 1, [[1, 0, {"found": 3}]]]
    yield "report, an error", [18, "detector/0", 1, [[1, 1, [2, 2, UNICODE, {"type": "ValueError"}]]]]
    yield "report, every kind", [18, "detector/0", MAX, [
        [1, 3, [0.5, "half"]], [1, 2, [1, 2]], [1, 0, None], [MAX, 1, [10, 1, "", None]]]]
    yield "report, 16 items", [18, "detector/0", 1, [[i + 1, 0, i] for i in range(16)]]
    yield "control", [19, "detector/0", 1]


def replies():
    yield "welcome, nothing said", [65, {}]
    yield "welcome to hello", [65, {
        "hub": "prong", "version": "0.1.0", "proto": 1, "client": ID, "epoch": 3, "history": MAX,
        "limits": {"message_bytes": 16777216, "park_ms": 25000, "later": {}}}]
    yield "welcome to attach", [65, {"replica": "detector/0", "session": 12345, "epoch": 1}]
    yield "result, nil", [66, 1, None]
    yield "result, largest seq", [66, MAX, {"found": [1, 2]}]
    yield "partial, items", [67, 1, 0, None, [1, "two", {}]]
    yield "partial, progress", [67, 1, MAX, [0.25, "loading"], []]
    yield "pending", [68, 1]
    for code in range(1, 17):
        yield f"error {code}", [69, code, code, code % 3, f"message {code}", None]
    yield "error without a request", [69, 0, 3, 0, "", None]
    yield "error, details", [69, 1, 10, 1, UNICODE, {"replica": "detector/0", "signal": 9}]
    yield "ack, a request", [70, 1, 0]
    yield "ack, an event", [70, MAX, MAX]
    yield "ack, no calls", [70, [], 0]
    yield "ack, calls", [70, [1, 2, MAX], 0]
    yield "events, none", [71, 1, 5, 0, []]
    yield "events", [71, 1, 7, 2, [[5, 1700000000000000, "camera.frame", "camera/0", {"n": 1}],
                                   [6, MAX, "a", "", None]]]
    yield "pong", [72, [1, 2, 3]]
    yield "work, none", [81, 0, []]
    yield "work", [81, 1, [[1, "detect", 4999, "pid 12 uid 1000", None, {"path": "a.jpg"}],
                           [MAX, "M", MAX, "", {"trace": "x"}, [1]]]]
    yield "command, cancel", [82, "cancel", {"call": 1}]
    yield "command, stop", [82, "stop", {}]
    yield "command, none", [82, "", {}]


def vectors(tables):
    numbers = set()
    names = set()
    for name, record in [*client_ops(), *worker_ops(), *replies()]:
        value = shown(record)
        assert name not in names, name
        names.add(name)
        numbers.add(value[0])
        vector = {"name": name, "hex": pack(record).hex(), "record": value}
        if has_form(record):
            vector["decode_only"] = True
        yield vector
    missing = {op["number"] for op in tables["ops"]} - numbers
    assert not missing, f"no golden vector for operations {missing}"
