"""The private hub: how it begins, what runs in it, and that it ends with its program, whatever ends that."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import hub_workers
import pytest
from conftest import SECONDS, comm, tagged, until

import prong
from prong._hub import program

HERE = Path(__file__).resolve().parent


def script(folder: str, text: str) -> str:
    path = Path(folder, "program.py")
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return str(path)


def run(*command: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=SECONDS, **more)


@pytest.mark.compat
def test_a_class_runs_in_new_processes_and_is_called() -> None:
    with prong.Hub() as hub:
        echo = hub.spawn(hub_workers.Echo, replicas=2, environment={"ECHO_BASE": "heard "})
        assert echo.echo("x") == "heard x"
        assert hub.worker(hub_workers.Echo).echo(text="y") == "heard y"
        pids = {hub.worker(f"echo/{n}").pid() for n in (0, 1)}
        assert len(pids) == 2 and os.getpid() not in pids
        folder = Path(hub.url[len("ipc://"):]).parent
    assert not folder.exists()


def test_two_hubs_do_not_know_each_other() -> None:
    with prong.Hub() as one, prong.Hub() as two:
        one.spawn(hub_workers.Echo, name="mine")
        with pytest.raises(prong.NotFoundError):
            two.call("mine", "echo", ["x"])


@pytest.mark.compat
def test_a_worker_that_does_not_get_ready_is_told_with_its_last_lines_and_taken_out(prong_hub: prong.Hub) -> None:
    with pytest.raises(prong.UnavailableError, match="unwilling/0 did not get ready: ") as caught:
        prong_hub.spawn(hub_workers.Unwilling)
    assert caught.value.began == "no"
    assert "OSError: no camera here" in caught.value.log
    assert "\n  | OSError: no camera here" in str(caught.value)
    prong_hub.spawn(hub_workers.Echo, name="unwilling")


def test_a_name_can_be_taken_once(prong_hub: prong.Hub) -> None:
    prong_hub.spawn(hub_workers.Echo)
    with pytest.raises(prong.AlreadyExistsError):
        prong_hub.spawn(hub_workers.Echo)
    prong_hub.spawn(hub_workers.Echo, name="another")


def test_targets_may_be_texts_and_commands(prong_hub: prong.Hub) -> None:
    assert prong_hub.spawn(f"{HERE}/hub_workers.py:Echo").echo("x") == "x"
    assert prong_hub.spawn("hub_workers:Echo", name="by_module").echo("x") == "x"
    prong_hub.spawn(["sh", "-c", "exec tail -f /dev/null"], name="plain", ready="started")
    with pytest.raises(TypeError, match="needs the name"):
        prong_hub.spawn(["sh"])
    with pytest.raises(prong.UnavailableError, match="No such file"):
        prong_hub.spawn(["no_such_program"], name="missing")


def test_modules_can_be_shared(prong_hub: prong.Hub) -> None:
    warm = prong_hub.spawn(hub_workers.Echo, name="warm", replicas=2, preload=["decimal"])
    names = {Path(f"/proc/{prong_hub.worker(f'warm/{n}').pid()}/comm").read_text() for n in (0, 1)}
    assert names == {"warm/0\n", "warm/1\n"} and warm.echo("x") == "x"
    with pytest.raises(prong.UnavailableError, match="cannot import no_such_module"):
        prong_hub.spawn(hub_workers.Echo, name="cold", preload=["no_such_module"])


def test_without_waiting_a_call_waits(prong_hub: prong.Hub) -> None:
    assert prong_hub.spawn(hub_workers.Echo, wait=False).echo("x") == "x"


def test_a_class_that_no_other_process_finds_is_refused(prong_hub: prong.Hub, folder: str) -> None:
    class Local(prong.Worker):
        pass
    with pytest.raises(TypeError, match="Local, defined in a function: put it at the top of a module"):
        prong_hub.spawn(Local)
    done = run("-c", "import prong\nclass Here(prong.Worker): pass\nprong.Hub().spawn(Here)")
    assert done.returncode == 1
    assert "no other process finds Here, defined in a notebook or at a prompt" in done.stderr


PROGRAM = """
    import os, signal, sys
    import prong

    class Pid(prong.Worker):
        def pid(self) -> int:
            return os.getpid()

    if __name__ == "__main__":
        hub = prong.Hub()
        print(hub.spawn(Pid).pid() != os.getpid(), flush=True)
        {end}
