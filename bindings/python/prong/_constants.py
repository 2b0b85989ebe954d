"""Numbers of the protocol, made by prong-gen from proto/tbl: do not edit."""
VERSION = "0.1.0"
PROTO = 1
HELLO, CALL, WAIT, CANCEL, EMIT, FETCH, PING, ATTACH, POLL, REPORT = 1, 2, 3, 4, 5, 6, 7, 16, 17, 18
CONTROL = 19
WELCOME, RESULT, PARTIAL, PENDING, ERROR, ACK, EVENTS, PONG, WORK = 65, 66, 67, 68, 69, 70, 71, 72, 81
COMMAND = 82
BEGAN_NO, BEGAN_MAYBE, BEGAN_YES = 0, 1, 2
KIND_RESULT, KIND_ERROR, KIND_PARTIAL, KIND_PROGRESS = 0, 1, 2, 3
# number: (name, meaning, exit code of a program that ends with it)
ERRORS = {
    0: ("OK", "it was done", 0),
    1: ("CANCELLED", "the call was cancelled", 152),
    2: ("UNKNOWN", "the method failed without saying how", 1),
    3: ("INVALID_ARGUMENT", "the request or an argument is wrong", 1),
    4: ("DEADLINE_EXCEEDED", "the deadline passed before there was an outcome", 124),
    5: ("NOT_FOUND", "no such worker, method, call or thing", 5),
    6: ("ALREADY_EXISTS", "there is one already", 1),
    7: ("PERMISSION_DENIED", "this peer may not do that", 4),
    8: ("RESOURCE_EXHAUSTED", "a queue or a limit is full", 151),
    9: ("FAILED_PRECONDITION", "not in this state", 1),
    10: ("ABORTED", "the worker died while it had the call", 150),
    11: ("OUT_OF_RANGE", "outside what is possible", 1),
    12: ("UNIMPLEMENTED", "the hub or the worker does not have that", 5),
    13: ("INTERNAL", "a fault of the hub or of a library", 1),
    14: ("UNAVAILABLE", "nobody can serve this now", 151),
    15: ("DATA_LOSS", "it was done, but the outcome is lost", 1),
    16: ("UNAUTHENTICATED", "say who you are first (HELLO with a token)", 4),
}
EXT_ARRAY = 78
EXT_FRAME = 79
EXT_BUFFER = 80
MESSAGE_BYTES = 16777216
CLIENT_BYTES = 16
REPORT_ITEMS_MAX = 4096
PARK_MS = 25000
TTL_MS_DEFAULT = 30000
TTL_MS_MAX = 3600000
WINDOW = 256
PARTS_MAX = 65536
