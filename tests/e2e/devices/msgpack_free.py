"""The few objects of msgpack that the tests send, without a package for it."""


def text(value):
    data = value.encode()
    return bytes([0xA0 + len(data)]) + data          # up to 31 bytes


def number(value):
    return bytes([value])                            # 0 to 127
