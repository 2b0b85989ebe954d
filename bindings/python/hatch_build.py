"""Adds the programs of the hub to the wheel, as scripts, so that they come where `python` is, and the library that
streams need, in the package.

Where there is no C compiler, cmake or a library, the wheel is the client alone; `PRONG_PROGRAMS=yes` in the
environment makes that an error, `PRONG_PROGRAMS=no` builds none.
"""
from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PROGRAMS = {"prongd": "prongd", "prong-broker": "prong-broker", "prong_cli": "prong"}      # target: file
LIBRARY = "libprong.so.0"                                                                  # of the target prong_shared


class Missing(Exception):
    """What is needed to build the programs and is not there."""


def source(root: Path) -> Path:
    """The C sources: in a source distribution, else of the repository that this folder is in."""
    for folder in (root / "hub", root.parent.parent):
        if (folder / "CMakeLists.txt").is_file() and (folder / "broker").is_dir():
            return folder
    raise Missing("the C sources are not here")


def build(root: Path, folder: str) -> Path:
    """Builds programs and library below `folder`, in bin and lib. An error of the compiler is no want."""
    cmake = shutil.which("cmake")
    if cmake is None:
        raise Missing("there is no cmake")
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    configured = subprocess.run(
        [cmake, "-S", str(source(root)), "-B", folder, *generator, "-DCMAKE_BUILD_TYPE=Release", "-DPRONG_TESTS=OFF",
         "-DPRONG_BENCH=OFF", "-DPRONG_EXAMPLES=OFF"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False)
    if configured.returncode:
        said = configured.stdout.partition("CMake Error")[2].strip().splitlines()
        raise Missing(" ".join(line.strip() for line in said[1:6] if line.strip()) or configured.stdout[-1000:])
    subprocess.run([cmake, "--build", folder, "--parallel", str(os.cpu_count() or 1), "--target", *PROGRAMS, "prong_shared"],
                   check=True)
    return Path(folder)


class Programs(BuildHookInterface):  # type: ignore[type-arg]
    """The hook that hatchling calls for a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Before the wheel is packed."""
        self.folder = tempfile.TemporaryDirectory(prefix="prong-build-")
        wish = os.environ.get("PRONG_PROGRAMS", "")
        if version == "editable" or wish == "no":
            return
        try:
            made = build(Path(self.root), self.folder.name)
        except Missing as why:
            if wish == "yes":
                raise SystemExit(f"prong: the programs of the hub cannot be built: {why}") from None
            self.app.display_warning(f"prong: this is the client alone, without the programs of the hub: {why}")
            return
        for name in PROGRAMS.values():
            build_data["shared_scripts"][str(made / "bin" / name)] = name
        build_data["force_include"][str((made / "lib" / LIBRARY).resolve())] = f"prong/{LIBRARY}"
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data.update(pure_python=False, tag=f"py3-none-{platform}")
        self.app.display_info("prong: with prongd, prong-broker and prong")

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """After that."""
        self.folder.cleanup()
