"""Warm start: classes of workers whose processes are forked by a template."""
from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Dict

import hub_workers
import pytest
from conftest import until

import prong

def test_a_class_is_imported_once_and_set_up_in_each_process(prong_hub: prong.Hub) -> None:
    prong_hub.spawn(hub_workers.Warm, replicas=2, preload=["decimal", "json"], environment={"NUMBER": "%i"})
    found = {n: prong_hub.call(f"warm/{n}", "about") for n in (0, 1)}
    template = found[0]["imported_in"]
    assert {about["imported_in"] for about in found.values()} == {template}
    assert len({template, *(about["pid"] for about in found.values())}) == 3
    for n, about in found.items():
        assert about["set_up_in"] == about["pid"]
        assert (about["number"], about["has_decimal"], about["threads"]) == (str(n), True, ["beside"])
    os.kill(found[0]["pid"], signal.SIGKILL)
    again = until(lambda: other(prong_hub, found[0]["pid"]), "another process")
    assert again["imported_in"] == template
    assert prong_hub.call("warm/1", "about") == found[1]


def other(hub: prong.Hub, pid: int) -> Dict[str, int]:
    """What another process than that tells of itself."""
    try:
        about = hub.call("warm/0", "about", timeout=5.0)
    except prong.ProngError:
        return {}
    return about if about["pid"] != pid else {}


def test_a_module_that_is_not_there_is_told(prong_hub: prong.Hub) -> None:
    with pytest.raises(prong.UnavailableError, match="cannot import no_such_module: No module named"):
        prong_hub.spawn(hub_workers.Warm, preload=["no_such_module"])


def test_a_module_that_starts_threads_is_refused(prong_hub: prong.Hub, tmp_path: Path,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "with_thread.py").write_text(
        "import threading\n"
        "threading.Thread(target=threading.Event().wait, name='looker', daemon=True).start()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(prong.UnavailableError, match="it has threads, and cannot be forked: looker"):
        prong_hub.spawn(hub_workers.Warm, preload=["with_thread"])
