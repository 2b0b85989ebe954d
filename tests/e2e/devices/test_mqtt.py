"""prong-mqtt with a real broker: messages in and out, at each qos, held up, killed and back."""
import glob
import json
import os
import signal
import subprocess
import unittest

import broker
import kit

MANY = 10000
SOON = "reconnect_min: 20ms, reconnect_max: 100ms"
UNAVAILABLE = EXHAUSTED = 151
MISSING = broker.missing()


class Case(kit.Case):
    def broker(self, *lines, name="broker"):
        return broker.Broker(self, *lines, name=name)

    @staticmethod
    def entry(peer, options="topics: ['#']", name="m"):
        return f"{name}: {{kind: mqtt, host: 127.0.0.1, port: {peer.port}, {SOON}, {options}}}"

    def pid(self, name="m"):
        return self.until(lambda: self.replicas(name)[0]["pid"], "a pid")

    def log(self):
        return self.ok("logs", "m", "-o", "raw").out


@unittest.skipIf(MISSING, MISSING)
class Reading(Case):
    def test_each_qos_and_each_level(self):
        b = self.broker()
        self.devices(*(self.entry(b, f"topics: [a/+/x, 'b/#'], qos: {qos}", f"q{qos}") for qos in range(3)))
        for qos in range(3):
            self.first(f"q{qos}.up", 1)
        for qos in range(3):
            b.publish("a/1/x", f"message {qos}", qos=qos)
            b.publish("a/1/y", "nobody's")
        b.publish("b", "the last", qos=2)
        for qos in range(3):
            payloads = sorted(self.first(f"q{qos}.data", 4), key=lambda p: p["value"])
            self.assertEqual([(p["value"], p["topic"], p["qos"]) for p in payloads],
                             [(f"message {n}", "a/1/x", min(n, qos)) for n in range(3)] + [("the last", "b", min(2, qos))])
            self.assertEqual({frozenset(p) for p in payloads},
                             {frozenset(("value", "topic", "qos", "time_us", "mono_ns"))})
            self.assertEqual(self.stats(f"q{qos}")["unwanted"], 0)

    def test_what_is_retained_comes_first_and_not_again_with_a_session_that_stands(self):
        b = self.broker()
        b.publish("state", "on", more=["-r"])
        self.devices(self.entry(b))
        payload = self.first("m.data", 1)[0]
        self.assertEqual((payload["value"], payload["retain"]), ("on", True))
        # The broker ends the connection; the session stays.
        b.listen("none", 1, more=["-c"], name=self.stats("m")["client_id"]).kill()
        self.assertEqual(self.first("m.up", 2)[1]["session"], True)
        b.publish("state", "off")
        payload = self.first("m.data", 2)[1]
        self.assertEqual((payload["value"], payload.get("retain")), ("off", None))

    def test_what_cannot_be_read_is_malformed_and_has_its_topic(self):
        b = self.broker()
        self.devices(self.entry(b, "topics: ['#'], decode: json, max_bytes: 10B"))
        self.first("m.up", 1)
        for text in ("[1]", "{", "nonsense", "[2]", '"12345678901"', "3"):
            b.publish("t", text)
        self.assertEqual(self.values("m.data", 3), [[1], [2], 3])
        told = self.first("m.malformed", 2)
        self.assertTrue(told[0]["why"].startswith("t: line 1"), told)
        self.assertEqual((told[1]["why"], told[1]["count"]), ("t: longer than max_bytes", 3))
        b.publish("t")
        self.until_stats("m", lambda s: s["malformed"] == 4, "an empty message that is no JSON")

    def test_a_topic_that_is_too_long_for_a_reason_is_cut_between_characters(self):
        b = self.broker()
        self.devices(self.entry(b, "topics: ['#'], decode: json"))
        self.first("m.up", 1)
        b.publish("x" + 300 * "\u00e4", "{")
        why = self.first("m.malformed", 1)[0]["why"]
        self.assertTrue(why.startswith("x\u00e4\u00e4"), why)
        self.assertIn("line 1", why)
        self.assertEqual(self.stats("m")["dropped"], 0)

    def test_ten_thousand_messages_arrive_in_order_and_none_is_lost(self):
        b = self.broker()
        self.devices(self.entry(b, "topics: ['#'], decode: number"))
        self.first("m.up", 1)
        reader = self.start("events", "m.data", "--from", "oldest", "--count", str(MANY), "-o", "jsonl")
        b.publish("t", *range(MANY))
        done = self.end(reader)
        self.assertEqual([json.loads(line)["payload"]["value"] for line in done.out.splitlines()],
                         list(range(MANY)))
        stats = self.stats("m")
        self.assertEqual((stats["frames"], stats["dropped"], stats["waiting"], stats["reconnects"]), (MANY, 0, 0, 0))

    def test_nothing_is_acknowledged_before_the_hub_has_it(self):
        b = self.broker()
        self.devices(self.entry(b, "topics: ['#'], decode: number"))
        self.first("m.up", 1)
        stopped = self.broker_of_the_hub()
        os.kill(stopped, signal.SIGSTOP)
        try:
            b.publish("t", *range(1000))
            self.until(lambda: "Sending PUBLISH to prong-m-" in b.said(), "a message for the device")
            self.assertNotIn("Received PUBACK from prong-m-", b.said())
        finally:
            os.kill(stopped, signal.SIGCONT)
        self.assertEqual(self.values("m.data", 1000), list(range(1000)))
        self.until(lambda: b.said().count("Received PUBACK from prong-m-") == 1000, "all acknowledgements")
        self.assertEqual(self.stats("m")["dropped"], 0)

    def broker_of_the_hub(self):
        return kit.Case.broker(self)

    def test_what_the_hub_died_with_is_asked_for_again(self):
        b = self.broker()
        self.devices(self.entry(b, "topics: ['#'], decode: number"))
        self.first("m.up", 1)
        pid, old = self.pid(), self.broker_of_the_hub()
        os.kill(old, signal.SIGSTOP)
        b.publish("t", *range(10))
        self.until(lambda: b.said().count("Sending PUBLISH to prong-m-") == 10, "the messages for the device")
        os.kill(old, signal.SIGKILL)
        self.until(lambda: self.broker_of_the_hub() != old, "another one")
        self.until(lambda: {p["value"] for p in self.events("m.data")} == set(range(10)), "all messages in the new hub")
        self.assertEqual(self.pid(), pid)

    def events(self, topic):
        """The payloads of a topic so far."""
        self.marks = getattr(self, "marks", 0) + 1
        mark = f"mark.{self.marks}"
        self.ok("emit", mark)
        done = self.ok("events", topic, mark, "--from", "oldest", "--until", mark, "-o", "jsonl")
        return [e["payload"] for e in done.lines() if e["topic"] == topic]

    def test_a_device_that_is_killed_in_the_middle_loses_nothing_at_qos_1(self):
        count = MANY // 2
        b = self.broker()
        self.devices(self.entry(b, "topics: ['#'], decode: number"), more="hub: {events_size: 64MiB}\n")
        self.first("m.up", 1)
        pid = self.pid()
        pub = subprocess.Popen([broker.PUB, "-h", "127.0.0.1", "-p", str(b.port), "-t", "t", "-q", "1", "-l"],
                                      stdin=subprocess.PIPE, env=self.env)
        self.children.append(pub)
        pub.stdin.write("".join(f"{n}\n" for n in range(count)).encode())
        pub.stdin.close()
        self.until_stats("m", lambda s: s["frames"] > 500, "the first messages")
        os.kill(pid, signal.SIGKILL)
        self.assertEqual(pub.wait(kit.hub.DEADLINE), 0)
        pub.stdin = None
        self.until(lambda: self.pid() != pid, "another process")
        self.until(lambda: b.said().count("Received PUBACK from prong-m-") >= count, "all acknowledgements")
        values = [p["value"] for p in self.events("m.data")]
        self.assertEqual(set(values), set(range(count)))
        # Once it goes back to what the broker had no acknowledgement of, and otherwise on.
        jumps = [(a, b) for a, b in zip(values, values[1:]) if b != a + 1]
        self.assertTrue(len(jumps) <= 1 and all(b <= a for a, b in jumps), jumps)
        self.assertTrue(self.first("m.up", 2)[1]["session"])

    def test_the_broker_keeps_what_comes_while_the_device_is_away_also_over_its_own_end(self):
        b = self.broker("persistence true", "persistence_location {folder}/")
        self.devices(self.entry(b, "topics: ['#'], qos: 2"))
        self.assertFalse(self.first("m.up", 1)[0]["session"])
        b.kill(signal.SIGTERM)
        self.assertEqual(self.first("m.down", 1)[0]["why"], "the broker has closed the connection")
        self.ok("stop", "m")
        downs = len(self.events("m.down"))
        b.start()
        b.publish("t", "one", "two", qos=1)
        b.publish("t", "three", qos=2)
        b.publish("t", "not kept", qos=0)
        b.kill(signal.SIGTERM)
        self.ok("start", "m", "--no-wait")
        self.assertEqual(self.first("m.down", downs + 1)[-1]["why"], "Connection refused")
        b.start()
        self.assertTrue(self.first("m.up", 2)[1]["session"])
        self.assertEqual(sorted(p["value"] for p in self.first("m.data", 3)), ["one", "three", "two"])
        self.assertGreater(self.stats("m")["reconnects"], 0)

    def test_with_clean_the_broker_keeps_nothing_while_the_device_is_away(self):
        b = self.broker()
        self.devices(self.entry(b, "topics: ['#'], clean: true"))
        self.first("m.up", 1)
        self.ok("stop", "m")
        b.publish("t", "not kept")
        self.ok("start", "m")
        self.assertFalse(self.first("m.up", 2)[1]["session"])
        b.publish("t", "new")
        self.assertEqual(self.values("m.data", 1), ["new"])

    def test_a_broker_that_forgot_everything_is_subscribed_to_again(self):
        b = self.broker()
        self.devices(self.entry(b))
        self.first("m.up", 1)
        pid = self.pid()
        b.kill()
        self.first("m.down", 1)
        b.start()
        self.assertFalse(self.first("m.up", 2)[1]["session"])
        b.publish("t", "still here")
        self.assertEqual(self.values("m.data", 1), ["still here"])
        self.assertEqual(self.pid(), pid)

    def test_a_paused_device_takes_nothing_and_stays_connected(self):
        b = self.broker()
        self.devices(self.entry(b, "topics: ['#'], keepalive: 5s"))
        self.first("m.up", 1)
        self.call("m.pause")
        b.publish("t", "one", "two")
        self.until(lambda: b.said().count("Received PINGREQ from prong-m-") >= 2, "pings while nothing is read")
        self.assertEqual(self.stats("m")["frames"], 0)
        self.assertNotIn("Received PUBACK from prong-m-", b.said())
        self.assertEqual(self.call("m.publish", "topic=other", "payload=x", "qos:=1"), {"bytes": 1, "qos": 1})
        self.call("m.resume")
        self.assertEqual(self.values("m.data", 3), ["one", "two", "x"])
        stats = self.stats("m")
        self.assertEqual((stats["reconnects"], stats["up"]), (0, True))

    def test_a_session_that_is_older_than_the_topics_says_so(self):
        b = self.broker()
        self.devices(self.entry(b, "topics: [old]"))
        self.first("m.up", 1)
        with open(self.path("prong.yaml"), "w", encoding="utf-8") as file:
            file.write(self.config_of(self.entry(b, "topics: [new]")))
        self.ok("reload")
        self.assertTrue(self.first("m.up", 2)[1]["session"])
        b.publish("old", "x")
        b.publish("new", "y")
        self.assertEqual(self.values("m.data", 1), ["y"])
        self.assertEqual(self.stats("m")["unwanted"], 1)
        self.assertIn("which no filter stands for", self.log())

    def test_the_will_is_executed_when_it_dies_and_not_when_it_is_stopped(self):
        b = self.broker()
        self.devices(self.entry(b, "will_topic: state/m, will_payload: gone, will_retain: true, will_qos: 0"))
        self.first("m.up", 1)
        heard = b.listen("state/#", 1)
        os.kill(self.pid(), signal.SIGKILL)
        self.assertEqual(b.heard(heard), ["state/m 0 0 gone"])
        self.first("m.up", 2)
        heard = b.listen("state/#", 2)
        self.ok("stop", "m")
        b.publish("state/other", "nothing before this")
        self.assertEqual(b.heard(heard), ["state/m 0 1 gone", "state/other 1 0 nothing before this"])

    def test_a_local_socket_will_do(self):
        b = self.broker(name="local")
        self.devices(f"m: {{kind: mqtt, host: {self.path('mqtt.sock')}, topics: [t], {SOON}}}")
        self.assertEqual(self.first("m.up", 1)[0]["peer"], self.path("mqtt.sock"))
        self.call("m.publish", "topic=t", "payload=by itself")
        self.assertEqual(self.values("m.data", 1), ["by itself"])
        self.assertIsNone(b.child.poll())


