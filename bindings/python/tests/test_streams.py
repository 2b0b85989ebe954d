"""Streams: what is written is what is read, whoever comes, goes, is slow, is interrupted or forks."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable, Iterator, List

import numpy as np
import pytest
from conftest import ROOT, SECONDS, HubProcess, serve, until

import prong
import prong.aio
from prong import _lib

HERE = Path(__file__).resolve().parent
Start = Callable[..., HubProcess]


@pytest.fixture
def client(hub: HubProcess) -> Iterator[prong.Client]:
    with prong.connect(hub.url) as found:
        yield found


def picture(number: int, shape: Any = (6, 8, 3), dtype: Any = "u1") -> Any:
    return np.full(shape, number, dtype)


def fill(client: prong.Client, count: int, name: str = "cam", **options: Any) -> prong.StreamWriter:
    """A stream with so many frames; the first is full of 1, and so on."""
    writer = client.create_stream(name, shape=(6, 8, 3), **options)
    for number in range(1, count + 1):
        assert writer.write(picture(number), {"n": number}) == number
    return writer


def taken(found: Any) -> prong.Frame:
    """A frame that has to be there."""
    assert found is not None
    return found  # type: ignore[no-any-return]


# ---- the library


def test_structures_are_those_of_the_header(tmp_path: Path) -> None:
    structures = {"prong_value": _lib.Value, "prong_stream_options": _lib.StreamOptions,
                  "prong_frame_info": _lib.FrameInfo, "prong_stream_counts": _lib.StreamCounts,
                  "prong_reader_options": _lib.ReaderOptions, "prong_reader_counts": _lib.ReaderCounts,
                  "prong_frame": _lib.Frame, "prong_stream_info": _lib.StreamInfo}
    lines, wanted = [], []
    for name, structure in structures.items():
        lines.append(f'printf("{name} %zu\\n", sizeof({name}));')
        wanted.append(f"{name} {ctypes.sizeof(structure)}")
        for field, *_ in structure._fields_:
            lines.append(f'printf("{name}.{field} %zu\\n", offsetof({name}, {field}));')
            wanted.append(f"{name}.{field} {getattr(structure, field).offset}")
    source = tmp_path / "layout.c"
    source.write_text("#include <prong/stream.h>\n#include <stddef.h>\n#include <stdio.h>\nint main(void) {" +
                      "\n".join(lines) + "}\n")
    subprocess.run(["cc", "-I", str(ROOT / "client" / "include"), str(source), "-o", str(tmp_path / "layout")], check=True)
    assert subprocess.run([str(tmp_path / "layout")], stdout=subprocess.PIPE, text=True, check=True).stdout.split("\n") == [
        *wanted, ""]


def test_each_function_that_is_declared_has_as_many_arguments_as_in_the_header() -> None:
    text = "".join((ROOT / "client" / "include" / "prong" / name).read_text() for name in ("prong.h", "stream.h", "value.h"))
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    for name, (_, arguments) in _lib.DECLARED.items():
        found = re.search(rf"\b{name}\(([^)]*)\);", text)
        assert found and len([p for p in found[1].split(",") if p != "void"]) == len(arguments), name


@pytest.mark.compat
def test_the_library_is_loaded_when_it_is_used_first() -> None:
    said = subprocess.run([sys.executable, "-c", "import prong, sys; print([m for m in ('ctypes', 'prong._lib') "
                           "if m in sys.modules]); prong.Reader; print('ctypes' in sys.modules)"],
                          stdout=subprocess.PIPE, text=True, check=True).stdout
    assert said == "[]\nTrue\n"


def test_without_the_library_there_is_an_error_that_says_where_it_was_sought(
        hub: HubProcess, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (Path(folder) / "bin").mkdir()
    (Path(folder) / "lib").mkdir()
    program = ("import prong, sys\nwith prong.connect(sys.argv[1]) as hub:\n"
               "    try:\n        hub.stream('cam')\n    except prong.ProngError as error:\n"
               "        print(error.name, error.began, error.message)")
    command = [sys.executable, "-c", program, hub.url]
    env = {**os.environ, "PRONG_BIN_DIR": f"{folder}/bin", "PATH": "/nowhere"}
    said = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True).stdout
    assert said.startswith("NOT_FOUND no streams need libprong.so.0, which comes with the programs of the hub: ")
    assert f"looked in {folder}/lib, " in said
    # One that is too old.
    (Path(folder) / "old.c").write_text("int prong_stream_create(void) { return 0; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", f"{folder}/old.c", "-o", f"{folder}/lib/{_lib.NAME}"], check=True)
    said = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True).stdout
    assert said == (f"UNIMPLEMENTED no {folder}/lib/libprong.so.0 is of another version of Prong: it has no "
                    "prong_stream_reserve\n")


# ---- frames


@pytest.mark.compat
def test_a_frame_is_what_was_written(client: prong.Client) -> None:
    before, wall = time.monotonic_ns(), time.time()
    with client.create_stream("cam", shape=(4, 5), dtype="<f4") as writer, client.stream("cam") as reader:
        sent = np.arange(20, dtype="<f4").reshape(4, 5)
        assert writer.write(sent, {"exposure": 0.5, "name": "a", "list": [1, 2]}) == 1
        frame = taken(reader.next(SECONDS))
        assert (frame.number, frame.missed, frame.generation, frame.stream) == (1, 0, 1, "cam")
        assert (frame.shape, frame.dtype) == ((4, 5), "<f4")
        assert frame.meta == {"exposure": 0.5, "name": "a", "list": [1, 2]}
        assert before <= frame.mono_ns <= time.monotonic_ns()
        assert wall - 1 <= frame.time <= time.time() + 1
        assert np.array_equal(frame.array, sent) and frame.array.dtype == sent.dtype
        assert frame.data.tobytes() == sent.tobytes() and frame.data.readonly
        assert "frame 1 of cam" in repr(frame)
        with pytest.raises(ValueError, match="read-only"):
            frame.array[0, 0] = 1
        with pytest.raises(TypeError):
            frame.data[0] = 1
        assert writer.write(sent, mono_ns=before) == 2
        with taken(reader.next(SECONDS)) as frame:
            assert (frame.mono_ns, frame.meta) == (before, {})
            assert abs(frame.time - wall) < 1


@pytest.mark.parametrize("sent", [
    np.arange(24).reshape(2, 3, 4)[:, ::2, ::-1],
    np.asfortranarray(np.arange(12, dtype=">i2").reshape(3, 4)),
    np.array([True, False]),
    np.zeros((0, 3), "u1"),
    np.array([1 + 2j, 3], "c16"),
    np.array(["ab", "c"]),
], ids=["strides", "order and bytes", "bool", "empty", "complex", "text"])
def test_arrays_of_every_kind_arrive(client: prong.Client, sent: Any) -> None:
    with client.create_stream("cam", shape=(64,)) as writer, client.stream("cam") as reader:
        writer.write(sent)
        frame = taken(reader.next(SECONDS))
        assert np.array_equal(frame.array, sent) and frame.array.dtype == sent.dtype and frame.shape == sent.shape


def test_bytes_have_the_shape_of_the_stream(client: prong.Client) -> None:
    with client.create_stream("cam", shape=(2, 3)) as writer, client.stream("cam") as reader:
        for given in b"abcdef", bytearray(b"abcdef"), memoryview(b"abcdef"):
            writer.write(given)
            assert taken(reader.next(SECONDS)).array.tolist() == [[97, 98, 99], [100, 101, 102]]
        with pytest.raises(prong.InvalidArgumentError, match=r"frames of cam have 6 bytes \(\|u1 \(2, 3\)\), not 2"):
            writer.write(b"ab")
    with client.create_stream("raw") as writer, client.stream("raw") as reader:
        writer.write(b"any length")
        assert taken(reader.next(SECONDS)).shape == (10,)


def test_latest_gets_the_newest_and_is_told_what_it_missed(client: prong.Client) -> None:
    with fill(client, 3) as writer, client.stream("cam") as reader:
        assert (taken(reader.next(SECONDS)).number, reader.next(0)) == (3, None)
        for number in range(4, 9):
            writer.write(picture(number))
        frame = taken(reader.next(SECONDS))
        assert (frame.number, frame.missed, int(frame.array.max())) == (8, 4, 8)
        assert reader.counts == {"taken": 2, "missed": 4, "dropped": 0, "generation": 1}
        assert writer.counts == {"frames": 8, "bytes": 8 * 144, "skipped": 0, "dropped": 0, "generation": 1}


def test_lossless_gets_every_frame_while_the_writer_waits_for_it(client: prong.Client) -> None:
    got: List[int] = []
    with client.create_stream("cam", shape=(6, 8, 3), slots=4, patience=60) as writer, \
            client.stream("cam", policy="lossless") as reader:

        def read() -> None:
            for frame in reader:
                assert (frame.array == frame.number % 256).all() and frame.missed == 0
                got.append(frame.number)
                if frame.number == 300:
                    return
        thread = threading.Thread(target=read)
        thread.start()
        for number in range(1, 301):
            writer.write(picture(number % 256))
        thread.join(SECONDS)
        assert got == list(range(1, 301)) and writer.counts["dropped"] == 0


def test_a_lossless_reader_that_was_given_up_is_told_once(client: prong.Client) -> None:
    with client.create_stream("cam", shape=(6, 8, 3), slots=4, patience=0) as writer, \
            client.stream("cam", policy="lossless") as reader:
        for number in range(1, 10):
            writer.write(picture(number))
        with pytest.raises(prong.DataLossError, match=r"waited long enough: [0-9]+ frames are lost"):
            next(iter(reader))
        numbers = [frame.number for frame in iter(lambda: reader.next(0), None)]
        assert numbers and numbers == list(range(numbers[0], 10)) and numbers[0] > 1
        assert reader.counts["dropped"] == 1 and writer.counts["dropped"] == 1


def test_oldest_begins_with_what_is_there(client: prong.Client) -> None:
    with fill(client, 3), client.stream("cam", policy="lossless", oldest=True) as reader:
        assert [taken(reader.next(SECONDS)).number for _ in range(3)] == [1, 2, 3]


def test_each_frame_goes_to_exactly_one_of_a_group(client: prong.Client) -> None:
    with client.create_stream("cam", shape=(6, 8, 3), slots=8, patience=60) as writer:
        readers = [client.stream("cam", policy="lossless", group="g") for _ in range(2)]
        other = client.stream("cam")
        got: List[List[int]] = [[], []]

        def read(at: int) -> None:
            for frame in readers[at]:
                got[at].append(frame.number)
        threads = [threading.Thread(target=read, args=(at,)) for at in range(2)]
        for thread in threads:
            thread.start()
        for number in range(1, 101):
            writer.write(picture(number))
        until(lambda: len(got[0]) + len(got[1]) == 100, "each frame at one of them")
        assert sorted(got[0] + got[1]) == list(range(1, 101))
        row, = client.streams()
        groups = [(r["group"], r["policy"]) for r in row["readers"]]
        assert groups.count(("g", "lossless")) == 2 and groups.count((None, "latest")) == 1
        for reader in (*readers, other):
            reader.close()
        for thread in threads:
            thread.join(SECONDS)
            assert not thread.is_alive()


# ---- how long a frame stays


def test_one_more_lets_go_of_the_oldest(client: prong.Client) -> None:
    with fill(client, 5), client.stream("cam", policy="lossless", oldest=True, hold=2) as reader:
        one, two = taken(reader.next(0)), taken(reader.next(0))
        assert int(one.array.max()) == 1
        three = taken(reader.next(0))
        assert [int(f.array.max()) for f in (two, three)] == [2, 3]
        with pytest.raises(prong.FailedPreconditionError, match=r"frame 1 of cam was released.*hold"):
            one.array  # noqa: B018
        assert (one.number, one.meta, one.shape) == (1, {"n": 1}, (6, 8, 3))
        two.release()
        two.release()                    # once more does nothing
        four = taken(reader.next(0))
        assert [int(f.array.max()) for f in (three, four)] == [3, 4]
        row, = client.streams()
        assert [(r["hold"], r["held"]) for r in row["readers"]] == [(2, 2)]


def test_what_a_reader_holds_is_not_written_to(client: prong.Client) -> None:
    with fill(client, 1, slots=4) as writer, client.stream("cam") as reader:
        frame = taken(reader.next(SECONDS))
        for number in range(2, 50):
            writer.write(picture(number))
        assert (frame.array == 1).all()
        kept = frame.keep()
        frame.release()
        for number in range(2, 50):
            writer.write(picture(number))
        assert (kept.array == 1).all() and (kept.number, kept.meta) == (1, {"n": 1})
        kept.array[:] = 3                # it is its own
        assert (kept.array == 3).all()
        kept.release()
        assert (kept.array == 3).all()


def test_a_view_outlives_frame_reader_stream_and_hub(start_hub: Start) -> None:
    hub = start_hub()
    client = prong.connect(hub.url)
    writer = fill(client, 1)
    reader = client.stream("cam")
    frame = taken(reader.next(SECONDS))
    view, data = frame.array[1:, ::2], frame.data
    frame.release()
    assert int(view.max()) == 1          # it may change from now on, and nothing else happens
    writer.write(picture(2, (600, 800, 3)))          # in other memory
    second = taken(reader.next(SECONDS))
    assert (second.generation, second.array.shape) == (2, (600, 800, 3))
    again = second.array
    with writer.frame() as making:
        making[:] = 9
    writer.write(picture(3, (6000, 800, 3)))
    reader.close()
    writer.close()
    client.close()
    assert hub.stop() == 0
    assert (second.array == 2).all()     # held, whoever is gone
    del second, frame, reader, writer
    gc.collect()
    assert view.shape == (5, 4, 3) and int(view.max()) >= 0 and len(bytes(data)) == 144
    assert int(again[0, 0, 0]) == 2 and making.shape == (6, 8, 3) and int(making.max()) >= 0


def test_memory_is_given_back_with_the_last_view(client: prong.Client) -> None:
    def maps() -> int:
        return Path("/proc/self/maps").read_text().count("/memfd:")
    before, open_fds = maps(), len(os.listdir("/proc/self/fd"))
    for generation in range(1, 4):
        with client.create_stream("cam", shape=(generation * 5000,)) as writer, client.stream("cam") as reader:
            writer.write(bytes(generation * 5000))
            array = taken(reader.next(SECONDS)).array
    assert maps() == before + 1
    assert int(array.sum()) == 0
    del array
    assert (maps(), len(os.listdir("/proc/self/fd"))) == (before, open_fds)


def test_others_take_it_without_a_copy_by_dlpack(client: prong.Client) -> None:
    with fill(client, 1), client.stream("cam") as reader:
        frame = taken(reader.next(SECONDS))
        assert frame.__dlpack_device__() == (1, 0)
        try:
            found = np.from_dlpack(frame)
        except BufferError:              # a numpy before 2.1 hands on nothing that is read-only
            found = np.from_dlpack(frame.keep())
        else:
            assert np.shares_memory(found, frame.array) and not found.flags.writeable
        assert (found == 1).all()
        try:
            import torch  # type: ignore[import-not-found,unused-ignore]
        except ImportError:
            return
        assert int(torch.from_dlpack(frame.keep()).sum()) == 144


# ---- by number and by time


def test_frames_are_found_by_number_and_time(client: prong.Client) -> None:
    with client.create_stream("cam", shape=(2,), slots=8) as writer, client.stream("cam", hold=3) as reader:
        assert reader.at(time.monotonic_ns(), timeout=0) is None
        start, wall = time.monotonic_ns() - 10 ** 10, time.time() - 10
        for at in range(5):
            writer.write(bytes(2), mono_ns=start + at * 10 ** 9)
        assert [reader.number(n).number for n in (2, 5)] == [2, 5]
        for number in 0, 6, 1000:
            with pytest.raises(prong.DataLossError):
                reader.number(number)
        near = [taken(reader.at(start + int(s * 1e9), timeout=0)).number for s in (-5, 0.4, 1.6, 3, 100)]
        assert near == [1, 1, 3, 4, 5]
        assert taken(reader.frame_at(wall + 2.1)).number == 3
        # It waits for one of that time or later.
        found: List[Any] = []
        thread = threading.Thread(target=lambda: found.append(reader.at(start + 6 * 10 ** 9, timeout=SECONDS)))
        thread.start()
        writer.write(bytes(2), mono_ns=start + 5 * 10 ** 9)
        writer.write(bytes(2), mono_ns=start + 7 * 10 ** 9)
        thread.join(SECONDS)
        assert found[0].number in (6, 7)
        assert taken(reader.next(0)).number == 7


@pytest.mark.compat
def test_events_come_with_the_frame_nearest_to_them(client: prong.Client) -> None:
    with client.create_stream("cam", shape=(2,), slots=16) as writer:
        pairs = client.correlate("plc.trigger", "cam", tolerance=0.25, timeout=0)
        start = time.monotonic_ns() - 20 * 10 ** 9
        for at in range(10):
            writer.write(bytes([at, at]), mono_ns=start + at * 10 ** 9)
        client.emit("plc.trigger", {"mono_ns": start + 3 * 10 ** 9 + 10 ** 8})
        client.emit("plc.other", {"mono_ns": start})
        client.emit("plc.trigger", {"mono_ns": start + 5 * 10 ** 9 + 4 * 10 ** 8})
        client.emit("plc.trigger", {"mono_ns": start + 8 * 10 ** 9})
        event, frame, delay = next(pairs)
        assert (taken(frame).number, event.topic, round(delay or 0, 6)) == (4, "plc.trigger", -0.1)
        assert taken(frame).array.tolist() == [3, 3]
        event, frame, delay = next(pairs)
        assert (event.payload["mono_ns"], frame, delay) == (start + 5 * 10 ** 9 + 4 * 10 ** 8, None, None)
        _, frame, delay = next(pairs)
        assert (taken(frame).number, delay) == (9, 0.0)
        # Without a time of its own, it is when the hub took it.
        client.emit("plc.trigger", "now")
        writer.write(bytes(2))
        event, frame, delay = next(pairs)
        assert event.payload == "now" and (frame is None or abs(delay or 0) <= 0.25)
    client.close()
    assert list(pairs) == []


# ---- writing


def test_a_frame_is_made_in_place_or_not_at_all(client: prong.Client) -> None:
    with client.create_stream("cam", shape=(6, 8, 3)) as writer, client.stream("cam", policy="lossless") as reader:
        about = {"kind": "first"}
        with writer.frame(meta=about) as array:
            assert array.shape == (6, 8, 3) and array.flags.writeable
            array[:] = 5
            about["kind"] = "made"
            with pytest.raises(prong.FailedPreconditionError, match="is being made"):
                writer.write(picture(1))
            assert reader.next(0) is None
        assert not array.flags.writeable
        frame = taken(reader.next(SECONDS))
        assert (frame.array == 5).all() and frame.meta == {"kind": "made"}
        with pytest.raises(ZeroDivisionError):
            with writer.frame() as array:
                array[:] = 6
                1 / 0  # noqa: B018
        assert reader.next(0) is None
        with writer.frame(shape=(2, 2), dtype="<u2") as array:
            array[:] = [[1, 2], [3, 4]]
        frame = taken(reader.next(SECONDS))
        assert (frame.number, frame.array.tolist(), frame.dtype) == (2, [[1, 2], [3, 4]], "<u2")
        assert writer.counts["frames"] == 2


@pytest.mark.compat
def test_what_cannot_be_written_is_refused_and_the_stream_goes_on(client: prong.Client) -> None:
    with client.create_stream("cam", shape=(2,)) as writer, client.stream("cam", policy="lossless") as reader:
        with pytest.raises(prong.InvalidArgumentError, match="meta must be one map of at most 1024 bytes"):
            writer.write(b"ab", {"text": "x" * 2000})
        with pytest.raises(TypeError, match=r"meta\['what'\]: object has no form"):
            writer.write(b"ab", {"what": object()})
        with pytest.raises(TypeError, match="Python objects or records"):
            writer.write(np.array([object()]))
        with pytest.raises(TypeError, match="Python objects or records"):
            writer.write(np.zeros(2, [("a", "u1"), ("b", "u1")]))
        with pytest.raises(prong.InvalidArgumentError, match="at most 8 dimensions"):
            writer.write(np.zeros([1] * 9))
        writer.write(b"ab")
        assert taken(reader.next(SECONDS)).number == 1
        with client.create_stream("free") as free, pytest.raises(TypeError, match="say that of the frame"):
            with free.frame():
                pass
    with pytest.raises(prong.FailedPreconditionError, match="closed"):
        writer.write(b"ab")


@pytest.mark.parametrize("options, wanted", [
    ({"policy": "fast"}, "latest, lossless"), ({"hold": 0}, "1 to 32"), ({"hold": 33}, "1 to 32")])
def test_options_that_make_no_sense_are_refused(client: prong.Client, options: Any, wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted):
        client.stream("cam", **options)


def test_errors_of_opening_say_what_is_wrong(client: prong.Client, hub: HubProcess) -> None:
    with pytest.raises(prong.InvalidArgumentError, match="a-z 0-9"):
        client.stream("No Name", timeout=0)
    with pytest.raises(prong.InvalidArgumentError, match="a-z 0-9"):
        client.create_stream("No Name")
    with pytest.raises(prong.InvalidArgumentError, match="slots must be 2 to 256"):
        client.create_stream("cam", slots=1)
    with pytest.raises(ValueError, match="0 to 60 seconds"):
        client.create_stream("cam", patience=61)
    for timeout in 0, 0.01:
        with pytest.raises(prong.NotFoundError, match="no stream 'cam'"):
            client.stream("cam", timeout=timeout)
    with fill(client, 1), client.stream("cam", group="g", timeout=0):
        with pytest.raises(prong.AlreadyExistsError, match=str(os.getpid())):
            client.create_stream("cam")
        with pytest.raises(prong.InvalidArgumentError):
            client.stream("cam", group="g", policy="lossless", timeout=0)
        with pytest.raises(prong.ResourceExhaustedError):
            client.stream("cam", hold=30, timeout=0)


def test_another_writer_goes_on_with_the_numbers(client: prong.Client) -> None:
    first = fill(client, 3)
    with client.stream("cam", policy="lossless", oldest=True) as reader:
        assert [taken(reader.next(SECONDS)).number for _ in range(3)] == [1, 2, 3]
        first.close()
        until(lambda: [row["writer"] for row in client.streams()] == [None], "the hub knows that it ended")
        with client.create_stream("cam", shape=(6, 8, 3)) as second:
            assert second.write(picture(4)) == 4
            frame = taken(reader.next(SECONDS))
            assert (frame.number, frame.missed, int(frame.array.max())) == (4, 0, 4)
    assert [row["readers"][0]["held"] for row in client.streams()] == [1]     # the frame is still held
    frame.release()
    until(lambda: client.streams() == [], "nothing is left")


def test_frames_go_on_when_the_broker_is_started_anew(client: prong.Client, hub: HubProcess) -> None:
    with fill(client, 1) as writer, client.stream("cam") as reader:
        numbers, frame = [], taken(reader.next(SECONDS))
        view = frame.array
        os.kill(hub.broker(), signal.SIGKILL)

        def again() -> bool:
            writer.write(picture(7))
            found = reader.next(0.02)
            if found is not None:
                numbers.append(found.number)
                assert (found.array == 7).all()
            return found is not None and found.generation > 1
        until(again, "a frame by the new broker's memory")
        assert numbers == sorted(set(numbers)) and numbers[0] > 1
        assert int(view.max()) in (1, 7)
        until(lambda: [len(row["readers"]) for row in client.streams()] == [1], "the new broker knows both")


def test_streams_tells_of_all_of_them(client: prong.Client) -> None:
    with fill(client, 2) as writer, client.create_stream("other", slots=3), client.stream("cam", hold=2) as reader:
        taken(reader.next(SECONDS))
        rows = {row["name"]: row for row in client.streams()}
        assert sorted(rows) == ["cam", "other"]
        row = rows["cam"]
        assert (row["writer"], row["slots"], row["generation"], row["newest"], row["frames"], row["bytes"]) == (
            os.getpid(), 8, 1, 2, 2, 288)
        assert abs(row["time"] - time.time()) < SECONDS and rows["other"]["time"] is None
        about, = row["readers"]
        assert {**about, "delay": 0} == {"pid": os.getpid(), "policy": "latest", "group": None, "hold": 2, "held": 1,
                                         "taken": 1, "missed": about["missed"], "next": 3, "delay": 0}
        assert about["delay"] > 0 and rows["other"]["readers"] == []
        assert writer.counts["frames"] == 2


# ---- waiting, and its end


def test_a_stream_that_is_not_there_yet_is_waited_for(client: prong.Client) -> None:
    got: List[int] = []

    def read() -> None:
        with client.stream("late", policy="lossless") as reader:
            got.extend(taken(reader.next(SECONDS)).number for _ in range(3))
    thread = threading.Thread(target=read)
    thread.start()
    until(lambda: [row["readers"] for row in client.streams()] not in ([], [[]]), "its reader")
    with fill(client, 3, "late"):
        thread.join(SECONDS)
    assert got == [1, 2, 3]              # from the first one on


@pytest.mark.parametrize("what", ["reader", "client"])
def test_close_ends_the_wait_of_another_thread(hub: HubProcess, what: str) -> None:
    client = prong.connect(hub.url)
    writer, reader = fill(client, 1), client.stream("cam")
    left: List[int] = []
    thread = threading.Thread(target=lambda: left.extend(f.number for f in reader))
    thread.start()
    until(lambda: reader.counts["taken"] == 1, "it waits for the second")
    (reader if what == "reader" else client).close()
    thread.join(SECONDS)
    assert not thread.is_alive() and left == [1]
    with pytest.raises(prong.FailedPreconditionError, match="closed"):
        reader.next(0)
    writer.close()
    client.close()


def test_a_wait_for_a_stream_ends_when_its_client_is_closed(hub: HubProcess) -> None:
    client = prong.connect(hub.url)
    with prong.connect(hub.url) as other:
        failed: List[BaseException] = []

        def wait() -> None:
            try:
                client.stream("never").next()
            except prong.FailedPreconditionError as error:
                failed.append(error)
        thread = threading.Thread(target=wait)
        thread.start()
        until(other.streams, "its reader")
        client.close()
        thread.join(SECONDS)
        assert not thread.is_alive() and "closed" in str(failed[0])


class Interrupted(KeyboardInterrupt):
    pass


@pytest.fixture
def interrupt() -> Iterator[Callable[[], None]]:
    """interrupt(): as ctrl-c, soon, and again until it was heard."""
    def handler(*_: Any) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise Interrupted
    before = signal.signal(signal.SIGALRM, handler)
    yield lambda: signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05) and None
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_ctrl_c_ends_every_wait(client: prong.Client, interrupt: Callable[[], None]) -> None:
    with fill(client, 1) as writer, client.stream("cam", hold=1) as reader:
        assert taken(reader.next(0)).number == 1
        with pytest.raises(Interrupted):
            interrupt()
            reader.next()
        with pytest.raises(Interrupted):
            interrupt()
            reader.at(time.monotonic_ns() + 10 ** 12, timeout=1000)
        with pytest.raises(Interrupted):
            interrupt()
            client.stream("never")
        writer.write(picture(2))
        assert taken(reader.next(SECONDS)).number == 2
        assert [f.number for f in (taken(reader.at(0, 0)), reader.number(2))] == [1, 2]


def in_a_child(what: Callable[[], None]) -> str:
    """What it raised there."""
    inside, outside = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = "nothing"
        try:
            what()
        except prong.ProngError as error:
            said = f"{error.name} {error.message}"
        finally:
            os.write(outside, said.encode())
            os._exit(0)
    os.close(outside)
    with os.fdopen(inside) as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return said


def test_a_forked_child_opens_its_own(client: prong.Client, hub: HubProcess) -> None:
    with fill(client, 1, slots=4) as writer, client.stream("cam") as reader:
        frame = taken(reader.next(SECONDS))
        array = frame.array
        for what in reader.next, lambda: next(reader), lambda: reader.at(0), reader.fileno, lambda: reader.counts:
            assert "FAILED_PRECONDITION this reader of cam belongs to another process" in in_a_child(what)  # type: ignore[arg-type]
        assert "FAILED_PRECONDITION this frame belongs" in in_a_child(lambda: frame.array)
        assert "FAILED_PRECONDITION this stream of cam belongs" in in_a_child(lambda: writer.write(picture(9)) and None)

        def child() -> None:             # what it lets go of, its parent still holds
            frame.release()
            reader.close()
            writer.close()
            gc.collect()
            with prong.connect(hub.url) as own, own.stream("cam") as mine:
                assert taken(mine.next(SECONDS)).number == 1
        assert in_a_child(child) == "nothing"
        for number in range(2, 20):
            writer.write(picture(number))
        assert (array == 1).all()
        frame.release()
        assert taken(reader.next(SECONDS)).number == 19


def test_what_is_closed_is_closed_although_a_forked_child_has_its_descriptors(client: prong.Client) -> None:
    inside, outside = os.pipe()
    with fill(client, 1) as writer, client.stream("cam", policy="lossless") as reader:
        pid = os.fork()
        if pid == 0:
            os.close(outside)
            os.read(inside, 1)           # until its parent lets it go
            os._exit(0)
        try:
            reader.close()
            writer.close()
            until(lambda: client.streams() == [], "the hub knows")
            with client.create_stream("cam"):
                pass
        finally:
            os.close(outside)
            os.close(inside)
            os.waitpid(pid, 0)


def test_none_of_them_is_pickled(client: prong.Client) -> None:
    import pickle
    with fill(client, 1) as writer, client.stream("cam") as reader:
        for thing in writer, reader:
            with pytest.raises(TypeError, match="another process"):
                pickle.dumps(thing)


@pytest.mark.compat
def test_the_loops_of_workers_read_and_end_with_them(start_hub: Start) -> None:
    command = serve(f"{HERE}/stream_workers.py:Watch")
    process = start_hub(f"""
