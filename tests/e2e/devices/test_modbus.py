"""prong-modbus against a unit made with libmodbus, by TCP and over pseudo-terminals, and against peers that are none."""
import json
import os
import pty
import select
import shutil
import signal
import socket
import struct
import subprocess
import termios
import threading
import tty
import unittest

import kit
from kit import hub

TEST_BIN = os.environ.get("PRONG_TEST_BIN_DIR", "")
SERVER = os.path.join(TEST_BIN, "modbus_server")
# Nothing that one of these tests waits for needs longer pauses.
SOON = "reconnect_min: 20ms, reconnect_max: 100ms"
# An answer that comes is waited for on a busy machine, too.
PATIENT = f"timeout: 60s, poll: 10ms, {SOON}"
WRITE_REGISTER, MASK_WRITE = 6, 22


class Unit:
    """The program modbus_server: what stands in its registers, and what it was asked."""

    def __init__(self, case, *words):
        self.child = subprocess.Popen([SERVER, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                      bufsize=1, env=case.env)
        case.children.append(self.child)
        self.first = self.child.stdout.readline().strip()
        case.assertTrue(self.first, "the unit has not begun")

    def __call__(self, line):
        self.child.stdin.write(line + "\n")
        return self.child.stdout.readline().split()

    def get(self, table, address, count=1):
        return [int(word) for word in self(f"get {table} {address} {count}")]

    def asked(self):
        return [tuple(map(int, word.split(":"))) for word in self("requests")]

    def end(self):
        self.child.kill()
        self.child.wait()


@unittest.skipUnless(os.access(SERVER, os.X_OK), "SKIP: built without libmodbus: apt-get install libmodbus-dev")
class Modbus(kit.Case):
    def unit(self, port=0):
        self.server = Unit(self, "tcp", str(port))
        return self.server

    def device(self, points, more=PATIENT, name="plc", port=None):
        """The entry of a device; `points` is a map of names and words."""
        listed = ", ".join(f"{key}: {words}" for key, words in points.items())
        port = self.server.first if port is None else port
        return f"{name}: {{kind: modbus, host: 127.0.0.1, port: {port}, {more}, points: {{{listed}}}}}"

    def known(self, count, **wanted):
        """The newest values that were told, as soon as they are of so many points and have those that are wanted."""
        child = self.start("events", "plc.data", "--from", "oldest", "-o", "jsonl")
        values = {}
        while len(values) < count or not wanted.items() <= values.items():
            event = json.loads(child.stdout.readline())  # one that never comes is what the test's own limit is for
            values.update(event["payload"]["value"])
            self.assertEqual(set(event["payload"]), {"value", "time_us", "mono_ns"})
        child.terminate()
        child.communicate()
        return values

    def failing(self, what, *args):
        """The error of a call as an object."""
        result = self.prong("call", what, *args, "-o", "json")
        self.assertNotEqual(result.code, 0, result)
        return result.json()

    def refused(self, what, *args):
        """What a call says that was wrong."""
        error = self.failing(what, *args)
        self.assertIn(error["name"], ("INVALID_ARGUMENT", "NOT_FOUND"), error)
        return error["message"]


class Points(Modbus):
    def test_every_table_and_type_is_read(self):
        unit = self.unit()
        unit("set coil 3 1 0 1")
        unit("set discrete 7 0 1")
        unit("set input 10 65486 0x1234")                     # -50
        unit("set input 20 0x0001 0x0002 0xffff 0xfffe 0x4148 0x0000")
        unit("set input 30 0x8000 0 0 1 0xffff 0xffff 0xffff 0xfff0 0x4029 0 0 0")
        unit("set holding 50 0x0002 0x0001 0x0000 0x4148")    # the lower register first
        unit("set holding 60 0x6869 0xc3bc 0x2100 0x7878")    # "hi\u00fc!" and what stands behind a zero
        unit("set holding 70 0x6968 0x0021")
        unit("set holding 80 0x8005")
        points = {"a": "coil 3", "b": "coil 4", "c": "discrete 8 bool", "d": "input 10 int16", "e": "input 11",
                  "f": "input 20 uint32", "g": "input 22 int32", "h": "input 24 float32", "i": "input 30 uint64",
                  "j": "input 34 int64", "k": "input 38 float64", "l": "holding 50 uint32 words little",
                  "m": "holding 52 float32 words little", "n": "holding 60 text 4",
                  "o": "holding 70 text 2 words little", "p": "holding 80 bit 15", "q": "holding 80 bit 1",
                  "r": "holding 0x50 int16 scale 0.1", "s": "input 10 int16 scale 0.5 offset 100",
                  "t": "input 24 float32 scale 2"}
        expected = {"a": True, "b": False, "c": True, "d": -50, "e": 0x1234, "f": 0x10002, "g": -2, "h": 12.5,
                    "i": 2 ** 63 + 1, "j": -16, "k": 12.5, "l": 0x10002, "m": 12.5, "n": "hi\u00fc!", "o": "hi!",
                    "p": True, "q": False, "r": -3276.3, "s": 75.0, "t": 25.0}
        self.devices(self.device(points))
        self.assertEqual(self.known(len(points)), expected)
        self.assertEqual(self.call("plc.read"), expected)
        self.assertEqual(self.call("plc.read", "points=h"), {"h": 12.5})
        self.assertEqual(self.call("plc.read", 'points:=["q", "p"]'), {"q": False, "p": True})
        up = self.first("plc.up", 1)[0]
        self.assertEqual(up["peer"], f"127.0.0.1:{unit.first}")

    def test_neighbours_are_read_with_one_request(self):
        unit = self.unit()
        self.devices(self.device({"a": "input 1", "b": "input 10 float32", "c": "input 30", "d": "holding 1",
                                  "e": "coil 0", "f": "coil 100"}, f"timeout: 60s, poll: 1h, {SOON}"))
        self.known(6)
        self.assertEqual(sorted(unit.asked()), [(1, 0, 101), (3, 1, 1), (4, 1, 11), (4, 30, 1)])
        stats = self.stats("plc")
        self.assertEqual((stats["points"], stats["groups"], stats["requests"], stats["frames"], stats["bytes"]),
                         (6, 4, 4, 4, 101 + 2 * 13))
        self.assertEqual((stats["unit"], stats["up"], stats["exceptions"], stats["errors"]), (1, True, 0, 0))

    def test_only_what_has_changed_is_told(self):
        unit = self.unit()
        self.devices(self.device({"a": "input 1", "b": "input 2", "bit": "input 3 bit 4"}))
        self.first("plc.data", 1)
        unit("set input 2 7 0x000f")  # of register 3 no bit that is a point
        self.assertEqual(self.first("plc.data", 2)[1]["value"], {"b": 7})
        unit("set input 1 5 7 0x001f")
        told = self.first("plc.data", 3)
        self.assertEqual([p["value"] for p in told],
                         [{"a": 0, "b": 0, "bit": False}, {"b": 7}, {"a": 5, "bit": True}])
        times = [p["mono_ns"] for p in told]
        self.assertEqual(times, sorted(times))

    def test_a_change_within_the_deadband_is_not_told_until_it_adds_up(self):
        unit = self.unit()
        self.devices(self.device({"a": "input 1 scale 0.1 deadband 0.5", "b": "input 2"}))
        self.first("plc.data", 1)
        for told, raw in enumerate((2, 4, 5), start=2):
            unit(f"set input 1 {raw} {raw}")  # both are read with one request, so b tells that a was seen
            self.first("plc.data", told)
        self.assertEqual(self.values("plc.data", 4), [{"a": 0.0, "b": 0}, {"b": 2}, {"b": 4}, {"a": 0.5, "b": 5}])

    def test_each_reading_is_told_when_that_is_wanted(self):
        self.unit()
        self.devices(self.device({"a": "input 1"}, PATIENT + ", report: poll"))
        self.assertEqual(self.values("plc.data", 3), [{"a": 0}] * 3)

    def test_a_point_has_a_pace_of_its_own(self):
        unit = self.unit()
        self.devices(self.device({"slow": "input 1", "quick": "input 2 every 10ms"}, f"timeout: 60s, poll: 1h, {SOON}"))
        self.known(2)
        unit("set input 1 1 1")
        self.assertEqual(self.first("plc.data", 3)[2]["value"], {"quick": 1})

    def test_a_text_that_is_none_is_a_fault_of_its_point(self):
        unit = self.unit()
        unit("set holding 0 0xff41")
        self.devices(self.device({"word": "holding 0 text 1", "a": "holding 1"}))
        fault = self.first("plc.fault", 1)[0]
        self.assertEqual((fault["why"], fault["points"]), ("the text is not UTF-8", ["word"]))
        self.assertEqual(self.values("plc.data", 1), [{"a": 0}])
        self.assertEqual(self.call("plc.read"), {"word": None, "a": 0})
        unit("set holding 0 0x4142")
        self.assertEqual(self.values("plc.data", 2)[1], {"word": "AB"})

    def test_a_hub_that_takes_nothing_holds_up_the_readings_and_nothing_is_lost(self):
        unit = self.unit()
        self.devices(self.device({f"p{n}": f"holding {20 * n}" for n in range(14)},
                                 f"timeout: 60s, poll: 1ms, report: poll, {SOON}"))
        self.first("plc.data", 14)
        broker = self.broker()
        os.kill(broker, signal.SIGSTOP)
        try:
            # Asked no more, however often one looks.
            self.until(lambda: not unit.asked() and not select.select([], [], [], 0.1 * hub.SLOW)[0] and
                       not unit.asked(), "the end of readings")
        finally:
            os.kill(broker, signal.SIGCONT)
        self.until(unit.asked, "readings go on")
        self.call("plc.pause")
        stats = self.until_stats("plc", lambda s: s["waiting"] == 0, "the end of what waits")
        self.assertEqual((stats["dropped"], stats["errors"]), (0, 0))
        self.first("plc.data", stats["frames"])  # all of them, and none was lost

    def test_while_it_is_paused_nothing_is_read_but_by_calls(self):
        unit = self.unit()
        self.devices(self.device({"a": "holding 1"}))
        self.first("plc.data", 1)
        self.call("plc.pause")
        self.call("plc.write", "point=a", "value:=3")  # and what was on its way is through then
        unit.asked()
        self.assertEqual(self.call("plc.read"), {"a": 3})
        self.assertEqual(self.call("plc.read"), {"a": 3})
        self.assertEqual(unit.asked(), [(3, 1, 1)] * 2)
        self.assertTrue(self.stats("plc")["paused"])
        self.call("plc.resume")
        self.assertEqual(self.values("plc.data", 2)[1], {"a": 3})


class Writing(Modbus):
    POINTS = {"valve": "coil 4", "level": "holding 10 uint16 scale 0.1", "target": "holding 12 float32",
              "count": "holding 14 int32 words little", "big": "holding 16 uint64", "name": "holding 20 text 3",
              "flag": "holding 30 bit 3", "speed": "holding 31 int16", "sensor": "input 5", "door": "discrete 1"}

    def setUp(self):
        super().setUp()
        if self._testMethodName != "test_nothing_is_sent_when_nobody_is_there":
            self.unit()
            self.devices(self.device(self.POINTS))
            self.first("plc.up", 1)

    def written(self):
        return [r for r in self.server.asked() if r[0] in (5, 6, 15, 16, 22)]

    def write(self, point, value):
        return self.call("plc.write", "point=" + point, f"value:={json.dumps(value)}")

    def test_a_value_is_written_in_its_type_and_read_back(self):
        self.server("set holding 30 0xfff0")
        for point, value, table, address, words in [
                ("valve", True, "coil", 4, [1]), ("valve", 0, "coil", 4, [0]), ("level", 12.3, "holding", 10, [123]),
                ("level", 6553.5, "holding", 10, [65535]), ("target", -0.75, "holding", 12, [0xbf40, 0]),
                ("count", -2, "holding", 14, [0xfffe, 0xffff]),
                ("big", 2 ** 63 - 1, "holding", 16, [0x7fff, 0xffff, 0xffff, 0xffff]),
                ("name", "h\u00fc!", "holding", 20, [0x68c3, 0xbc21, 0]), ("flag", True, "holding", 30, [0xfff8]),
                ("flag", False, "holding", 30, [0xfff0]), ("speed", -32768, "holding", 31, [0x8000]),
                ("speed", 20.0, "holding", 31, [20])]:
            told = self.write(point, value)
            self.assertEqual(told, {point: value}, point)
            self.assertEqual(self.server.get(table, address, len(words)), words, (point, value))
            self.assertEqual(self.call("plc.read", "points=" + point), {point: value})
        self.assertEqual(self.write("level", 12.34), {"level": 12.3})
        stats = self.stats("plc")
        self.assertEqual((stats["sends"], stats["errors"]), (13, 0))

    def test_what_was_written_is_told_as_a_change(self):
        self.known(len(self.POINTS))
        self.write("speed", 7)
        self.assertEqual(self.values("plc.data", self.stats("plc")["groups"] + 1)[-1], {"speed": 7})

    def test_several_points_are_written_in_order(self):
        told = self.call("plc.write", 'points:={"speed": 3, "valve": true, "level": 1}')
        self.assertEqual(told, {"speed": 3, "valve": True, "level": 1.0})
        self.assertEqual([(r[0], r[1]) for r in self.written()], [(6, 31), (5, 4), (6, 10)])

    def test_registers_without_a_name(self):
        self.assertEqual(self.call("plc.write", "table=holding", "address:=40", "values:=[1, 65535, 3]"), [1, 65535, 3])
        self.assertEqual(self.call("plc.read", "table=holding", "address:=40", "count:=4"), [1, 65535, 3, 0])
        self.assertEqual(self.call("plc.write", "table=coil", "address:=8", "values:=[true, false, 1]"),
                         [True, False, True])
        self.assertEqual(self.call("plc.read", "table=coil", "address:=8", "count:=3"), [True, False, True])
        self.server("set input 9 77")
        self.assertEqual(self.call("plc.read", "table=input", "address:=9"), [77])
        self.assertEqual(self.call("plc.read", "table=discrete", "address:=0", "count:=2"), [False, False])

    def test_what_cannot_be_is_refused_before_anything_is_sent(self):
        self.server.asked()
        for args, text in [
                (["point=level", "value:=6553.6"], "level goes from 0 to 6553.5"),
                (["point=speed", "value:=32768"], "speed takes whole numbers from -32768 to 32767"),
                (["point=speed", "value:=1.5"], "speed takes whole numbers from -32768 to 32767"),
                (["point=speed", "value=5"], "speed takes whole numbers"),
                (["point=big", "value:=-1"], "big takes whole numbers from 0 to 18446744073709551615"),
                (["point=target", "value:=1e39"], "target takes numbers that a float32 has"),
                (["point=valve", "value:=2"], "valve takes true or false"),
                (["point=name", "value=toolong"], "name takes a text of at most 6 bytes"),
                (["point=sensor", "value:=1"], "sensor is in table input, which can only be read"),
                (["point=door", "value:=1"], "door is in table discrete, which can only be read"),
                (["point=lvel", "value:=1"], "there is no point 'lvel'; there are valve, level, target"),
                (['points:={"valve": true, "speed": 99999}'], "speed takes whole numbers"),
                (["points:={}"], "'points' is a map of names and values"),
                (["point=valve"], "write needs point and value, points, or table, address and values"),
                (["table=input", "address:=0", "values:=[1]"], "table input can only be read"),
                (["table=holdng", "address:=0", "values:=[1]"], "'table' is coil, discrete, input or holding"),
                (["table=holding", "address:=65536", "values:=[1]"], "'address' is a number from 0 to 65535"),
                (["table=holding", "address:=0", "values:=[65536]"], "takes whole numbers from 0 to 65535"),
                (["table=holding", "address:=0", "values:=[]"], "1 to 123 are written at a time"),
                (["table=holding", "address:=65535", "values:=[1, 2]"], "within its addresses")]:
            self.assertIn(text, self.refused("plc.write", *args), args)
        for args, text in [(["points=lvel"], "there is no point 'lvel'"),
                           (["points=" + "x" + 40 * "\u00e4"], "; there are valve, level, target"), (["points:=[1]"], "must be a text"),
                           (["table=holding", "address:=0", "count:=126"], "1 to 125 are read at a time"),
                           (["table=coil", "address:=0", "count=x"], "'count' is a number"),
                           (["point=level"], "read has no argument 'point'; it has points, table")]:
            self.assertIn(text, self.refused("plc.read", *args), args)
        self.assertEqual(self.written(), [])

    def test_a_point_that_is_asked_for_twice_is_read_once(self):
        read = self.call("plc.read", 'points:=["speed", "level"]')
        done = self.ok("call", "plc.read", 'points:=["speed", "level", "speed"]', "-o", "json")
        self.assertEqual((done.out.count("speed"), json.loads(done.out)), (1, read))

    def test_a_unit_that_cannot_write_one_bit_gets_the_whole_register(self):
        self.server("set holding 30 0x00f0")
        self.server("forbid 22")
        self.assertEqual(self.write("flag", True), {"flag": True})
        self.assertEqual(self.server.get("holding", 30), [0x00f8])
        self.assertEqual([r[0] for r in self.written()], [MASK_WRITE, WRITE_REGISTER])

    def test_a_refusal_says_what_was_written_and_what_was_not(self):
        self.server("refuse holding 31")
        error = self.failing("plc.write", 'points:={"valve": true, "speed": 3, "level": 1}')
        self.assertIn("speed: the unit has no such address (exception 2): it was not written", error["message"])
        self.assertEqual(error["details"], {"exception": 2, "written": {"valve": True}, "may_be_written": False})
        self.assertEqual(error["name"], "OUT_OF_RANGE")
        self.server("except 4")
        error = self.failing("plc.write", "point=level", "value:=2")
        self.assertEqual(error["details"], {"exception": 4, "written": {}, "may_be_written": True})
        self.server("except 0")
        self.assertEqual(self.server.get("holding", 10), [0])
        self.assertTrue(self.stats("plc")["up"])

    def test_two_who_write_bits_of_one_register_lose_none(self):
        entries = [self.device({f"b{n}": f"holding 90 bit {n}" for n in range(16)}, name=name) for name in ("a", "b")]
        self.reload(*entries)

        def write(name, first):
            for n in range(first, 16, 2):
                self.call(f"{name}.write", f"point=b{n}", "value:=true")
        threads = [threading.Thread(target=write, args=pair) for pair in (("a", 0), ("b", 1))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(self.server.get("holding", 90), [0xffff])
        self.assertEqual(self.stats("a")["sends"] + self.stats("b")["sends"], 16)

    def reload(self, *entries):
        with open(self.path("prong.yaml"), "w", encoding="utf-8") as file:
            file.write(self.config_of(*entries))
        self.ok("reload")

    def test_nothing_is_sent_when_nobody_is_there(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.devices(self.device({"a": "holding 1"}, f"reconnect_min: 1h, reconnect_max: 1h", port=port))
        self.first("plc.down", 1)
        error = self.failing("plc.write", "point=a", "value:=1")
        self.assertEqual(error["name"], "FAILED_PRECONDITION")
        self.assertIn("a: not connected: Connection refused: it was not written", error["message"])


class Faults(Modbus):
    def test_an_address_that_is_refused_is_a_fault_of_its_points_alone(self):
        unit = self.unit()
        unit("refuse input 2")
        self.devices(self.device({"a": "input 1", "b": "input 2", "c": "input 3", "b2": "input 2 bit 1"}))
        faults = self.first("plc.fault", 2)
        self.assertEqual({(f["why"], f["exception"]) for f in faults}, {("the unit has no such address (exception 2)", 2)})
        self.assertEqual(sorted(name for f in faults for name in f["points"]), ["b", "b2"])
        self.assertEqual(self.known(2), {"a": 0, "c": 0})
        unit("set input 1 8")
        self.assertEqual(self.values("plc.data", 3)[2], {"a": 8})
        stats = self.until_stats("plc", lambda s: s["exceptions"] > 20, "some more readings")
        self.assertTrue(stats["up"])
        self.assertIn("b: the unit has no such address (exception 2)", self.failing("plc.read")["message"])
        self.assertEqual(self.call("plc.read", 'points:=["a", "c"]'), {"a": 8, "c": 0})

    def test_a_hole_between_points_that_may_not_be_read_is_gone_around(self):
        unit = self.unit()
        unit("refuse holding 3")
        unit("set holding 1 5 0 0 6")
        self.devices(self.device({"a": "holding 1", "b": "holding 4"}))
        self.assertEqual(self.known(2), {"a": 5, "b": 6})
        self.assertEqual(self.call("plc.read"), {"a": 5, "b": 6})

    def test_a_unit_that_refuses_everything_is_up_until_it_answers_again(self):
        unit = self.unit()
        unit("except 6")
        self.devices(self.device({"a": "input 1", "b": "input 2"}))
        fault = self.first("plc.fault", 1)[0]
        self.assertEqual((fault["why"], fault["exception"], fault["points"]), ("the unit is busy (exception 6)", 6, ["a", "b"]))
        self.assertIn("exception 6", self.failing("plc.read")["message"])
        unit("except 0")
        self.assertEqual(self.values("plc.data", 1), [{"a": 0, "b": 0}])
        self.assertEqual(self.stats("plc")["reconnects"], 0)

    def test_a_gateway_without_the_unit_is_down(self):
        unit = self.unit()
        unit("except 11")
        self.devices(self.device({"a": "input 1"}))
        self.assertEqual(self.first("plc.down", 1)[0]["why"], "the unit does not answer the gateway (exception 11)")
        unit("except 0")
        self.first("plc.up", 1)
        self.assertEqual(self.values("plc.data", 1), [{"a": 0}])

    def test_it_connects_again_after_the_unit_has_died(self):
        unit = self.unit()
        self.devices(self.device({"a": "holding 1"}), self.device({}, name="idle"))
        self.first("plc.data", 1)
        self.first("idle.up", 1)
        unit.end()
        for name in ("plc", "idle"):
            self.assertEqual([p["why"] for p in self.first(name + ".down", 2)],
                             ["the connection has ended", "Connection refused"])
        unit = self.unit(unit.first)
        unit("set holding 1 9")
        for name in ("plc", "idle"):
            self.first(name + ".up", 2)
        self.assertEqual(self.call("plc.read"), {"a": 9})
        self.assertEqual(self.call("idle.write", "table=holding", "address:=2", "values:=[3]"), [3])
        self.known(1, a=9)
        self.assertGreater(self.stats("plc")["reconnects"], 0)

    def test_a_write_that_is_not_answered_may_have_been_carried_out(self):
        unit = self.unit()
        self.devices(self.device({"a": "holding 1"}, f"timeout: {300 * hub.SLOW}ms, poll: 1h, {SOON}"))
        self.first("plc.data", 1)
        unit("silent 1")
        error = self.failing("plc.write", "point=a", "value:=5")
        self.assertEqual(error["name"], "DEADLINE_EXCEEDED")
        self.assertIn(f"a: no answer within {300 * hub.SLOW} ms: it may have been written", error["message"])
        self.assertEqual(error["details"], {"written": {}, "may_be_written": True})
        self.until(lambda: unit.get("holding", 1) == [5], "the value in the unit")
        self.assertEqual([r for r in unit.asked() if r[0] == WRITE_REGISTER], [(WRITE_REGISTER, 1, 1)])
        self.assertEqual(self.first("plc.down", 1)[0]["why"], f"no answer within {300 * hub.SLOW} ms")
        unit("silent 0")
        self.first("plc.up", 2)

    def test_a_call_whose_time_is_over_before_it_was_its_turn_writes_nothing(self):
        unit = self.unit()
        self.devices(self.device({"a": "holding 1"}))
        self.first("plc.data", 1)
        unit("silent 1")
        self.until(unit.asked, "a reading that is waited for")
        error = self.failing("plc.write", "point=a", "value:=1", "--timeout", "200ms")
        self.assertEqual(error["name"], "DEADLINE_EXCEEDED")
        self.assertEqual(self.failing("plc.read", "--timeout", "200ms")["name"], "DEADLINE_EXCEEDED")
        self.assertEqual(unit.asked(), [])
        unit.end()
        unit = self.unit(unit.first)
        self.first("plc.up", 2)
        self.assertEqual(self.call("plc.read"), {"a": 0})
        self.assertEqual({r[0] for r in unit.asked()}, {3})


class Others(Modbus):
    """Peers that are no Modbus units."""

    def peer(self, answer):
        """A listener whose connections get the bytes of answer(request); None: nothing."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def serve():
            while True:
                try:
                    s, _ = listener.accept()
                except OSError:
                    return
                with s:
                    s.settimeout(hub.DEADLINE)
                    if answer(b"") is not None:
                        s.sendall(answer(b""))
                    try:
                        request = s.recv(300)
                        while request:
                            if answer(request) is not None:
                                s.sendall(answer(request))
                            request = s.recv(300)
                    except OSError:
                        pass
        threading.Thread(target=serve, daemon=True).start()
        return listener.getsockname()[1]

    def test_one_that_says_nothing_is_down_and_tried_again(self):
        port = self.peer(lambda request: None)
        self.devices(self.device({"a": "input 1"}, f"timeout: 50ms, {SOON}", port=port))
        self.assertEqual(self.first("plc.down", 1)[0]["why"], "no answer within 50 ms")
        stats = self.until_stats("plc", lambda s: s["timeouts"] >= 3, "more attempts")
        self.assertEqual((stats["up"], stats["frames"]), (False, 0))

    def test_answers_that_are_none_are_counted_and_end_the_connection(self):
        def other_number(request):
            return request and struct.pack(">H", 99) + request[2:7] + b"\x04\x02\0\0" or None
        for name, answer in [("junk", lambda r: b"\xde\xad\xbe\xef" * 70 if r else None),
                             ("number", other_number),
                             ("short", lambda r: r and r[:4] + struct.pack(">HB", 3, 1) + b"\x04\x00" or None),
                             ("other", lambda r: r and r[:4] + struct.pack(">HB", 5, 1) + b"\x03\x02\0\0" or None)]:
            port = self.peer(answer)
            entry = self.device({"a": "input 1"}, PATIENT, port=port)
            (self.devices if name == "junk" else self.reload)(entry)
            self.until_stats("plc", lambda s: s["malformed"] >= 2, name)
            stats = self.stats("plc")
            self.assertEqual((stats["frames"], stats["up"]), (0, False), name)
        self.assertEqual({p["why"] for p in self.first("plc.down", 4)}, {"the answer is none: it does not fit"})

    def reload(self, entry):
        with open(self.path("prong.yaml"), "w", encoding="utf-8") as file:
            file.write(self.config_of(entry))
        self.ok("reload")

    def test_one_that_talks_unasked_is_left(self):
        port = self.peer(lambda request: b"220 welcome\r\n" if not request else None)
        self.devices(self.device({}, f"timeout: 1s, {SOON}", port=port))
        self.assertEqual(self.first("plc.down", 1)[0]["why"], "the peer has sent what nobody asked for")


class Serial(Modbus):
    @unittest.skipUnless(shutil.which("socat"), "SKIP: needs socat")
    def test_a_unit_on_a_line_is_read_written_and_comes_back(self):
        ends = [self.path("device"), self.path("unit")]
        port = self.path("port")  # there as soon as the unit listens
        line = self.socat(ends)
        unit = self.server = Unit(self, "rtu", ends[1])
        unit("set input 3 42")
        os.symlink(ends[0], port)
        self.devices(self.entry({"a": "input 3", "b": "holding 1"}, port))
        self.assertEqual(self.known(2), {"a": 42, "b": 0})
        self.assertEqual(self.first("plc.up", 1)[0]["peer"], port)
        self.assertEqual(self.call("plc.write", "point=b", "value:=7"), {"b": 7})
        self.assertEqual(unit.get("holding", 1), [7])
        unit("refuse holding 1")
        self.assertEqual(self.first("plc.fault", 1)[0]["points"], ["b"])
        os.unlink(port)
        line.terminate()
        line.wait()
        self.first("plc.down", 1)
        unit.end()
        self.socat(ends)
        Unit(self, "rtu", ends[1])("set input 3 43")
        os.symlink(ends[0], port)
        self.first("plc.up", 2)
        self.until(lambda: self.call("plc.read")["a"] == 43, "the unit that is back")

    def socat(self, ends):
        child = subprocess.Popen(["socat", *(f"pty,raw,echo=0,link={end}" for end in ends)], env=self.env)
        self.children.append(child)
        self.until(lambda: all(os.path.exists(end) for end in ends), "the line")
        return child

    @staticmethod
    def entry(points, path):
        listed = ", ".join(f"{key}: {words}" for key, words in points.items())
        return f"plc: {{kind: modbus, path: {path}, {PATIENT}, points: {{{listed}}}}}"

    def test_noise_on_the_line_is_read_once_more_and_then_told(self):
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        self.addCleanup(os.close, slave)
        tty.setraw(slave)
        self.devices(self.entry({"a": "input 1"}, os.ttyname(slave) + ", baud: 9600, stop: 2"))
        good = self.framed(b"\x01\x04\x02\x00\x09")
        bad = good[:-1] + bytes([good[-1] ^ 1])
        for answer in (bad, good):
            self.assertEqual(self.request(master), self.framed(b"\x01\x04\x00\x01\x00\x01"))
            os.write(master, answer)
        self.assertEqual(self.values("plc.data", 1), [{"a": 9}])
        flags = termios.tcgetattr(slave)
        self.assertEqual((flags[4:6], flags[2] & termios.CSTOPB), (2 * [termios.B9600], termios.CSTOPB))
        self.assertEqual(self.stats("plc")["malformed"] + self.stats("plc")["reconnects"], 0)
        for _ in range(2):
            self.request(master)
            os.write(master, bad)
        self.assertEqual(self.first("plc.down", 1)[0]["why"], "the answer is none: its check sum is wrong")
        self.ok("down")  # before the terminal, whose number may be another test's next

    @staticmethod
    def framed(data):
        crc = 0xffff
        for byte in data:
            crc ^= byte
            for _ in range(8):
                crc = crc >> 1 ^ 0xa001 if crc & 1 else crc >> 1
        return data + struct.pack("<H", crc)

    def request(self, master):
        data = b""
        while len(data) < 8:
            self.assertTrue(select.select([master], [], [], hub.DEADLINE)[0], "no request")
            data += os.read(master, 8 - len(data))
        return data


class Options(Modbus):
    def test_wrong_ones_are_told(self):
        for options, text in [
                ("", "2:3: device 'plc' of kind modbus needs 'host' or 'path'"),
                ("host: a, path: /b", "device 'plc' has 'host' or 'path', not both"),
                ("host: a, parity: odd", "'parity' belongs to 'path', which device 'plc' does not have"),
                ("path: /b, port: 502", "'port' belongs to 'host', which device 'plc' does not have"),
                ("host: a, unit: 256", "'unit' must be a whole number from 0 to 255"),
                ("host: a, unit: 250", "2:32: 'unit' of device 'plc' cannot be 250: it is 1 to 247, or 0 or 255"),
                ("host: a, points: {t: input 12 int61}", "2:44: 't' in 'points' cannot be 'input 12 int61': 'int61' is no type"),
                ("host: a, points: {t: coil 70000}", "behind the table stands an address from 0 to 65535")]:
            path = self.path("bad.yaml")
            with open(path, "w", encoding="utf-8") as file:
                file.write(self.config_of(f"plc: {{kind: modbus, {options}}}"))
            self.assertIn(text, self.fails(6, "config", "check", "bad.yaml", where=False).err)

    def test_the_device_itself_ends_with_78_for_wrong_ones(self):
        program = os.path.join(hub.BIN, "prong-modbus")
        for options, text in [({"host": "a", "unit": 250}, "'unit' cannot be 250: it is 1 to 247, or 0 or 255"),
                              ({"path": "/b", "unit": 0}, "'unit' cannot be 0: it is 1 to 247 on a serial line"),
                              ({"host": "a", "path": "/b"}, "kind modbus needs either 'host' or 'path'"),
                              ({"host": "a", "points": {"t": "coil"}}, "'points' of kind modbus must be a map")]:
            setting = json.dumps({"kind": "modbus", **options})
            done = subprocess.run([program], env={**self.env, "PRONG_DEVICE": setting}, capture_output=True, text=True,
                                  timeout=hub.DEADLINE, check=False)
            self.assertEqual(done.returncode, 78, done)
            self.assertIn(text, done.stderr)

    def test_a_port_that_is_not_there_is_down(self):
        with open(self.path("no-terminal"), "w", encoding="utf-8"):
            pass
        self.devices(f"a: {{kind: modbus, path: {self.path('none')}}}",
                     f"b: {{kind: modbus, path: {self.path('no-terminal')}}}",
                     "c: {kind: modbus, host: no-such-host.invalid}")
        self.assertEqual(self.first("a.down", 1)[0]["why"], "No such file or directory")
        self.assertEqual(self.first("b.down", 1)[0]["why"], "not a terminal")
        self.assertTrue(self.first("c.down", 1)[0]["why"])


class Absent(kit.Case):
    def test_without_the_library_the_program_says_what_has_it(self):
        done = subprocess.run([os.path.join(TEST_BIN, "prong-modbus-absent")], capture_output=True, text=True,
                              timeout=hub.DEADLINE, check=False)
        self.assertEqual(done.returncode, 78)
        self.assertIn("built without libmodbus: the package libmodbus-dev has it", done.stderr)


if __name__ == "__main__":
    kit.main()
