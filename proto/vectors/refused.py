"""The bad vectors: for every field of every operation what it may not hold, and messages that are wrong
as a whole. Yields (name, why, error, bytes)."""
import struct

from msgpack_plain import Form, pack

ID = bytes(range(16))
TOO_LARGE = 2**53

# A good record of every operation, and good values of the keys, to put one wrong thing into.
BASE = {
    "HELLO": [{}],
    "CALL": [ID, 1, 0, "detector", "detect", 5000, None, {}],
    "WAIT": [ID, 1, 0],
    "CANCEL": [ID, 1],
    "EMIT": [ID, 1, "camera.frame", None, None],
    "FETCH": [ID, ["camera.*"], 1, 100, 65536, 1000],
    "PING": [None],
    "ATTACH": [{}],
    "POLL": ["detector/0", 1, 0, 1],
    "REPORT": ["detector/0", 1, [[1, 0, None]]],
    "CONTROL": ["detector/0", 1],
    "WELCOME": [{}],
    "RESULT": [1, None],
    "PARTIAL": [1, 0, None, []],
    "PENDING": [1],
    "ERROR": [1, 2, 0, "no", None],
    "ACK": [1, 0],
    "EVENTS": [1, 2, 0, [[1, 1, "a", "", None]]],
    "PONG": [None],
    "WORK": [1, [[1, "detect", 100, "", None, []]]],
    "COMMAND": ["stop", {}],
}

# The operation whose list holds such elements, and the place of the list.
INSIDE = {"REPORT_ITEM": ("REPORT", 2), "WORK_ITEM": ("WORK", 1), "EVENT_ITEM": ("EVENTS", 3)}


def raw(text):
    return Form(None, bytes.fromhex(text))


BAD_UTF8 = raw("a3 61 ff 62")


def numbers(field):
    yield "text", "a text where a number belongs", "1"
    yield "float", "a float is no integer", 1.0
    yield "negative", "below 0", -1
    yield "above", "above what is allowed", field["max"] + 1
    if field["min"] > 0:
        yield "below", "below what is allowed", field["min"] - 1


def texts(field):
    yield "bytes", "bytes where a text belongs", b"a"
    yield "utf8", "not UTF-8", BAD_UTF8
    if field["max"] < 1 << 20:
        yield "long", "longer than allowed", "x" * (field["max"] + 1)


def clients(_field):
    yield "short", "15 bytes", ID[:15]
    yield "long", "17 bytes", ID + b"x"
    yield "text", "a text of 16 bytes", "0123456789abcdef"
    yield "number", "a number", 0


def workers(_field):
    yield "upper", "capital letters", "Detector"
    yield "empty", "empty", ""
    yield "long", "65 bytes", "n" * 65
    yield "unicode", "a letter outside the alphabet", "d\u00e9tecteur"
    yield "bytes", "bytes where a text belongs", b"detector"
    yield "dot", "a dot", "a.b"


def targets(field):
    yield from workers(field)
    yield "slash", "a slash without a number", "detector/"
    yield "padded", "a number with a leading zero", "detector/01"
    yield "large", "a number of four digits", "detector/1000"
    yield "sign", "a number with a sign", "detector/-1"
    yield "twice", "two numbers", "detector/0/1"


def many_targets(field):
    yield from targets(field)
    yield "stars", "two stars", "detector/**"
    yield "star", "a star alone", "*"


def methods(_field):
    yield "dash", "a dash", "de-tect"
    yield "empty", "empty", ""
    yield "long", "65 bytes", "m" * 65
    yield "nil", "nil", None


def topics(_field):
    yield "empty", "empty", ""
    yield "token", "an empty token", "a..b"
    yield "first", "an empty first token", ".a"
    yield "last", "an empty last token", "a."
    yield "star", "a wildcard is for filters", "a.*"
    yield "long", "129 bytes", "t" * 129
    yield "space", "a space", "a b"
    yield "number", "a number", 1


def filters(field):
    yield "text", "a text where a list belongs", "camera.*"
    yield "none", "no filter at all", []
    yield "many", "one too many", ["a"] * (field["max"] + 1)
    yield "middle", "> is not last", ["a.>.b"]
    yield "part", "* is not a whole token", ["a.b*"]
    yield "number", "a number as filter", [1]
    yield "second", "the second filter is wrong", ["a.b", "a..b"]


def froms(_field):
    yield "word", "an unknown word", "newest"
    yield "negative", "below 0", -1
    yield "above", "above 2^53-1", TOO_LARGE
    yield "nil", "nil", None


def maps(_field):
    yield "array", "an array", []
    yield "nil", "nil", None
    yield "key", "a key that is no text", Form(None, b"\x81\x01\x02")
    yield "second", "a second key that is no text", Form(None, b"\x82\xa1k\x01\x01\x02")


def options(_field):
    yield "text", "a text", "progress"
    yield "key", "a key that is no text", Form(None, b"\x81\xc0\x02")


