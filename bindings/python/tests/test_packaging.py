"""The package as a user installs it from a clone: with the programs of the hub, or as the client alone."""
from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import pytest

PACKAGE = Path(__file__).resolve().parents[1]
SECONDS = 300.0                  # a compiler on a busy machine

PROGRAM = """
    import os
    import prong

    class Echo(prong.Worker):
        def echo(self, text: str) -> str:
            return text + " from another process" * (os.getppid() > 1)

    if __name__ == "__main__":
        with prong.Hub() as hub:
            print(hub.spawn(Echo).echo("heard"))
            with hub.create_stream("cam") as writer, hub.stream("cam") as reader:
                writer.write(b"a frame")
                print(bytes(reader.next(10).data).decode())
    """


class Installed:
    """A virtual environment with the package. What the package needs is that of the tests; no index is asked."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.bin = folder / "venv" / "bin"
        self.env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PRONG_BIN_DIR", "PYTHONHOME")}
        self.env.update(environment, TMPDIR=str(folder))
        self.run(sys.executable, "-m", "venv", "--without-pip", str(folder / "venv"))
        site = self.run(str(self.bin / "python"), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
        Path(site.strip(), "needed.pth").write_text(sysconfig.get_path("purelib") + "\n")
        # An older pip copies the tree that it builds, and the C sources are not below it.
        self.said = self.run(str(self.bin / "python"), "-m", "pip", "install", "-v", "--no-index", "--no-build-isolation",
                             "--no-warn-script-location", str(PACKAGE))
        self.program = folder / "program.py"
        self.program.write_text(textwrap.dedent(PROGRAM))

    def run(self, *command: str, code: int = 0) -> str:
        done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS,
                              env=self.env, check=False)
        assert done.returncode == code, done.stdout
        return done.stdout


@pytest.mark.timeout(SECONDS)
def test_the_programs_come_with_it_where_there_is_a_compiler(tmp_path: Path) -> None:
    here = Installed(tmp_path, PRONG_PROGRAMS="yes")
    assert "prong-0.1.0-py3-none-linux_" in here.said and "with prongd, prong-broker and prong" in here.said
    assert here.run(str(here.bin / "python"), str(here.program)) == "heard from another process\na frame\n"
    assert here.run(str(here.bin / "prong"), "--version").startswith("prong ")
    # Nothing of the build stays in the tree.
    assert not any((PACKAGE / name).exists() for name in ("build", "dist", "prong.egg-info"))


def test_it_is_the_client_alone_where_there_is_none(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    here = Installed(tmp_path, PATH=str(empty))
    assert "prong-0.1.0-py3-none-any.whl" in here.said
    assert "this is the client alone, without the programs of the hub: there is no cmake" in here.said
    said = here.run(str(here.bin / "python"), str(here.program), code=1)
    assert "there is no prongd: not in $PRONG_BIN_DIR (not set), not in " + str(here.bin) in said
    assert not (here.bin / "prong").exists()


def test_a_compiler_that_does_not_work_is_named(tmp_path: Path) -> None:
    here = Installed(tmp_path, CC="/bin/false")
    assert 'client alone, without the programs of the hub: The C compiler "/bin/false" is not able' in here.said
    here.env["PRONG_PROGRAMS"] = "yes"
    said = here.run(str(here.bin / "python"), "-m", "pip", "install", "-v", "--no-index", "--no-build-isolation",
                    "--force-reinstall", "--no-deps", str(PACKAGE), code=1)
    assert "the programs of the hub cannot be built" in said


def build(kind: str, target: Path) -> Any:
    command = f"import hatchling.build; print(hatchling.build.build_{kind}({str(target)!r}))"
    done = subprocess.run([sys.executable, "-c", command], cwd=PACKAGE, text=True, stdout=subprocess.PIPE, check=True,
                          timeout=SECONDS, env={**os.environ, "PRONG_PROGRAMS": "no"})
    return target / done.stdout.split()[-1]


def test_the_source_distribution_has_the_sources_of_the_programs(tmp_path: Path) -> None:
    import tarfile
    with tarfile.open(build("sdist", tmp_path)) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    assert {"hub/CMakeLists.txt", "hub/LICENSE", "hub/broker/spawn/main.c", "hub/proto/tbl/ops.def", "hub/client/cli/main.c",
            "hub/cmake/ProngCompile.cmake", "prong/__init__.py", "prong/py.typed", "LICENSE"} <= names


def test_the_wheel_has_all_that_is_imported_and_the_fixture_of_pytest(tmp_path: Path) -> None:
    with zipfile.ZipFile(build("wheel", tmp_path)) as wheel:
        names = set(wheel.namelist())
        entry, = (wheel.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    assert {f"prong/{path.name}" for path in (PACKAGE / "prong").glob("*.py")} <= names
    assert "[pytest11]\nprong = prong.pytest_plugin" in entry
