"""Frames and large arrays as arguments and results: what travels is a handle, nothing is left behind."""
from __future__ import annotations

import asyncio
import gc
import os
import signal
from pathlib import Path
from typing import Any, Callable

import pytest
from conftest import HubProcess, serve, until

import prong
from prong import _shared

np = pytest.importorskip("numpy")
HERE = os.path.dirname(os.path.abspath(__file__))
SHAPE = (600, 800, 3)                # 1.4 MB


def config(replicas: int = 1) -> str:
    return f"workers:\n  shared: {{command: {serve(f'{HERE}/shared_workers.py:Shared')}, replicas: {replicas}}}\n"


def lent(hub: HubProcess) -> list[str]:
    """What the hub lends just now."""
    folder = Path(f"/proc/{hub.broker()}/fd")
    found = []
    for fd in folder.iterdir():
        try:
            found.append(os.readlink(fd))
        except FileNotFoundError:
            continue
    return sorted(name for name in found if "memfd:prong-buffer" in name)


def nothing_is_lent(hub: HubProcess) -> None:
    gc.collect()
    until(lambda: lent(hub) == [], "all buffers are given back")


def test_large_arrays_are_copied_once_and_come_back(start_hub: Callable[..., HubProcess]) -> None:
    hub = start_hub(config())
    with prong.connect(hub.url) as client:
        d = client.worker("shared")
        picture = np.arange(np.prod(SHAPE), dtype="u1").reshape(SHAPE)
        back = d.plus(picture, 1)
        assert back.dtype == "u1" and np.array_equal(back, picture + 1)
        assert d.looks(picture) == {"shape": list(SHAPE), "writable": True, "sum": int(picture.sum())}
        for array in (picture[:, ::-1], np.asfortranarray(picture), picture.astype("<f4"), picture[::2]):
            assert np.array_equal(d.plus(array, 0), array)
        small = d.plus(np.zeros(3), 1)
        assert small.tolist() == [1, 1, 1]
        large = np.ones((3000, 1000), "<f8")         # 24 MB: no message holds it
        assert float(d.plus(large, 1).sum()) == 2 * large.size
        found = [float(a.sum()) for a in d.plus.map([(large, n) for n in range(3)])]
        assert found == [large.size * (n + 1.0) for n in range(3)]
        del back, small
        nothing_is_lent(hub)


def test_a_result_outlives_the_call_and_is_gone_with_the_last_view(start_hub: Callable[..., HubProcess]) -> None:
    hub = start_hub(config())
    with prong.connect(hub.url) as client:
        view = client.call("shared", "plus", [np.zeros(SHAPE), 7.0])[10:12, :, 0]
        gc.collect()
        until(lambda: len(lent(hub)) == 1, "the argument is given back, and waits for a while to be used again")
        assert float(view.max()) == 7.0
        del view
        nothing_is_lent(hub)


def test_a_client_that_ends_leaves_no_connection(start_hub: Callable[..., HubProcess]) -> None:
    hub = start_hub(config())

    def goes(n: int) -> int:
        with prong.connect(hub.url) as client:
            array = client.call("shared", "plus", [np.zeros(SHAPE), float(n)])
        del client
        gc.collect()
        assert float(array.max()) == n, "what somebody has stays"
        del array
        return len(os.listdir("/proc/self/fd"))
    counts = [goes(n) for n in range(4)]
    assert counts[3] == counts[0], "not one of the memory, either"
    nothing_is_lent(hub)


def test_nothing_is_left_of_who_is_killed(start_hub: Callable[..., HubProcess]) -> None:
    hub = start_hub(config())
    with prong.connect(hub.url) as client:
        with pytest.raises(prong.ProngError):
            client.call("shared", "dies", [np.zeros(SHAPE)])
        nothing_is_lent(hub)
        assert client.call("shared", "looks", [np.zeros(SHAPE, "u1")])["sum"] == 0


def test_frames_are_passed_without_a_copy_and_stay_until_the_outcome(start_hub: Callable[..., HubProcess]) -> None:
    hub = start_hub(config())
    with prong.connect(hub.url) as client, client.create_stream("cam", SHAPE, "u1") as writer, \
            client.stream("cam", hold=2) as reader:
        d = client.worker("shared")
        writer.write(np.full(SHAPE, 5, "u1"), {"part": "A"})
        frame = reader.next(timeout=10)
        assert frame is not None
        future = d.frame_slowly.submit(frame)
        frame.release()                              # only after the outcome, in truth
        for n in range(20):
            writer.write(np.full(SHAPE, n, "u1"))
        assert future.result(timeout=30) == {"number": 1, "least": 5, "most": 5, "meta": {"part": "A"}}
        with pytest.raises(prong.FailedPreconditionError):
            frame.data  # noqa: B018
        # And back: the worker's own hold ends when we have it.
        frame = reader.next(timeout=10)
        assert frame is not None
        same = d.same(frame)
        assert isinstance(same, prong.Frame) and same.number == frame.number and same.stream == "cam"
        assert np.array_equal(same.array, frame.array)
        copy = frame.keep()
        frame.release()
        same.release()
        assert int(d.plus(copy, 1).max()) == int(copy.array.max()) + 1     # a copy is an array