def arguments(_field):
    yield "nil", "nil", None
    yield "text", "a text", "a.jpg"
    yield "key", "a key that is no text", Form(None, b"\x81\x01\x02")


def arrays(_field):
    yield "map", "a map", {}
    yield "nil", "nil", None


def calls(field):
    yield "number", "a number where a list belongs", 1
    yield "text", "a text among the numbers", [1, "2"]
    yield "above", "a number above 2^53-1", [TOO_LARGE]
    yield "many", "one too many", [1] * (field["max"] + 1)


def seq_or_calls(_field):
    yield "text", "a text", "1"
    yield "negative", "below 0", -1
    yield "inside", "a negative number in the list", [-1]


def method_maps(field):
    yield "list", "a list of names", ["detect"]
    yield "name", "a name that is no method", {"de tect": {}}
    yield "about", "nil about a method", {"detect": None}
    yield "second", "a second name that is no method", {"detect": {}, "a.b": {}}
    yield "many", "one too many", {f"m{i}": {} for i in range(field["max"] + 1)}


def items(field):
    name = field["type"].removesuffix("S")
    owner, place = INSIDE[name]
    yield "map", "a map where a list belongs", {}
    yield "inside", "an element that is no array", [1]
    yield "second", "a second element that is no array", [*BASE[owner][place], None]
    yield "few", "an element of too few fields", [BASE[owner][place][0][:-1]]


def binaries(field):
    yield "number", "a number", 1
    yield "long", "longer than allowed", b"x" * (field["max"] + 1)


def booleans(_field):
    yield "number", "a number", 1


WRONG = {
    "UINT": numbers, "CLIENT": clients, "TARGET": targets, "TARGETS": many_targets, "NAME": workers, "METHOD": methods,
    "TOPIC": topics, "FILTERS": filters, "FROM": froms, "TEXT": texts, "BYTES": binaries,
    "BOOL": booleans, "MAP": maps, "TABLE": maps, "OPTIONS": options, "ARGS": arguments,
    "LIST": arrays, "CALLS": calls, "SEQ_OR_CALLS": seq_or_calls, "METHODS": method_maps,
    "REPORT_ITEMS": items, "WORK_ITEMS": items, "EVENT_ITEMS": items,
}


def with_field(fields, index, value):
    changed = list(fields)
    changed[index] = value
    return changed


def wrong(field, seen):
    """All that is wrong for a type where it comes first, and only the first of it afterwards: the same
    code judges all fields of a type, and tests/unit/proto tries every kind in every field."""
    for suffix, why, value in WRONG[field["type"]](field):
        yield suffix, why, value
        if field["type"] in seen:
            break
    seen.add(field["type"])


def of_fields(owner, fields, base, message, seen):
    """`message` makes the whole message of the changed fields."""
    assert len(fields) == len(base), f"BASE of {owner} is not what constants.json says"
    for index, field in enumerate(fields):
        if field["type"] == "PAYLOAD":
            continue
        name = f"{owner}-{field['name']}".lower()
        for suffix, why, value in wrong(field, seen):
            fault = f"{owner} {field['name'].upper()}"
            if suffix == "few":
                count = len(BASE[owner][index][0])
                fault = field["type"].removesuffix("S") + f" must have {count} fields, got {count - 1}"
            yield (f"{name}-{suffix}", f"{owner} {field['name']}: {why}", f"INVALID_ARGUMENT {fault}",
                   pack(message(with_field(base, index, value))))


def of_keys(owner, number, base, place, keys, seen):
    for key in keys:
        for suffix, why, value in wrong(key, seen):
            yield (f"{owner}-key-{key['name']}-{suffix}".lower(), f"{owner}, key {key['name']}: {why}",
                   f"INVALID_ARGUMENT {owner} {key['name']}",
                   pack([number, *with_field(base, place, {key["name"]: value})]))


def of_operations(tables):
    seen = set()
    numbers_of = {op["name"]: op["number"] for op in tables["ops"]}
    for op in tables["ops"]:
        name, number = op["name"], op["number"]
        yield from of_fields(name, op["fields"], BASE[name], lambda fields, n=number: [n, *fields],
                             seen)
        place = next((i for i, f in enumerate(op["fields"]) if f["type"] in ("MAP", "OPTIONS")), None)
        yield from of_keys(name, number, BASE[name], place, op.get("keys", []), seen)
    for item in tables["items"]:
        if item["name"] in INSIDE:
            owner, place = INSIDE[item["name"]]
            yield from of_fields(item["name"], item["fields"], BASE[owner][place][0],
                                 lambda fields, o=owner, p=place:
                                 [numbers_of[o], *with_field(BASE[o], p, [fields])], seen)
    for key in next(i for i in tables["items"] if i["name"] == "METHODS")["keys"]:
        for suffix, why, value in wrong(key, seen):
            yield (f"methods-key-{key['name']}-{suffix}", f"about a method, key {key['name']}: {why}",
                   f"INVALID_ARGUMENT METHODS {key['name']}",
                   pack([numbers_of["ATTACH"], {"methods": {"detect": {key["name"]: value}}}]))