workers:
  watch: {{command: {command}, replicas: 2}}
  watch_async: {{command: {serve(f"{HERE}/stream_workers.py:WatchAsync")}}}
""")
    with prong.connect(process.url) as client, client.subscribe("watch.>", "watch_async.>", "hub.worker.*") as events:
        with client.create_stream("cam", shape=(6, 8, 3), slots=40, patience=60) as writer:
            until(lambda: sum(len(row["readers"]) for row in client.streams()) == 4, "their readers")
            for number in range(1, 21):
                writer.write(picture(number))
            group, alone = [], []
            while len(group) + len(alone) < 40:
                event = events.next(SECONDS)
                assert event is not None, (group, alone)
                if event.topic.endswith(".saw"):
                    assert event.payload["number"] == event.payload["first"]
                    (group if event.topic == "watch.saw" else alone).append(event.payload["number"])
            assert sorted(group) == alone == list(range(1, 21))
        for worker in "watch", "watch_async":
            client.call("hub", "stop", {"worker": worker}, timeout=SECONDS)
        left, codes = 0, []
        while len(codes) < 3:
            event = events.next(SECONDS)
            assert event is not None, (left, codes)
            left += event.topic.endswith(".left")
            if event.topic == "hub.worker.exited":
                codes.append((event.payload.get("exit_code"), event.payload.get("signal")))
        assert (left, codes) == (3, [(0, None)] * 3), process.log


# ---- asyncio


@pytest.mark.compat
def test_asyncio_has_the_same(hub: HubProcess) -> None:
    async def main() -> None:
        async with prong.aio.connect(hub.url) as client:
            writer = await client.create_stream("cam", shape=(6, 8, 3), slots=16)
            numbers: List[int] = []

            async def read() -> None:
                async for frame in client.stream("cam", policy="lossless"):
                    assert (frame.array == frame.number).all()
                    numbers.append(frame.number)
                    if frame.number == 10:
                        break
            task = asyncio.ensure_future(read())
            while not (await client.streams())[0]["readers"]:
                await asyncio.wait([task], timeout=0.005)
            for number in range(1, 11):
                writer.write(picture(number))
                await asyncio.wait([task], timeout=0.001)
            await asyncio.wait_for(task, SECONDS)
            assert numbers == list(range(1, 11))
            async with client.stream("cam", hold=2) as reader:
                frame = taken(await reader.next(SECONDS))
                assert (frame.number, await reader.next(0.01)) == (10, None)
                waiting = asyncio.ensure_future(reader.next())
                await asyncio.wait([waiting], timeout=0.01)
                writer.write(picture(11))
                assert taken(await asyncio.wait_for(waiting, SECONDS)).number == 11
                assert taken(await reader.at(0, 0)).number == reader.number(1).number == 1
                assert taken(await reader.frame_at(time.time() + SECONDS, 0.01)).number == 11
                ends = asyncio.ensure_future(reader.__anext__())
                await asyncio.wait([ends], timeout=0.01)
                reader.close()
                with pytest.raises(StopAsyncIteration):
                    await asyncio.wait_for(ends, SECONDS)
            writer.close()
    asyncio.run(main())


def test_asyncio_waits_for_a_stream_and_can_be_cancelled(hub: HubProcess) -> None:
    async def main() -> None:
        async with prong.aio.connect(hub.url) as client:
            with pytest.raises(prong.NotFoundError):
                await client.stream("never", timeout=0.01).next()
            reader = client.stream("late", policy="lossless")
            with pytest.raises(prong.FailedPreconditionError, match="not open yet"):
                reader.counts  # noqa: B018
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(reader.next(), 0.05)
            task = asyncio.ensure_future(reader.next())
            while len(await client.streams()) == 0:
                await asyncio.wait([task], timeout=0.005)
            writer = await client.create_stream("late", shape=(6, 8, 3))
            writer.write(picture(1))
            assert taken(await asyncio.wait_for(task, SECONDS)).number == 1
            pairs = client.correlate("plc.trigger", "late", tolerance=SECONDS, timeout=0.01)
            first = asyncio.ensure_future(pairs.__anext__())
            while len((await client.streams())[0]["readers"]) < 2:
                await asyncio.wait([first], timeout=0.005)
            await client.emit("plc.trigger", {"mono_ns": time.monotonic_ns()})
            event, frame, delay = await asyncio.wait_for(first, SECONDS)
            assert (event.topic, taken(frame).number) == ("plc.trigger", 1) and (delay or 0) < 0
            await pairs.aclose()  # type: ignore[attr-defined]
    asyncio.run(main())


def test_a_network_hub_has_no_streams(hub: HubProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    with prong.connect(hub.url) as client:
        monkeypatch.setattr(type(client), "url", property(lambda _: "tcp://127.0.0.1:7707"))
        for ask in (lambda: client.stream("cam"), lambda: client.create_stream("cam"), client.streams):
            with pytest.raises(prong.UnimplementedError, match="shared memory"):
                ask()