@unittest.skipIf(MISSING, MISSING)
class Subscribing(Case):
    def topics(self):
        return self.stats("m")["topics"]

    def test_at_run_time_and_over_broken_connections_until_the_device_is_started_anew(self):
        b = self.broker()
        b.publish("later/kept", "on", more=["-r"])
        self.devices(self.entry(b, "topics: [first]"))
        self.first("m.up", 1)
        self.assertEqual(self.call("m.subscribe", "topic=later/+", "qos:=2"), {"topic": "later/+", "qos": 2})
        self.assertEqual(self.first("m.data", 1)[0]["retain"], True)
        self.assertEqual(self.topics(), {"first": 1, "later/+": 2})
        b.publish("later/x", "at two", qos=2)
        self.assertEqual(self.first("m.data", 2)[1]["qos"], 2)
        b.kill()  # and it forgets everything
        self.first("m.down", 1)
        self.assertIn("not connected: ", self.call("m.subscribe", "topic=never", code=1))
        b.start()
        self.assertFalse(self.first("m.up", 2)[1]["session"])
        b.publish("later/x", "again")
        b.publish("first", "as before")
        self.assertEqual(self.values("m.data", 4), ["on", "at two", "again", "as before"])
        b.listen("none", 1, more=["-c"], name=self.stats("m")["client_id"]).kill()  # the session stays
        self.assertTrue(self.first("m.up", 3)[2]["session"])
        b.publish("later/x", "with the session")
        self.assertEqual(self.values("m.data", 5)[4], "with the session")
        self.ok("restart", "m")
        # How often it was up before that the listener decides, too, which takes its place as long as it lives.
        self.until(lambda: self.topics() == {"first": 1}, "a device with the topics of its configuration")
        b.publish("later/x", "of an older session")
        b.publish("first", "of this one")
        self.assertEqual(self.values("m.data", 6)[5], "of this one")
        self.assertEqual(self.stats("m")["unwanted"], 1)
        self.assertEqual(self.call("m.unsubscribe", "topic=later/+"), {"topic": "later/+"})
        b.publish("later/x", "not sent")
        b.publish("first", "sent")
        self.assertEqual(self.values("m.data", 7)[6], "sent")
        self.assertEqual(self.stats("m")["unwanted"], 1)

    def test_what_a_broker_has_taken_one_by_one_it_takes_again(self):
        b = self.broker("max_packet_size 1000")
        self.devices(self.entry(b, "topics: [first]"))
        self.first("m.up", 1)
        for n in range(10):
            self.call("m.subscribe", f"topic={n:0200}")
        b.kill()
        self.first("m.down", 1)
        b.start()
        self.first("m.up", 2)
        b.publish(f"{9:0200}", "x")
        self.assertEqual(self.values("m.data", 1), ["x"])

    def test_what_is_unsubscribed_from_comes_no_more_also_of_the_configuration(self):
        b = self.broker()
        self.devices(self.entry(b, "topics: [a, b], qos: 0"))
        self.first("m.up", 1)
        self.assertEqual(self.call("m.unsubscribe", "topic=a"), {"topic": "a"})
        self.assertEqual(self.call("m.subscribe", "topic=b", "qos:=1"), {"topic": "b", "qos": 1})
        self.assertEqual(self.topics(), {"b": 1})
        b.kill()
        self.first("m.down", 1)
        b.start()
        self.first("m.up", 2)
        b.publish("a", "no")
        b.publish("b", "yes")
        payload = self.first("m.data", 1)[0]
        self.assertEqual((payload["value"], payload["qos"], self.stats("m")["unwanted"]), ("yes", 1, 0))

    def test_the_broker_may_grant_less_or_nothing(self):
        plugins = glob.glob("/usr/lib/*/mosquitto_dynamic_security.so")
        if not plugins:
            self.skipTest("SKIP: the broker has no plugin for access")
        with open(self.path("access.json"), "w", encoding="utf-8") as file:
            json.dump({"defaultACLAccess": {"publishClientSend": True, "publishClientReceive": True,
                                            "subscribe": False, "unsubscribe": True},
                       "roles": [{"rolename": "r", "acls": [{"acltype": "subscribePattern", "topic": "open/#",
                                                             "priority": 0, "allow": True}]}],
                       "groups": [{"groupname": "g", "clients": [], "roles": [{"rolename": "r"}]}],
                       "anonymousGroup": "g"}, file)
        b = self.broker("plugin " + plugins[0], "plugin_opt_config_file {folder}/access.json", "max_qos 1")
        self.devices(self.entry(b, "topics: [open/1], version: '5'"))
        self.first("m.up", 1)
        self.assertEqual(self.call("m.subscribe", "topic=open/#", "qos:=2"), {"topic": "open/#", "qos": 1})
        self.assertIn("the broker refuses it: Not authorized", self.call("m.subscribe", "topic=secret", code=1))
        self.assertEqual(self.topics(), {"open/1": 1, "open/#": 1})
        b.publish("open/2", "x")
        self.assertEqual(self.values("m.data", 1), ["x"])

    def test_messages_that_come_before_the_answer_are_no_obstacle(self):
        b = self.broker()
        with open(self.path("kept"), "w", encoding="utf-8") as file:
            file.write("".join(json.dumps({"topic": f"kept/{n}", "payload": str(n), "retain": True}) + "\n"
                               for n in range(500)))
        self.devices(self.entry(b, "topics: []"), self.entry(b, "topics: []", "writer"))
        self.first("m.up", 1)
        self.ok("call", "writer.publish", "--map", self.path("kept"))
        self.assertEqual(self.call("m.subscribe", "topic=#"), {"topic": "#", "qos": 1})
        self.assertEqual(set(self.values("m.data", 500)), {str(n) for n in range(500)})
        self.assertEqual(self.stats("m")["dropped"], 0)

    def test_what_cannot_be_subscribed_to_is_said(self):
        b = self.broker()
        self.devices(self.entry(b))
        self.first("m.up", 1)
        for words, expected in [
                (("subscribe",), "'topic' must be a filter"),
                (("subscribe", "topic="), "at least one character"),
                (("subscribe", "topic=a/#/b"), "# the whole last one"),
                (("subscribe", "topic=$share/g"), "$share/GROUP/FILTER"),
                (("subscribe", "topic:=\"a\\u0000b\""), "no NUL"),
                (("subscribe", "topic=" + "x" * 1025), "at most 1024 bytes"),
                (("subscribe", "topic=a", "qos:=3"), "'qos' is 0, 1 or 2"),
                (("unsubscribe", "topic=a+"), "+ is a whole level")]:
            self.assertIn(expected, self.call("m." + words[0], *words[1:], code=1))
        self.call("m.pause")
        self.assertIn("the device is paused", self.call("m.subscribe", "topic=a", code=1))
        self.call("m.resume")
        with open(self.path("many"), "w", encoding="utf-8") as file:
            file.write("".join(json.dumps({"topic": f"t/{n}"}) + "\n" for n in range(127)))
        self.ok("call", "m.subscribe", "--map", self.path("many"))
        self.assertEqual(len(self.topics()), 128)
        self.assertIn("at most 128 filters", self.call("m.subscribe", "topic=one/more", code=EXHAUSTED))
        self.assertEqual(self.call("m.subscribe", "topic=t/0", "qos:=0"), {"topic": "t/0", "qos": 0})