def of_counts(tables):
    for op in tables["ops"]:
        name, number, base = op["name"], op["number"], BASE[op["name"]]
        error = f"INVALID_ARGUMENT {name} must have {len(base)} fields after its number"
        yield f"{name}-fewer".lower(), f"{name} without its last field", error, pack([number, *base[:-1]])
        yield f"{name}-more".lower(), f"{name} with a field too many", error, pack([number, *base, None])


def of_messages():
    ping = pack([7, None])
    good = pack([2, *BASE["CALL"]])
    start = "INVALID_ARGUMENT a record must be an array"
    yield "message-empty", "no record at all", start, b""
    yield "message-nil", "no array", start, b"\xc0"
    yield "message-map", "a map", start, pack({"op": 7})
    yield "message-map-number", "a map that begins like a record", start, b"\x82" + ping[1:] + ping
    yield "message-text", "JSON is not msgpack", start, b'[7,null]'
    yield "message-no-operation", "an empty array", start, b"\x90"
    yield "message-operation-text", "the operation by its name", start, pack(["PING", None])
    yield "message-operation-negative", "a negative operation", start, pack([-7, None])
    yield "message-operation-float", "a float as operation", start, pack([7.0, None])
    yield "message-operation-0", "operation 0", "UNIMPLEMENTED no operation 0", pack([0])
    yield "message-operation-8", "an operation of a later version", "UNIMPLEMENTED no operation 8", pack([8, {}])
    yield ("message-operation-large", "the largest number as operation",
           "UNIMPLEMENTED no operation 18446744073709551615", pack([2**64 - 1]))
    yield "message-257-records", "one record too many", "INVALID_ARGUMENT more than 256 records", ping * 257
    yield "message-junk-after", "a byte after the last record", start, ping + b"\xff"
    yield "message-junk-between", "nil between two records", start, ping + b"\xc0" + ping
    yield "message-second-bad", "the second record is wrong", "INVALID_ARGUMENT WAIT SEQ", ping + pack([3, ID, 0, 0])
    yield "message-second-cut", "the second record is cut off", "INVALID_ARGUMENT CALL ARGS", ping + good[:-1]
    yield "message-two-objects", "the payload is two objects", start, ping + b"\x01"
    yield "reserved-byte", "c1 is no msgpack", start, b"\xc1"
    yield "reserved-byte-payload", "c1 as payload", "INVALID_ARGUMENT PING PAYLOAD", b"\x92\x07\xc1"
    yield "reserved-byte-deep", "c1 in a payload's payload", "INVALID_ARGUMENT PING PAYLOAD", b"\x92\x07\x81\xa1a\x91\xc1"


def of_bombs():
    ping = "INVALID_ARGUMENT PING PAYLOAD"
    start = "INVALID_ARGUMENT a record must be an array"
    for name, data in (("array32", b"\xdd\xff\xff\xff\xff"), ("array16", b"\xdc\xff\xff"),
                       ("map32", b"\xdf\xff\xff\xff\xff"), ("map16", b"\xde\xff\xff"),
                       ("str32", b"\xdb\xff\xff\xff\xff"), ("bin32", b"\xc6\xff\xff\xff\xff"),
                       ("ext32", b"\xc9\xff\xff\xff\xff\x01")):
        yield f"bomb-{name}", f"{name} that counts what is not there", start, data
        yield f"bomb-payload-{name}", f"{name} as payload that counts what is not there", ping, b"\x92\x07" + data
    yield ("bomb-sum", "each count fits into what is left, their sum does not", ping,
           b"\x92\x07" + b"\xdc\x00\x40" * 40)
    yield "bomb-record", "a record of 2^32-1 fields", start, b"\xdd\xff\xff\xff\xff\x07" + b"\xc0" * 16
    yield ("bomb-filters", "filters that count 2^32-1", "INVALID_ARGUMENT FETCH FILTERS",
           b"\x97\x06\xc0\xdd\xff\xff\xff\xff\xa1a")
    yield ("bomb-methods", "methods that count 2^31", "INVALID_ARGUMENT ATTACH ABOUT",
           b"\x92\x10\x81\xa7methods\xdf\x80\x00\x00\x00")


def of_cuts():
    """A CALL and a REPORT, cut off after each field."""
    for name, fields, label in (("call", BASE["CALL"], "CALL"), ("report", BASE["REPORT"], "REPORT")):
        number = 2 if name == "call" else 18
        whole = pack([number, *fields])
        end = len(pack(number)) + 1
        for index, value in enumerate(fields):
            at = end + len(pack(value)) - 1
            yield (f"cut-{name}-{index + 1}", f"{label} cut off in field {index + 1}",
                   "INVALID_ARGUMENT", whole[:at])
            end += len(pack(value))


def vectors(tables):
    yield from of_operations(tables)
    yield from of_counts(tables)
    yield from of_messages()
    yield from of_bombs()
    yield from of_cuts()
