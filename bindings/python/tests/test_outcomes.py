"""What becomes of a call when its method, its arguments or its worker misbehave. What is promised stands in each test."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any, Callable, Iterator

import numpy as np
import pytest
from conftest import HubProcess, serve, until

import prong

HERE = Path(__file__).resolve().parent
Start = Callable[..., HubProcess]


def worker(name: str, cls: str, **keys: Any) -> str:
    more = "".join(f", {key}: {value}" for key, value in keys.items())
    return f"  {name}: {{command: {serve(f'{HERE}/bad_workers.py:{cls}')}{more}}}\n"


@pytest.fixture
def hub(start_hub: Start) -> Iterator[prong.Client]:
    """A client of a hub with the workers `bad` and `helper`."""
    process = start_hub("workers:\n" + worker("bad", "Bad", restart_delay="10ms") + worker("helper", "Helper"))
    with prong.connect(process.url) as client:
        yield client


def failure(call: Callable[[], Any]) -> prong.ProngError:
    with pytest.raises(prong.ProngError) as caught:
        call()
    return caught.value


# ---- exceptions: UNKNOWN, began yes, with type, text and traceback; the worker goes on

RAISED = {
    "text": ("ValueError", "text"),
    "silent": ("Silent", "Silent"),
    "mute": ("Mute", "Mute"),
    "holding": ("Holding", "held"),
    "surrogate": ("ValueError", "a?b"),
    "long": ("ValueError", "x" * 4000),
    "rude": ("Rude", "rude"),
    "generator": ("GeneratorExit", "g"),
    "stop": ("StopIteration", "5"),
    "deep": ("RecursionError", "maximum recursion depth exceeded"),
    "memory": ("MemoryError", "MemoryError"),
    "numbers": ("KeyError", "1"),
    "chain": ("ValueError", "second"),
}


def test_whatever_a_method_raises_reaches_its_caller_and_harms_nobody(hub: prong.Client) -> None:
    bad = hub.worker("bad")
    pid = bad.pid()
    for how, (kind, text) in RAISED.items():
        for call in (
            lambda how=how: bad.fail(how),
            lambda how=how: list(bad.fail_later.results(how)),
            lambda how=how: bad.fail_later(how),
        ):
            error = failure(call)
            if how == "stop" and error.type == "RuntimeError":
                continue  # what Python makes of it in a generator
            assert (type(error), error.began, error.type) == (prong.UnknownError, "yes", kind), how
            assert error.message.startswith(text) and len(error.message) < 4100, how
            assert error.traceback is not None and "bad_workers.py" in error.traceback, how
            assert "prong/_serve.py" not in error.traceback.split("bad_workers.py")[0], how
        assert bad.echo(how) == how
    assert "KeyError: 'first'" in str(failure(lambda: bad.fail("chain")).traceback)
    assert "following exception" in str(failure(lambda: bad.fail("chain")).traceback)
    assert bad.pid() == pid, "it is the same process"


def test_errors_of_prong_keep_their_code(hub: prong.Client) -> None:
    error = failure(lambda: hub.call("bad", "fail", ["own"]))
    assert isinstance(error, prong.AlreadyExistsError)
    assert (error.message, error.details["k"], error.began) == ("own", [1], "yes")
    assert isinstance(failure(lambda: hub.call("bad", "fail", ["cancelled"])), prong.CancelledError)
    error = failure(lambda: hub.call("bad", "fail", ["invalid"]))
    assert isinstance(error, prong.InvalidArgumentError) and error.began == "yes", "no is a guarantee, and it had begun"


@pytest.mark.parametrize("how", ["exit", "interrupt"])
def test_an_exit_in_a_method_ends_the_process(hub: prong.Client, how: str) -> None:
    """ABORTED, as with every end of a process; the next call is served by the next one."""
    pid = hub.call("bad", "pid")
    error = failure(lambda: hub.call("bad", "fail", [how]))
    assert isinstance(error, prong.AbortedError) and error.replica == "bad/0"
    assert hub.call("bad", "pid") != pid


def test_an_async_method_may_raise_anything_too(start_hub: Start) -> None:
    process = start_hub("workers:\n" + worker("bad_async", "BadAsync", restart_delay="10ms"))
    with prong.connect(process.url) as hub:
        bad = hub.worker("bad_async")
        for how, kind in (("text", "ValueError"), ("mute", "Mute"), ("rude", "Rude"), ("generator", "GeneratorExit")):
            error = failure(lambda how=how: bad.fail.options(timeout=5.0)(how))
            assert (error.code, error.began, error.type) == (2, "yes", kind)
        assert [f.result() for f in [bad.echo.submit(n) for n in range(8)]] == list(range(8))
        assert isinstance(failure(bad.exit), prong.AbortedError)
        assert bad.echo(1) == 1


# ---- values


def test_values_that_cannot_be_sent(hub: prong.Client) -> None:
    """TypeError here for arguments, with nothing sent; UNKNOWN with the type TypeError for results."""
    bad = hub.worker("bad")
    with pytest.raises(TypeError, match=r"arguments of bad.echo\['x'\]\[1\]: object"):
        bad.echo(x=[0, object()])
    for what, text in (
        ("object", r"the value it returned['a'][1]: object"),
        ("surrogate", "the value it returned: "),
        ("self", "the value it returned"),
        ("worker", "the value it returned: Bad"),
        ("type", "the value it returned: type"),
    ):
        error = failure(lambda what=what: bad.give(what))
        assert (error.code, error.began, error.type) == (2, "yes", "TypeError") and error.message.startswith(text), error
        items = bad.yields.results(what)
        assert next(items) == 1
        error = failure(lambda items=items: list(items))
        assert (error.code, error.began, error.type) == (
            2,
            "yes",
            "TypeError",
        ) and "an item that it yielded" in error.message
    assert bad.give("set") == [1]
    assert bad.echo(bad.give("deep")) == bad.give("deep")


def test_values_that_are_too_large(hub: prong.Client) -> None:
    """RESOURCE_EXHAUSTED, began no for arguments and yes for results, with both sizes in it; arrays are never too large."""
    bad, limit = hub.worker("bad"), 16 << 20
    for args in ([bytes(limit)], ["x" * limit]):
        error = failure(lambda args=args: bad.echo(*args))
        assert isinstance(error, prong.ResourceExhaustedError) and error.began == "no" and str(limit) in error.message
    error = failure(lambda: bad.give("bytes", limit))
    assert isinstance(error, prong.ResourceExhaustedError) and error.began == "yes" and str(limit) in error.message
    items = bad.yields.results("bytes", limit)
    assert next(items) == 1
    assert "message" in failure(lambda: list(items)).message
    size = limit - 1000
    assert len(bad.echo(bytes(size))) == size
    assert len(bad.echo(np.zeros(2 * limit, "u1"))) == len(bad.give("array", 2 * limit)) == 2 * limit
    assert [len(item) for item in list(bad.yields.results("array", 2 * limit))[1:2]] == [2 * limit]


def test_wrong_arguments_have_not_begun(hub: prong.Client) -> None:
    """INVALID_ARGUMENT with the name of the argument and what is wanted; UNIMPLEMENTED for no such method, NOT_FOUND for no
    such worker: began no, all of them."""
    for call, cls, text in (
        (
            lambda: hub.call("bad", "give", ["set", "many"]),
            prong.InvalidArgumentError,
            "size: int is wanted, and str 'many' came",
        ),
        (lambda: hub.call("bad", "give", {"what": 1}), prong.InvalidArgumentError, "what: str is wanted"),
        (lambda: hub.call("bad", "give", {"whta": "set"}), prong.InvalidArgumentError, "did you mean what?"),
        (lambda: hub.call("bad", "give"), prong.InvalidArgumentError, "what is missing"),
        (lambda: hub.call("bad", "give", [1, 2, 3]), prong.InvalidArgumentError, "3 arguments came"),
        (lambda: hub.call("bad", "nothing"), prong.UnimplementedError, "method"),
        (lambda: hub.call("bad", "setup"), prong.UnimplementedError, "method"),
        (lambda: hub.call("bad", "_topic", ["x"]), prong.UnimplementedError, "method"),
        (lambda: hub.call("bad", "emit", ["a.b"]), prong.UnimplementedError, "method"),
        (lambda: hub.call("nobody", "echo"), prong.NotFoundError, "worker"),
        (lambda: hub.call("Not A Name", "echo"), prong.InvalidArgumentError, ""),
        (lambda: hub.call("bad", "echo", "text"), prong.InvalidArgumentError, ""),
    ):
        error = failure(call)
        assert type(error) is cls and error.began == "no" and text in error.message, error


# ---- processes


def test_junk_on_stdout_and_stderr_disturbs_nothing(start_hub: Start) -> None:
    """The output of a worker is lines for the log, whatever is in it."""
    process = start_hub("workers:\n" + worker("bad", "Bad"))
    with prong.connect(process.url) as hub:
        bad = hub.worker("bad")
        pid = bad.pid()
        for stream in ("stdout", "stderr"):
            assert bad.junk(stream, 1 << 20) == 1 << 20
            assert bad.echo(stream) == stream
        assert bad.pid() == pid and process.process.poll() is None


@pytest.mark.parametrize("cls", ["ExitsInSetup", "RaisesInSetup"])
def test_a_worker_that_never_gets_ready_is_told_to_callers(start_hub: Start, cls: str) -> None:
    """UNAVAILABLE, began no, at once when it has failed for good; its last lines are in hub.worker.exited."""
    process = start_hub("workers:\n" + worker("late", cls, restart="no"), False)
    until((process.run_dir / "hub.sock").exists, "the hub listens")
    with prong.connect(process.url) as hub, hub.subscribe("hub.worker.exited", from_="oldest") as exits:
        exited = exits.next(20)
        assert exited is not None and exited.payload["exit_code"] == (3 if cls == "ExitsInSetup" else 1)
        lines = "\n".join(exited.payload["log"])
        assert ("about to leave" if cls == "ExitsInSetup" else "OSError: there is no camera") in lines
        error = failure(lambda: hub.call("late", "echo", timeout=20.0))
        assert isinstance(error, prong.UnavailableError) and error.began == "no", repr(error)


def test_an_error_in_teardown_is_the_exit_code(start_hub: Start) -> None:
    process = start_hub("workers:\n" + worker("once", "RaisesInTeardown", restart="no"))
    with prong.connect(process.url) as hub, hub.subscribe("hub.worker.exited") as exits:
        assert hub.call("once", "echo") == 1
        hub.call("hub", "stop", {"worker": "once"})
        exited = exits.next(20)
        assert exited is not None and exited.payload["exit_code"] == 1
        assert "OSError: it does not let go" in "\n".join(exited.payload["log"])


def test_a_worker_that_blocks_in_c_is_replaced(start_hub: Start) -> None:
    """DEADLINE_EXCEEDED, began yes or maybe, for its caller; ABORTED with the stack of the process in its log when the hub
    has `max_busy` for it."""
    process = start_hub("workers:\n" + worker("bad", "Bad", max_busy="300ms", restart_delay="10ms") + worker("long", "Bad"))
    with prong.connect(process.url) as hub:
        error = failure(lambda: hub.call("long", "block", timeout=0.2))
        assert isinstance(error, prong.DeadlineExceededError) and error.began != "no"
        pid = hub.call("bad", "pid")
        error = failure(lambda: hub.call("bad", "block", timeout=20.0))
        assert isinstance(error, prong.AbortedError) and error.replica == "bad/0", repr(error)
        assert hub.call("bad", "pid") != pid
        os.kill(_pid_of(hub, "long"), signal.SIGKILL)
        assert "in block" in process.prong("logs", "-o", "raw", "-n", "100", "bad").stdout, "faulthandler tells where it was"


def _pid_of(hub: prong.Client, name: str) -> int:
    return int(hub.call("hub", "status")["workers"][name]["replicas"][0]["pid"])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_worker_that_dies_in_a_stream(hub: prong.Client, number: int) -> None:
    """The items that came, then ABORTED with the signal. Nothing is run again."""
    items = hub.worker("bad").count_and_die.results(1000, int(number))
    found = []
    with pytest.raises(prong.AbortedError) as caught:
        for item in items:
            found.append(item)
    assert found == list(range(len(found))) and len(found) > 0
    assert caught.value.began != "no" and caught.value.details["signal"] == number
    assert hub.call("bad", "echo", [1]) == 1


def test_a_crash_is_aborted_with_the_stack_in_its_log(start_hub: Start) -> None:
    process = start_hub("workers:\n" + worker("bad", "Bad"))
    with prong.connect(process.url) as hub:
        error = failure(lambda: hub.call("bad", "crash"))
        assert isinstance(error, prong.AbortedError) and error.details["signal"] == signal.SIGSEGV
        assert error.log and error.log[0] in str(error), "its last lines are shown to who does not catch it"
        assert "in crash" in process.prong("logs", "-o", "raw", "-n", "100", "bad").stdout


def test_a_method_that_forks(hub: prong.Client) -> None:
    """Its own outcome, once; the child cannot speak for the worker, and ends when it comes back from the method."""
    bad = hub.worker("bad")
    pid = bad.pid()
    for how, value in (("subprocess", "child\n"), ("exit", "child"), ("return", "child"), ("raise", "child")):
        assert bad.fork(how) == value
        assert bad.echo(how) == how
    first = bad.calls()
    assert [bad.calls() for _ in range(5)] == list(range(first + 1, first + 6)), "one process answers"
    assert bad.pid() == pid
    assert "FAILED_PRECONDITION" in bad.fork_and_call()
    assert bad.fork("exit") == "child"
    assert bad.fork_and_end() == signal.SIGTERM
    assert bad.fork_while_blocked() is True


def test_threads_of_a_method_call_through_its_hub(hub: prong.Client) -> None:
    assert hub.call("bad", "threads", [20]) == list(range(20))


def test_ctrl_c_is_not_for_workers(hub: prong.Client) -> None:
    """SIGINT that a terminal sends to a whole group, or somebody to the process, changes nothing."""
    bad = hub.worker("bad")
    pid = bad.pid()
    running = hub.submit("bad", "threads", [3])
    os.kill(pid, signal.SIGINT)
    assert running.result(20) == [0, 1, 2]
    os.kill(pid, signal.SIGINT)
    assert bad.pid() == pid


def test_sigterm_ends_it_after_the_running_call(hub: prong.Client) -> None:
    """As a stop by the hub does; the process exits with 0 and is started again as its configuration says."""
    with hub.subscribe("hub.worker.exited") as exits, hub.subscribe("bad.begun") as begun:
        pid = hub.call("bad", "pid")
        running = hub.submit("bad", "threads", [5])
        assert begun.next(20) is not None
        os.kill(pid, signal.SIGTERM)
        assert running.result(20) == list(range(5))
        exited = exits.next(20)
        assert exited is not None and exited.payload["exit_code"] == 0


@pytest.mark.parametrize("cls", ["ToldAgain", "ToldAgainAsync"])
def test_further_sigterms_do_not_cut_its_end_short(start_hub: Start, cls: str) -> None:
    process = start_hub("workers:\n" + worker("told", cls))
    with prong.connect(process.url) as hub, hub.subscribe("hub.worker.exited") as exits:
        os.kill(hub.call("told", "pid"), signal.SIGTERM)
        exited = exits.next(20)
        assert exited is not None and exited.payload["exit_code"] == 0, exited


def test_without_a_hub_it_says_what_it_is(tmp_path: Path) -> None:
    """Exit code 64, and how to run it."""
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "prong.serve", f"{HERE}/bad_workers.py:Bad"], stderr=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == 64 and "is started by a hub" in done.stderr and "prong run" in done.stderr


def test_a_hub_that_refuses_the_worker_and_one_that_is_gone(start_hub: Start) -> None:
    """Exit code 77 for a token that the hub does not know."""
    import subprocess
    import sys

    process = start_hub("")
    env = {**os.environ, "PRONG_URL": process.url, "PRONG_WORKER": "bad", "PRONG_TOKEN": "nobody's"}
    done = subprocess.run(
        [sys.executable, "-m", "prong.serve", f"{HERE}/bad_workers.py:Bad"],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env=env,
    )
    assert done.returncode == 77, done.stderr
    assert until(lambda: process.process.poll() is None, "the hub goes on")
