"""Exactly one outcome for every call, whatever happens: the code and `began` of each way to end, as
tests/unit/core/test_outcomes.c has them, with real processes."""
import os
import signal
import socket

import kit
from kit import MAYBE, NO, OP, YES

ECHO = "echo: {command: %s, restart_delay: 10ms%%s}\n" % kit.worker_command()
SLOW_START = "echo: {command: %s, restart_delay: 10ms%%s}\n" % kit.worker_command("wait")
LATE = 6 + kit.SECONDS


@kit.with_nng
class Outcomes(kit.Case):
    def start(self, more="", worker=ECHO, ready=True):
        """A hub with one worker `echo`; its client."""
        self.server = self.hub(worker % more, ready=ready)
        if not ready:
            self.server.wait_listening()
        return self.server.client()

    def ended_once(self, client, seq, result=None, failure=None):
        """Whoever asks again is told the same, on this connection and on another; nothing more comes."""
        self.assertTrue(client.is_silent(), "a second answer came")
        with kit.Client(self.server.url, like=client) as other:
            other.send([OP["WAIT"], client.id, seq, 0])
            if failure is None:
                self.assertEqual(other.end(seq), result)
            else:
                again = self.fails(kit.ERR_NAME[failure.code], failure.began, lambda: other.end(seq))
                self.assertEqual((again.message, again.details), (failure.message, failure.details))
        self.assertEqual(self.server.status()["hub"]["calls"], 1, "the call of status itself is the only one")
        self.assertTrue(self.meet.is_empty(), "the method ran once more")

    def ends(self, client, seq, code, began):
        failure = self.fails(code, began, lambda: client.end(seq))
        self.ended_once(client, seq, failure=failure)
        return failure

    def hold(self, client, method="hold", **more):
        """A call that has begun: (seq, its Met)."""
        seq = client.begin("echo", method, **more)
        return seq, self.meet.next("hold")

    # ---- the worker ----

    def test_a_result(self):
        client = self.start()
        seq, met = self.hold(client)
        met.go()
        self.assertIs(client.end(seq), True)
        self.ended_once(client, seq, result=True)

    def test_an_error_of_the_method(self):
        client = self.start()
        failure = self.ends(client, client.begin("echo", "fail", {"text": "no"}), "INVALID_ARGUMENT", YES)
        self.assertEqual((failure.message, failure.details), ("no", {"type": "ValueError", "k": 5}))

    def test_the_worker_dies_with_it(self):
        client = self.start()
        seq, met = self.hold(client)
        os.kill(met.pid, signal.SIGKILL)
        failure = self.ends(client, seq, "ABORTED", MAYBE)
        self.assertEqual(failure.details, {"replica": "echo/0", "reason": "killed by signal 9", "signal": 9})

    def test_the_worker_exits_with_it(self):
        client = self.start()
        failure = self.ends(client, client.begin("echo", "end", {"code": 5}), "ABORTED", MAYBE)
        self.assertEqual(failure.details["reason"], "exited with 5")

    def test_an_idempotent_one_runs_again_after_a_death(self):
        client = self.start()
        seq, met = self.hold(client, "hold_again")
        os.kill(met.pid, signal.SIGKILL)
        second = self.meet.next("hold")
        self.assertNotEqual(second.pid, met.pid)
        second.go()
        self.assertIs(client.end(seq), True)
        self.ended_once(client, seq, result=True)

    def test_but_not_a_third_time(self):
        client = self.start()
        seq, met = self.hold(client, "hold_again")
        os.kill(met.pid, signal.SIGKILL)
        os.kill(self.meet.next("hold").pid, signal.SIGKILL)
        self.ends(client, seq, "ABORTED", MAYBE)

    def test_a_queued_call_outlives_the_death_of_the_worker(self):
        client = self.start()
        seq, met = self.hold(client)
        queued = self.server.client()
        later = queued.begin("echo", "pid")
        os.kill(met.pid, signal.SIGKILL)
        self.fails("ABORTED", MAYBE, lambda: client.end(seq))
        self.assertNotEqual(queued.end(later), met.pid)

    # ---- deadlines ----

    def test_the_deadline_passes_in_the_queue(self):
        client = self.start()
        running, met = self.hold(self.server.client())
        seq = client.begin("echo", "echo", ttl_ms=300)
        failure = self.fails("DEADLINE_EXCEEDED", NO, lambda: client.end(seq))
        met.go()
        self.assertTrue(running)
        kit.until(lambda: self.server.status()["hub"]["calls"] == 1, "the other call's end")
        self.ended_once(client, seq, failure=failure)

    def test_the_deadline_passes_while_it_runs(self):
        client = self.start()
        seq, met = self.hold(client, ttl_ms=300)
        failure = self.ends(client, seq, "DEADLINE_EXCEEDED", MAYBE)
        met.go()
        # What the worker reports now is too late to change anything, and the worker goes on.
        self.assertEqual(client.call("echo", "pid"), met.pid)
        self.assertEqual(failure.code, kit.ERR["DEADLINE_EXCEEDED"])

    # ---- what is refused ----

    def test_the_queue_is_full(self):
        client = self.start(", queue_size: 1")
        seq, met = self.hold(client)
        waiting = self.server.client()
        second = waiting.begin("echo", "pid")
        self.assertTrue(waiting_is_queued(self.server))
        third = self.server.client()
        failure = self.fails("RESOURCE_EXHAUSTED", NO, lambda: third.call("echo", "pid"))
        self.assertIn("retry_after_ms", failure.details)
        met.go()
        self.assertIs(client.end(seq), True)
        self.assertEqual(waiting.end(second), met.pid)
        self.assertEqual(third.call("echo", "pid"), met.pid)

    def test_names_that_nobody_has(self):
        client = self.start()
        for worker, method, code in (("nobody", "echo", "NOT_FOUND"), ("echo", "nope", "UNIMPLEMENTED"),
                                     ("echo/7", "echo", "NOT_FOUND"), ("hub", "nope", "UNIMPLEMENTED")):
            self.ends(client, client.begin(worker, method), code, NO)

    def test_an_unknown_method_is_told_when_the_worker_has_said_what_it_offers(self):
        client = self.start(worker=SLOW_START, ready=False)
        met = self.meet.next("start")
        seq = client.begin("echo", "nope")
        self.assertTrue(client.is_silent())
        met.go()
        self.ends(client, seq, "UNIMPLEMENTED", NO)

    def test_a_worker_that_is_not_started(self):
        client = self.start(", autostart: false")
        self.ends(client, client.begin("echo", "echo"), "UNAVAILABLE", NO)

    def test_a_worker_that_has_failed(self):
        client = self.start(", restart: \"no\"", worker=SLOW_START, ready=False)
        self.meet.next("start").refuse()
        self.server.wait_replica("echo", "failed")
        self.ends(client, client.begin("echo", "echo"), "UNAVAILABLE", NO)

    def test_a_worker_that_cannot_be_executed(self):
        hub = self.hub("echo: {command: [/nonexistent/program]}", ready=False).wait_listening()
        self.server = hub
        reason = hub.wait_replica("echo", "failed")["reason"]
        self.assertEqual(reason, "could not start: exec '/nonexistent/program': No such file or directory")
        client = hub.client()
        self.ends(client, client.begin("echo", "echo"), "UNAVAILABLE", NO)

    def test_a_worker_whose_folder_is_not_there(self):
        hub = self.hub("echo: {command: [cat], working_dir: none%i, replicas: 2}", ready=False).wait_listening()
        reason = hub.wait_replica("echo", "failed", 1)["reason"]
        self.assertRegex(reason, "^could not start: working folder '.*none1': No such file or directory$")

    def test_a_worker_in_a_crash_loop(self):
        client = self.start(", max_restarts: 2", worker="echo: {command: %s, restart_delay: 5ms%%s}\n"
                            % kit.worker_command("exit"), ready=False)
        replica = self.server.wait_replica("echo", "failed")
        self.assertEqual(replica["restarts"], 2)
        self.ends(client, client.begin("echo", "echo"), "UNAVAILABLE", NO)

    # ---- what happens while it waits ----

    def test_the_worker_fails_meanwhile(self):
        client = self.start(", restart: \"no\"", worker=SLOW_START, ready=False)
        met = self.meet.next("start")
        seq = client.begin("echo", "echo")
        self.assertTrue(client.is_silent())
        met.refuse()
        self.ends(client, seq, "UNAVAILABLE", NO)

    def test_the_worker_is_stopped_meanwhile(self):
        client = self.start(worker=SLOW_START, ready=False)
        self.meet.next("start")
        seq = client.begin("echo", "echo")
        self.assertTrue(client.is_silent())
        self.server.client().admin("stop", worker="echo")
        self.ends(client, seq, "UNAVAILABLE", NO)

    def test_a_running_call_may_end_while_its_worker_is_stopped(self):
        client = self.start()
        seq, met = self.hold(client)
        self.server.client().admin("stop", worker="echo")
        self.assertEqual(self.server.replicas("echo")[0]["state"], "draining")
        met.go()
        self.assertIs(client.end(seq), True)
        self.server.wait_replica("echo", "stopped")

    def test_the_hub_is_stopped_meanwhile(self):
        client = self.start()
        running, met = self.hold(client)
        other = self.server.client()
        queued = other.begin("echo", "echo")
        self.assertTrue(waiting_is_queued(self.server))
        self.server.process.send_signal(signal.SIGTERM)
        self.fails("UNAVAILABLE", NO, lambda: other.end(queued))
        self.fails("UNAVAILABLE", NO, lambda: other.call("echo", "echo"))
        met.go()
        self.assertIs(client.end(running), True)
        self.assertEqual(self.server.wait_end(), 0)

    # ---- cancel ----

    def cancel(self, client, seq):
        with kit.Client(self.server.url, like=client) as other:
            self.assertEqual(other.ask([OP["CANCEL"], client.id, seq]), [[OP["ACK"], seq, 0]])

    def test_cancelled_in_the_queue(self):
        client = self.start(worker=SLOW_START, ready=False)
        self.meet.next("start")
        seq = client.begin("echo", "echo")
        self.assertTrue(client.is_silent())
        self.cancel(client, seq)
        self.ends(client, seq, "CANCELLED", NO)

    def test_cancelled_while_running(self):
        client = self.start()
        seq, met = self.hold(client)
        self.cancel(client, seq)
        self.ends(client, seq, "CANCELLED", MAYBE)
        met.go()
        self.assertEqual(client.call("echo", "pid"), met.pid)
        self.cancel(client, seq)
        self.cancel(client, 10**9)

    # ---- the client ----

    def forked_client(self, client, method):
        """A process that has begun a call in the name of `client`; its pid."""
        seq = client.seq = client.seq + 1
        r, w = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            try:
                mine = kit.Client(self.server.url, like=client)
                mine.send(mine.record("echo", method, seq=seq))
                mine.ping()
                w.sendall(b"x")
                signal.pause()
            finally:
                os._exit(1)
        w.close()
        r.settimeout(kit.SECONDS)
        self.assertEqual(r.recv(1), b"x")
        r.close()
        return pid, seq

    def killed_client(self, client, method):
        pid, seq = self.forked_client(client, method)
        met = self.meet.next("hold") if method.startswith("hold") else None
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return seq, met

    def test_the_client_dies_and_comes_back_in_time(self):
        client = self.start()
        seq, met = self.killed_client(client, "hold")
        back = self.server.client(like=client)
        back.send(back.record("echo", "hold", seq=seq))
        self.assertTrue(back.is_silent())
        met.go()
        self.assertIs(back.end(seq), True)
        self.ended_once(back, seq, result=True)

    def test_the_client_dies_and_comes_back_too_late(self):
        client = self.start()
        other = self.server.client()
        running, met = self.killed_client(client, "hold")
        queued, _ = self.killed_client(client, "pid")
        calls = lambda: self.server.status(other)["hub"]["calls"]  # noqa: E731
        self.assertEqual(calls(), 3)
        kit.until(lambda: calls() == 1, "the hub gives up the calls of who left", LATE)
        back = self.server.client(like=client)
        for seq, method, began in ((running, "hold", MAYBE), (queued, "pid", NO)):
            back.send(back.record("echo", method, seq=seq))
            self.ends(back, seq, "CANCELLED", began)
        met.go()
        self.assertEqual(back.call("echo", "pid"), met.pid)

    def test_the_client_dies_while_another_connection_speaks_for_it(self):
        client = self.start()
        pid, seq = self.forked_client(client, "hold")
        met = self.meet.next("hold")
        second = self.server.client(like=client)
        second.send([OP["WAIT"], client.id, seq, 0])
        self.assertTrue(second.is_silent())
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        met.go()
        self.assertIs(second.end(seq), True)
        self.ended_once(second, seq, result=True)

    def test_two_connections_that_ask_for_one_call_are_told_the_same(self):
        client = self.start()
        seq, met = self.hold(client)
        second = self.server.client(like=client)
        second.send(second.record("echo", "hold", seq=seq))
        self.assertTrue(second.is_silent())
        met.go()
        self.assertIs(client.end(seq), True)
        self.assertIs(second.end(seq), True)
        self.ended_once(client, seq, result=True)

    # ---- repeats ----

    def test_a_repeat_gets_the_kept_outcome(self):
        client = self.start()
        seq, met = self.hold(client)
        met.go()
        self.assertIs(client.end(seq), True)
        for _ in range(3):
            client.send(client.record("echo", "hold", seq=seq))
            self.assertIs(client.end(seq), True)
        self.ended_once(client, seq, result=True)

    def test_a_repeat_of_what_was_acknowledged_is_refused(self):
        client = self.start()
        seq = client.begin("echo", "pid")
        client.end(seq)
        client.end(client.begin("echo", "pid", ack=seq))
        client.send(client.record("echo", "pid", seq=seq))
        self.fails("FAILED_PRECONDITION", MAYBE, lambda: client.end(seq))

    def test_a_stock_socket_that_repeats_its_request_is_recognised(self):
        """Without a client id: the same bytes under the same request id, from the same process."""
        self.start()
        record = [OP["CALL"], None, 1, 0, "echo", "hold", 20000, None, []]
        first = self.server.peer()
        first.send(record, request=0x81234567)
        met = self.meet.next("hold")
        second = self.server.peer()
        second.send(record, request=0x81234567)
        self.assertTrue(second.is_silent())
        first.close()
        met.go()
        self.assertEqual(second.receive(), (0x81234567, [[OP["RESULT"], 1, True]]))
        third = self.server.peer()
        third.send(record, request=0x81234567)
        self.assertEqual(third.receive(), (0x81234567, [[OP["RESULT"], 1, True]]))
        self.assertTrue(self.meet.is_empty())


def waiting_is_queued(hub):
    return kit.until(lambda: hub.status()["workers"]["echo"]["queued"] == 1, "a queued call")


if __name__ == "__main__":
    kit.main()