def test_a_frame_that_is_gone_is_data_loss_and_began_no(start_hub: Callable[..., HubProcess]) -> None:
    hub = start_hub(config())
    with prong.connect(hub.url) as client, client.create_stream("cam", SHAPE, "u1") as writer, \
            client.stream("cam") as reader:
        writer.write(np.zeros(SHAPE, "u1"))
        frame = reader.next(timeout=10)
        assert frame is not None
        kept: list[Any] = []
        shared = _shared.Shared(hub.url, kept)
        handle = shared.frame(frame)
        kept.clear()
        frame.release()
        for n in range(20):
            writer.write(np.full(SHAPE, n, "u1"))
        with pytest.raises(prong.DataLossError) as caught:
            client.call("shared", "same", [handle])
        assert caught.value.began == "no"
        with pytest.raises(TypeError, match="released"):
            client.call("shared", "same", [frame])
        frame = reader.next(timeout=10)
        # Another hub may have a frame of this name, generation and number, which is not meant.
        with prong.connect(start_hub(config()).url) as other, other.create_stream("cam", SHAPE, "u1") as another:
            for n in range(frame.number):
                another.write(np.full(SHAPE, 100 + n, "u1"))
            found = other.call("shared", "same", [frame])
            assert isinstance(found, np.ndarray) and np.array_equal(found, frame.array)


def test_an_array_is_filled_where_it_lies(start_hub: Callable[..., HubProcess]) -> None:
    hub = start_hub(config())
    with prong.connect(hub.url) as client:
        d = client.worker("shared")
        array = prong.array(SHAPE, "u1", hub=client)
        array[...] = 3
        assert d.looks(array) == {"shape": list(SHAPE), "writable": True, "sum": 3 * array.size}
        assert len(lent(hub)) == 1, "there is no copy"
        assert d.fill(array, 7) == list(SHAPE) and int(array.min()) == int(array.max()) == 7
        # Another shape or dtype of the same bytes is the same memory, and so are small arrays.
        assert d.fill(array.reshape(-1, 3), 8) == [600 * 800, 3] and int(array.max()) == 8
        assert d.fill(array.reshape(-1).view("<u2"), 0x0909) == [600 * 800 * 3 // 2] and int(array.min()) == 9
        small = prong.array(5, hub=hub.url)
        assert d.fill(small, 2.5) == [5] and small.tolist() == [2.5] * 5
        # A part is not, nor is another order: copies are filled, small ones are read-only there.
        assert d.fill(array[1:], 1) == [599, 800, 3] and d.fill(array.T, 1) == [3, 800, 600] and int(array.min()) == 9
        with pytest.raises(prong.ProngError, match="read-only"):
            d.fill(small[1:], 1)
        assert client.emit("an.array", small) > 0      # has it in its message
        del array, small
        nothing_is_lent(hub)


def test_a_worker_returns_an_array_that_it_keeps(start_hub: Callable[..., HubProcess]) -> None:
    hub = start_hub(config())
    with prong.connect(hub.url) as client:
        d = client.worker("shared")
        one = d.draw(1)
        assert one.shape == SHAPE and int(one.min()) == 1
        two = d.draw(2)
        assert int(two.max()) == 2 and int(one.min()) == 2, "it is the same memory"
        assert len(lent(hub)) == 1
        several = [item["array"] for item in d.draws(30)]
        assert [int(a.max()) for a in several] == list(range(30))
        broker = hub.broker()
        os.kill(broker, signal.SIGKILL)
        until(lambda: hub.broker() != broker, "another broker")
        with prong.connect(hub.url) as another:
            three, four = another.call("shared", "draw", [3]), another.call("shared", "draw", [4])
            assert int(three.min()) == int(four.min()) == 4, "it lies in memory of the new one"
            assert int(one.min()) == 3, "this in that of the one before, which is written to no more"
            with pytest.raises(prong.ProngError):
                another.call("shared", "dies", [np.zeros(SHAPE)])
        assert int(four.min()) == 4 and int(one.min()) == 3, "whoever dies"
        del one, two, three, four, several
        nothing_is_lent(hub)


def test_arrays_in_place_for_asyncio_and_where_there_is_no_hub(start_hub: Callable[..., HubProcess]) -> None:
    hub = start_hub(config())

    async def fills() -> int:
        async with await prong.aio.connect(hub.url) as client:
            array = prong.array(SHAPE, "u1", hub=client)
            await client.call("shared", "fill", [array, 4])
            found: int = int(array.min())
            return found
    assert asyncio.run(fills()) == 4
    with pytest.raises(prong.UnimplementedError, match="local socket"):
        prong.array(SHAPE, hub="tcp://127.0.0.1:1")
    with pytest.raises(prong.UnavailableError, match="no hub"):
        prong.array(SHAPE, hub=f"ipc://{os.path.dirname(hub.url[6:])}/none/hub.sock")
    with pytest.raises(prong.InvalidArgumentError, match="1 to 1073741824 bytes"):
        prong.array((0, 3), hub=hub.url)
    with pytest.raises(TypeError, match="objects"):
        prong.array(3, object, hub=hub.url)


def test_without_the_library_arrays_go_into_the_message(start_hub: Callable[..., HubProcess],
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    hub = start_hub(config())

    def missing() -> Any:
        raise prong.NotFoundError("no libprong here", began="no")
    monkeypatch.setattr("prong._lib.library", missing)
    with prong.connect(hub.url) as client:
        with pytest.raises(ValueError, match="no libprong"):
            client.call("shared", "plus", [np.zeros(SHAPE), 1.0])          # the result came by its handle
        assert client.call("shared", "looks", [np.zeros(SHAPE, "u1")])["writable"] is False
        with pytest.raises(prong.ResourceExhaustedError, match="shared memory"):
            client.call("shared", "looks", [np.zeros((3000, 1000))])