"""


@pytest.mark.parametrize("end, code", [
    ("sys.exit(3)", 3),
    ("raise ValueError", 1),
    ("os.abort()", -signal.SIGABRT),
    ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    ("os._exit(4)", 4),
])
def test_it_ends_with_its_program(folder: str, own_processes: str, end: str, code: int) -> None:
    done = run(script(folder, PROGRAM.format(end=end)))
    assert (done.stdout, done.returncode) == ("True\n", code), done.stderr
    until(lambda: not tagged("PRONG_TEST_TAG=" + own_processes), "the end of the hub")


def test_it_does_not_end_with_a_thread_of_its_program(folder: str) -> None:
    done = run(script(folder, """
        import threading
        import prong
        import hub_workers
        found = []
        thread = threading.Thread(target=lambda: found.append(prong.Hub()))
        thread.start()
        thread.join()
        print(found[0].spawn(hub_workers.Echo).echo("x"))
        """), env={**os.environ, "PYTHONPATH": f"{os.environ['PYTHONPATH']}{os.pathsep}{HERE}"})
    assert (done.stdout, done.stderr, done.returncode) == ("x\n", "", 0)


def test_a_forked_child_leaves_it_alone(prong_hub: prong.Hub) -> None:
    echo = prong_hub.spawn(hub_workers.Echo)
    child = os.fork()
    if child == 0:
        with open(os.devnull, "w") as sys.stderr:
            prong_hub.close()
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert echo.echo("still here") == "still here"


def test_ctrl_c_is_for_the_program_alone(folder: str) -> None:
    with subprocess.Popen([sys.executable, script(folder, PROGRAM.format(end="""
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)     # what runs in the background ignores it
            print("begun", flush=True)
            signal.pause()
        except KeyboardInterrupt:
            print(hub.worker("pid").pid() != os.getpid())""".strip()))], stdout=subprocess.PIPE, text=True,
                          start_new_session=True) as process:
        try:
            assert process.stdout is not None
            assert [process.stdout.readline() for _ in range(2)] == ["True\n", "begun\n"]
            os.killpg(process.pid, signal.SIGINT)
            assert process.stdout.read() == "True\n"
            assert process.wait(SECONDS) == 0
        except BaseException:
            process.kill()
            raise


def test_configuration_folder_and_log_are_those_that_were_given(folder: str, capfd: Any) -> None:
    config = Path(folder, "prong.yaml")
    config.write_text(f"workers: {{tail: {{command: [tail, -f, {config}], ready: started}}}}\n")
    with prong.Hub(config, runtime_dir=f"{folder}/run", log=f"{folder}/log") as hub:
        assert hub.url == f"ipc://{folder}/run/hub.sock"
        until(lambda: hub.call("hub", "status")["workers"]["tail"]["replicas"][0]["state"] == "ready", "tail")
    assert Path(folder, "run").is_dir()
    assert "listening on" in Path(folder, "log").read_text()
    assert capfd.readouterr() == ("", "")


def test_warnings_go_to_stderr_and_nothing_else_does(folder: str, capfd: Any) -> None:
    with prong.Hub() as hub:
        hub.spawn(hub_workers.Echo)
    assert capfd.readouterr() == ("", "")
    Path(folder, "wrong.yaml").write_text("workers: 1\n")
    with pytest.raises(prong.UnavailableError, match="prongd ended with 78"):
        prong.Hub(f"{folder}/wrong.yaml")
    assert "wrong.yaml:1" in capfd.readouterr().err


def test_without_the_programs_it_says_where_they_were_looked_for(monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    assert program("prongd") == os.environ["PRONG_BIN_DIR"] + "/prongd"
    monkeypatch.setenv("PRONG_BIN_DIR", folder)
    monkeypatch.setenv("PATH", folder)
    with pytest.raises(prong.NotFoundError, match=f"there is no prongd: not in .PRONG_BIN_DIR .{folder}.*not in PATH"):
        prong.Hub()


def test_a_folder_that_a_killed_program_left_is_taken_away(monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    for name, pid, age in (("old", gone.pid, 100), ("held", os.getpid(), 100), ("young", gone.pid, 0)):
        path = Path(folder, f"prong-hub-{name}")
        path.mkdir()
        (path / "lock").write_text(f"{pid}\n")
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    with prong.Hub() as hub:
        assert hub.url.startswith(f"ipc://{folder}/prong-hub-")
    assert sorted(os.listdir(folder)) == ["prong-hub-held", "prong-hub-young"]


def test_a_hub_that_is_killed_is_noticed(prong_hub: prong.Hub) -> None:
    echo = prong_hub.spawn(hub_workers.Echo)
    assert comm(prong_hub._process.pid) == "prongd"
    prong_hub._process.kill()
    with pytest.raises(prong.ProngError):
        while True:                      # until what is left of it has ended everything
            echo.echo.options(timeout=3.0)("x")


def test_the_fixture_of_pytest_is_a_hub_of_the_test(folder: str) -> None:
    done = run("-m", "pytest", "-q", "-p", "prong.pytest_plugin", "-p", "no:cacheprovider", script(folder, """
        import hub_workers

        def test_one(prong_hub):
            assert prong_hub.spawn(hub_workers.Echo).echo("x") == "x"

        def test_another(prong_hub):
            assert "echo" not in prong_hub.call("hub", "status")["workers"]
        """), cwd=folder, env={**os.environ, "PYTHONPATH": f"{os.environ['PYTHONPATH']}{os.pathsep}{HERE}"})
    assert "2 passed" in done.stdout, done.stdout + done.stderr

def test_a_class_is_made_with_arguments() -> None:
    with prong.Hub() as hub:
        assert hub.spawn(hub_workers.Adder, arguments={"first": 40}).add(2) == 42
        assert hub.spawn(hub_workers.Adder, name="plain").add(2) == 2
        with pytest.raises(prong.UnavailableError) as caught:
            hub.spawn(hub_workers.Adder, name="wrong", arguments={"third": 1})
        assert "third" in "\n".join(caught.value.log)