@unittest.skipIf(MISSING, MISSING)
class Writing(Case):
    def test_each_qos_retained_or_not_and_send(self):
        b = self.broker()
        self.devices(self.entry(b, "qos: 2, publish_topic: line/out, decode: json"))
        heard = b.listen("#", 5)
        for qos in (0, 1):
            self.assertEqual(self.call("m.publish", "topic=a", "payload:=[1]", f"qos:={qos}"), {"bytes": 3, "qos": qos})
        self.assertEqual(self.call("m.publish", "topic=kept", "payload=x", "retain:=true"), {"bytes": 3, "qos": 2})
        self.assertEqual(self.call("m.send", "data:={\"n\": 1}"), {"bytes": 7, "qos": 2})
        self.assertEqual(self.call("m.send", "data:=2", "to=else/" + 100 * "where"), {"bytes": 1, "qos": 2})
        self.assertEqual(sorted(b.heard(heard)), ["a 0 0 [1]", "a 1 0 [1]", "else/" + 100 * "where" + " 2 0 2", 'kept 2 0 "x"',
                                                  'line/out 2 0 {"n":1}'])
        self.assertEqual(b.heard(b.listen("kept", 1)), ['kept 2 1 "x"'])
        self.call("m.publish", "topic=kept", "retain:=true")
        heard = b.listen("#", 1)
        self.call("m.publish", "topic=end", "payload:=0")
        self.assertEqual(b.heard(heard), ["end 2 0 0"])
        stats = self.stats("m")
        self.assertEqual((stats["sends"], stats["sent_bytes"]), (7, 18))

    def test_what_cannot_be_published_is_said(self):
        b = self.broker()
        self.devices(self.entry(b, "decode: number"))
        for words, expected in [
                (("payload:=1",), "publish needs 'topic'"),
                (("topic=", "payload:=1"), "at least one character"),
                (("topic=a/+", "payload:=1"), "+ and # stand for several topics"),
                (("topic=a/#", "payload:=1"), "+ and # stand for several topics"),
                (("topic:=\"a\\u0000b\"", "payload:=1"), "no NUL"),
                (("topic=" + "x" * 65536, "payload:=1"), "at most 65535 bytes"),
                (("topic=a", "payload:=[1]"), "'payload' must be"),
                (("topic=a", "payload:=1", "qos:=3"), "'qos' is 0, 1 or 2"),
                (("topic=a", "payload:=1", "retain=yes"), "'retain' is true or false"),
                (("topic=a", "payload:=1", "retian:=true"), "no argument 'retian'; it has topic, payload"),
                (("topic=a", "payload:=1", "properties:={}"), "need version: 5")]:
            self.assertIn(expected, self.call("m.publish", *words, code=1))
        self.assertIn("'to' must be a topic", self.call("m.send", "data:=1", code=1))
        self.assertIn("+ and # stand", self.call("m.send", "data:=1", "to=#", code=1))
        self.assertIn("without a zero byte", self.call("m.send", "data:=1", "to:=\"a\\u0000b\"", code=1))
        self.assertIn("at most 65535 bytes", self.call("m.send", "data:=1", "to=" + "x" * 65536, code=1))
        self.assertEqual(self.stats("m")["sends"], 0)

    def test_nobody_there_is_said_at_once_and_somebody_is_found_again(self):
        b = self.broker()
        self.devices(self.entry(b))
        self.assertEqual(self.call("m.publish", "topic=t", "payload=1"), {"bytes": 1, "qos": 1})
        b.kill()
        self.first("m.down", 1)
        self.assertIn("not connected: Connection refused", self.call("m.publish", "topic=t", "payload=2", code=1))
        b.start()
        self.first("m.up", 2)
        self.assertEqual(self.call("m.publish", "topic=t", "payload=3"), {"bytes": 1, "qos": 1})
        self.assertEqual(self.values("m.data", 2), ["1", "3"])

    def test_a_connection_that_ends_before_the_answer_leaves_it_open_and_nothing_is_sent_later(self):
        published = []

        def serve(connection, _number):
            name = broker.client_of(broker.packet(connection)[1])
            connection.sendall(b"\x20\x02\x00\x00")
            if name.endswith("-send"):
                published.append(broker.packet(connection))
                connection.close()
        peer = broker.Fake(self, serve)
        self.devices(self.entry(peer, "qos: 1"))
        self.first("m.up", 1)
        for n in (1, 2):
            self.assertIn("it may have arrived, the broker has not answered: the broker has closed the connection",
                          self.call("m.publish", "topic=t", f"payload={n}", code=UNAVAILABLE))
        self.assertEqual([body[-1:] for _, body in published], [b"1", b"2"])

    def test_properties_come_and_go_with_version_5(self):
        b = self.broker()
        self.devices(self.entry(b, "topics: [in, '$share/g/work/+'], version: '5'"),
                     self.entry(b, "version: '5', qos: 1", "other"))
        self.first("m.up", 1)
        b.publish("in", more=["-V", "5", *(word for pair in [
            ("user-property", "unit", "mm"), ("user-property", "unit", "cm"), ("user-property", "", "empty"),
            ("response-topic", "answers/1"), ("correlation-data", "abc"), ("content-type", "text/plain"),
            ("message-expiry-interval", "60")] for word in ("-D", "publish", *pair))])
        payload = self.first("m.data", 1)[0]
        expiry = payload["properties"].pop("message_expiry")
        self.assertIn(expiry, range(1, 61))
        properties = {"user": {"unit": "mm", "": "empty"}, "response_topic": "answers/1",
                      "correlation_data": {"$bin": "YWJj"}, "content_type": "text/plain"}
        self.assertEqual((payload["value"], payload["properties"]), ("", properties))
        text = json.dumps({**properties, "message_expiry": 9})
        self.assertEqual(self.call("other.publish", "topic=work/7", "payload=go", "properties:=" + text),
                         {"bytes": 2, "qos": 1})
        payload = self.first("m.data", 2)[1]
        self.assertEqual((payload["topic"], payload["value"]), ("work/7", "go"))
        self.assertIn(payload["properties"].pop("message_expiry"), range(1, 10))
        self.assertEqual(payload["properties"], properties)
        self.assertEqual(self.call("other.publish", "topic=nobody", "payload=x")["note"], "No matching subscribers")
        self.assertIn("'properties' is a map of", self.call("other.publish", "topic=t", "properties:={\"x\": 1}", code=1))
        self.ok("restart", "m")
        self.assertTrue(self.first("m.up", 2)[1]["session"], "a session of version 5 stands, too")


if __name__ == "__main__":
    kit.main()
