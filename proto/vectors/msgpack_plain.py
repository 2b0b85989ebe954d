"""msgpack written by hand, with every form of every kind within reach."""
import struct


class Form:
    """A value in an encoding that is not the shortest one."""

    def __init__(self, value, data):
        self.value = value
        self.data = data


class Ext:
    def __init__(self, number, data):
        self.number = number
        self.data = data


def head(short, short_max, forms, count):
    """`forms` are (head byte, struct format) from short to long; `short` is the one-byte form's base."""
    if short is not None and count <= short_max:
        return bytes([short | count])
    for byte, form in forms:
        if count < 1 << 8 * struct.calcsize(">" + form):
            return struct.pack(">B" + form, byte, count)
    raise ValueError(count)


def pack_int(v):
    if -32 <= v < 128:
        return struct.pack("b", v) if v < 0 else bytes([v])
    if v > 0:
        return head(None, 0, [(0xcc, "B"), (0xcd, "H"), (0xce, "I"), (0xcf, "Q")], v)
    for byte, form, bits in ((0xd0, "b", 8), (0xd1, "h", 16), (0xd2, "i", 32), (0xd3, "q", 64)):
        if v >= -(1 << bits - 1):
            return struct.pack(">B" + form, byte, v)
    raise ValueError(v)


def pack_ext(v):
    fixed = {1: 0xd4, 2: 0xd5, 4: 0xd6, 8: 0xd7, 16: 0xd8}.get(len(v.data))
    begin = bytes([fixed]) if fixed else head(None, 0, [(0xc7, "B"), (0xc8, "H"), (0xc9, "I")], len(v.data))
    return begin + struct.pack("b", v.number) + v.data


def pack(v):
    """The shortest encoding of a value."""
    if isinstance(v, Form):
        return v.data
    if isinstance(v, Ext):
        return pack_ext(v)
    if v is None or isinstance(v, bool):
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[v]
    if isinstance(v, int):
        return pack_int(v)
    if isinstance(v, float):
        return struct.pack(">Bd", 0xcb, v)
    if isinstance(v, str):
        data = v.encode()
        return head(0xa0, 31, [(0xd9, "B"), (0xda, "H"), (0xdb, "I")], len(data)) + data
    if isinstance(v, bytes):
        return head(None, 0, [(0xc4, "B"), (0xc5, "H"), (0xc6, "I")], len(v)) + v
    if isinstance(v, list):
        return head(0x90, 15, [(0xdc, "H"), (0xdd, "I")], len(v)) + b"".join(map(pack, v))
    if isinstance(v, dict):
        return (head(0x80, 15, [(0xde, "H"), (0xdf, "I")], len(v)) +
                b"".join(pack(k) + pack(x) for k, x in v.items()))
    raise TypeError(v)


def shown(v):
    """The value as README.md says that it stands in JSON."""
    if isinstance(v, Form):
        return shown(v.value)
    if isinstance(v, Ext):
        return {"ext": [v.number, v.data.hex()]}
    if isinstance(v, bytes):
        return {"bin": v.hex()}
    if isinstance(v, float):
        return {"float": struct.pack(">d", v).hex()}
    if isinstance(v, int) and not isinstance(v, bool) and abs(v) >= 1 << 53:
        return {"int": str(v)}
    if isinstance(v, list):
        return [shown(x) for x in v]
    if isinstance(v, dict):
        return {k: shown(x) for k, x in v.items()}
    return v


def has_form(v):
    """Whether a Form is in it."""
    if isinstance(v, (list, dict)):
        return any(map(has_form, v.values() if isinstance(v, dict) else v))
    return isinstance(v, Form)
