"""examples/linecam: a device in C that fills frames in place, and a worker in Python that looks at them."""
from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Callable

import pytest
from conftest import ROOT, HubProcess, until

import prong

ROW, ROWS = 512, 64
CAMERA = Path(os.environ.get("PRONG_BIN_DIR", "")).parent / "examples" / "linecam" / "camera"


def test_frames_of_a_device_in_c_come_to_a_worker_in_python(start_hub: Callable[..., HubProcess],
                                                            tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    assert CAMERA.exists(), f"{CAMERA} was not built"
    device = tmp_path / "device"
    os.mkfifo(device)
    inspector = json.dumps([sys.executable, str(ROOT / "examples" / "linecam" / "inspector.py")])
    config = f"""
workers:
  inspector: {{command: {inspector}}}
  camera: {{command: {json.dumps([str(CAMERA), str(device)])}, depends_on: {{inspector: ready}}}}
"""
    hub = start_hub(config)
    with prong.connect(hub.url) as client, client.subscribe("inspector.dark", from_="oldest") as dark:
        with open(device, "wb") as feed:
            for brightness in (200, 180, 10, 220):
                for _ in range(ROWS):
                    feed.write(bytes([brightness]) * ROW)
            feed.flush()
            event = dark.next(timeout=30)
            assert event is not None
            assert (event.payload["frame"], event.payload["brightness"]) == (3, 10.0)
            until(lambda: client.call("inspector", "count") == 4, "all frames are looked at")
            assert client.call("camera", "frames") == 4
            feed.write(b"half a row")
        # The device has ended in the middle of a frame: nobody sees it, and the camera still answers.
        assert client.call("camera", "frames") == 4
        assert client.call("inspector", "count") == 4
