"""prong stream: what there is, how fast it comes, and frames as bytes and pictures."""
import os
import re
import signal
import struct
import subprocess
import zlib

import hub
from streams import BYTES, Case, Writer, content, lines_of


class Look(Case):
    def test_what_there_is(self):
        self.assertEqual(self.ok("stream", "ls").json(), [])
        writer = Writer(self)
        cam, = self.ok("stream", "ls").json()
        self.assertEqual((cam["name"], cam["writer_pid"], cam["slots"], cam["frames"], cam["newest_time"],
                          cam["readers"]), ("cam1", writer.child.pid, 8, 0, None, []))
        self.assertIsNone(self.ok("stream", "info", "cam1").json()["frame"])
        writer.tell(3)
        child = self.reading("stream", "cat", "cam1", "--policy", "lossless", "-o", "jsonl")
        writer.tell(2)
        self.assertEqual([lines_of(child.stdout.readline())[0]["number"] for _ in range(2)], [4, 5])
        info = self.ok("stream", "info", "cam1").json()
        self.assertEqual((info["frames"], info["newest"], info["bytes"]), (5, 5, 5 * BYTES))
        self.assertRegex(info["newest_time"], r"^20\d\d-.*Z$")
        reader, = info["readers"]
        self.assertEqual((reader["pid"], reader["policy"], reader["group"], reader["taken"], reader["missed"]),
                         (child.pid, "lossless", None, 2, 0))
        self.assertEqual((info["frame"]["shape"], info["frame"]["dtype"], info["frame"]["number"],
                          info["frame"]["meta"]), ([4, 6, 3], "|u1", 5, {"format": "rgb24"}))
        child.send_signal(signal.SIGINT)
        self.assertEqual(self.end(child).code, 130)

    def test_tables(self):
        writer = Writer(self)
        writer.tell(3)
        child = self.reading("stream", "cat", "cam1", "-o", "jsonl")
        text = self.ok("stream", "ls", "-o", "table").out
        self.assertRegex(text, r"(?m)^STREAM +WRITER +READERS +SLOTS +SIZE +FRAMES +SKIPPED +NEWEST$")
        self.assertRegex(text, rf"(?m)^cam1 +{writer.child.pid} +1 +8 +4\.0K +3 +0 +\d+")
        text = self.ok("stream", "info", "cam1", "-o", "table").out
        self.assertIn('frame 3: 4x6x3 |u1 {"format":"rgb24"}', text)
        self.assertRegex(text, rf"(?m)^{child.pid} +latest +- +[01]/1 ")
        writer.end()
        self.assertRegex(self.ok("stream", "ls", "-o", "table").out, r"(?m)^cam1 +none +1 ")

    def test_a_stream_that_is_not_there(self):
        self.assertIn("there are no streams", self.fails(5, "stream", "hz", "cam1").err)
        Writer(self, "cam1")
        for words in (["info", "cam"], ["hz", "cam"], ["cat", "cam"], ["snap", "cam"]):
            result = self.fails(5, "stream", *words)
            self.assertIn("NOT_FOUND: there is no stream 'cam'\nprong: did you mean cam1?", result.err)
        self.assertIn("there are the streams cam1", self.fails(5, "stream", "info", "xyzzy").err)
        self.assertEqual(self.fails(5, "stream", "info", "xyzzy", "-j").json()["name"], "NOT_FOUND")
        self.fails(5, "stream", "record", "x.prec", "--stream", "cam")
        self.assertFalse(os.path.exists(self.path("x.prec")))

    def test_names_are_completed(self):
        for name in ("cam2", "cam1"):
            Writer(self, name)
        for words in (["stream", "hz", "c"], ["stream", "record", "x", "--stream", ""]):
            self.assertEqual(sorted(self.ok("complete", "--", *words).out.split()), ["cam1", "cam2"])
        self.assertEqual([s["name"] for s in self.ok("stream", "ls").json()], ["cam1", "cam2"])
        self.assertEqual(self.ok("complete", "--", "stream", "hz", "cam1", "").out, "")
        self.assertEqual(self.ok("complete", "--", "stream", "cat", "x", "--policy", "lo").out, "lossless\t\n")

    def test_it_is_waited_for_with_a_timeout(self):
        self.fails(124, "stream", "cat", "cam1", "-o", "jsonl", "--timeout", "100ms")
        child = self.start("stream", "cat", "cam1", "-n", "1", "-o", "jsonl", "--timeout", "60s")
        writer = Writer(self)
        while child.poll() is None:
            writer.tell(1)
        self.assertEqual(len(self.end(child).lines()), 1)

    def test_usage(self):
        for words, text in ((["stream"], "needs one of ls, info, hz, bw, delay, cat, snap, record, replay"),
                            (["stream", "lss"], "no verb 'stream lss', did you mean stream ls?"),
                            (["stream", "hz"], "stream hz needs 1 argument"),
                            (["stream", "cat", "x", "--policy", "last"], "use one of latest lossless"),
                            (["stream", "snap", "x", "-o", "x.jpg"], ".png, .ppm or .pgm"),
                            (["stream", "hz", "x", "--window", "1"], "use a time from 100ms to 1h"),
                            (["stream", "snap", "x", "--format", "yuv"], "use one of gray8 rgb24"),
                            (["stream", "replay", "x", "--speed", "0"], "--speed '0': use a number above 0"),
                            (["stream", "replay", "x", "--speed", "fast"], "or max")):
            self.assertIn(text, self.fails(2, *words).err)
        self.fails(2, "stream", "cat", "BAD NAME", "--timeout", "1s")


class Watch(Case):
    def watched(self, verb, *more):
        """What the verb says of frames that come until it has enough of them."""
        writer = Writer(self)
        child = self.reading("stream", verb, "cam1", "-n", "5", *more)
        while child.poll() is None:
            writer.tell(1)
        result = self.end(child)
        self.assertEqual(result.code, 0, result)
        return result

    def test_hz(self):
        last = self.watched("hz", "--window", "1h").lines()[-1]
        self.assertEqual(list(last), ["frames", "missed", "hz", "mean_ms", "min_ms", "max_ms", "std_ms"])
        self.assertEqual(last["frames"], 5)
        self.assertGreater(last["hz"], 0)
        self.assertLessEqual(last["min_ms"], last["max_ms"])
        self.assertAlmostEqual(last["mean_ms"] * last["hz"], 1000, delta=1)

    def test_bw(self):
        last = self.watched("bw", "--window", "1h").lines()[-1]
        self.assertEqual((last["frames"], last["min_bytes"], last["max_bytes"]), (5, BYTES, BYTES))
        self.assertAlmostEqual(last["bytes_per_s"] / last["hz"], BYTES, delta=0.01)

    def test_delay(self):
        last = self.watched("delay", "--window", "1h").lines()[-1]
        self.assertTrue(0 < last["p50_ms"] <= last["p99_ms"] <= last["max_ms"], last)

    def test_lines_for_people(self):
        self.assertRegex(self.watched("hz", "--window", "1h", "-o", "table").out,
                         r"(?m)^[\d.]+ Hz  min [\d.]+ms  max [\d.]+ms  std [\d.]+ms  frames 5")

    def test_a_line_each_second_and_nothing_that_was_there_before(self):
        Writer(self).tell(2)
        child = self.start("stream", "hz", "cam1", "--timeout", "30s")
        self.assertEqual(lines_of(child.stdout.readline())[0]["frames"], 0)
        self.assertEqual(lines_of(child.stdout.readline())[0]["hz"], 0)
        child.stdout.close()                         # nobody reads any longer
        self.assertEqual(child.wait(hub.DEADLINE), 0)
        # On a loaded machine it may be the hub that did not answer in time.
        self.assertRegex(self.fails(124, "stream", "bw", "cam1", "--timeout", "300ms").err,
                         "enough frames did not come within|does not answer")


class Cat(Case):
    def bytes_of(self, child):
        out, err = child.communicate(timeout=hub.DEADLINE)
        self.assertEqual(child.returncode, 0, err)
        return out

    def cat(self, *more, readers=1):
        child = subprocess.Popen(self.command("stream", "cat", "cam1", *more), cwd=self.dir, env=self.env,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.children.append(child)
        if readers > 0:                              # else it may have ended already
            self.until_readers("cam1", readers)
        return child

    def test_lossless_is_every_byte(self):
        writer = Writer(self, slots=3)
        child = self.cat("-n", "100", "--policy", "lossless")
        self.assertEqual(writer.tell(100), 100)
        self.assertEqual(self.bytes_of(child), b"".join(content(n) for n in range(1, 101)))

    def test_latest_is_the_newest_and_tells_what_was_missed(self):
        writer = Writer(self)
        writer.tell(20)
        self.assertEqual(self.bytes_of(self.cat("-n", "1", readers=0)), content(20))
        self.until_readers("cam1", 0)
        child = self.cat("-o", "jsonl")
        self.assertEqual(lines_of(child.stdout.readline())[0]["number"], 20)
        self.stop(child)
        writer.tell(30)
        child.send_signal(signal.SIGCONT)
        frame, seen = {"number": 0}, 0
        while frame["number"] < 50:
            frame, = lines_of(child.stdout.readline())
            seen += 1 + frame["missed"]
        self.assertEqual(seen, 30)
        self.assertEqual((frame["shape"], frame["dtype"], frame["bytes"], frame["meta"]),
                         ([4, 6, 3], "|u1", BYTES, {"format": "rgb24"}))
        self.assertGreater(frame["delay_ms"], 0)
        child.stdout.close()
        writer.tell(1)                               # is written to a pipe that nobody reads
        self.assertEqual(child.wait(hub.DEADLINE), 0)

    def test_frames_that_change(self):
        writer = Writer(self)
        child = self.cat("-n", "3", "--policy", "lossless", "-o", "jsonl")
        writer.tell(1)
        writer.tell("shape 100,200")
        writer.tell("dtype <f4")
        writer.tell(2)
        frames = lines_of(self.bytes_of(child))
        self.assertEqual([(f["number"], f["shape"], f["dtype"], f["bytes"]) for f in frames],
                         [(1, [4, 6, 3], "|u1", BYTES), (2, [100, 200], "<f4", 80000), (3, [100, 200], "<f4", 80000)])
        self.assertLess(frames[0]["generation"], frames[1]["generation"])

    def test_a_terminal_gets_no_bytes(self):
        Writer(self).tell(1)
        code, text = self.on_terminal("stream", "cat", "cam1", "-n", "1")
        self.assertEqual(code, 2)
        self.assertIn("a terminal cannot show", text)
        code, text = self.on_terminal("stream", "cat", "cam1", "-n", "1", "-o", "table")
        self.assertEqual(code, 0)
        self.assertRegex(text, r'#1 4x6x3 \|u1 \{"format":"rgb24"\}')


def png_pixels(data, channels):
    """(width, height, colour type, pixels) of a PNG of 8 bits without interlace."""
    chunks, at, packed = {}, 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        chunks[kind] = data[at + 8:at + 8 + size]
        packed += chunks[kind] if kind == b"IDAT" else b""
        at += 12 + size
    width, height, bits, kind = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert bits == 8
    flat, rows, above = zlib.decompress(packed), [], bytes(width * channels)
    for y in range(height):
        line = flat[y * (width * channels + 1):(y + 1) * (width * channels + 1)]
        row = bytearray(line[1:])
        for x in range(len(row)):
            left = row[x - channels] if x >= channels else 0
            corner = above[x - channels] if x >= channels else 0
            guess = left + above[x] - corner
            paeth = min((left, above[x], corner), key=lambda v: abs(guess - v))
            row[x] = (row[x] + (0, left, above[x], (left + above[x]) // 2, paeth)[line[0]]) & 0xff
        rows.append(bytes(row))
        above = rows[-1]
    return width, height, kind, b"".join(rows)


def swapped(pixels, channels):
    return b"".join(pixels[i:i + 3][::-1] + pixels[i + 3:i + channels] for i in range(0, len(pixels), channels))


class Snap(Case):
    def snap(self):
        return self.prong("stream", "snap", "cam1", "-o", "-", text=False).out

    def has_png(self):
        """Whether it was built with libpng; if not it says so."""
        writer = Writer(self)
        writer.tell(1)
        result = self.prong("stream", "snap", "cam1", "-o", "a.png")
        if result.code != 0:
            self.assertEqual(result.code, 1)
            self.assertIn("this prong was built without libpng (package libpng-dev): use a .ppm", result.err)
        self.assertEqual(os.path.exists(self.path("a.png")), result.code == 0)
        writer.end()
        return result.code == 0

    def test_png_of_each_kind_of_frame(self):
        if not self.has_png():
            self.skipTest("this prong was built without libpng")
        for pixels, shape, channels, kind in (("rgb24", "4,6,3", 3, 2), ("bgr24", "4,6,3", 3, 2), ("gray8", "5,7", 1, 0),
                                              ("gray8", "5,7,1", 1, 0), ("rgba", "4,6,4", 4, 6), ("bgra", "4,6,4", 4, 6)):
            with self.subTest(pixels, shape=shape):
                writer = Writer(self, pixels=pixels)
                writer.tell("shape " + shape)
                writer.tell(3)
                height, width = map(int, shape.split(",")[:2])
                wanted = content(3, width * height * channels)
                found = png_pixels(self.snap(), channels)
                self.assertEqual(found[:3], (width, height, kind))
                self.assertEqual(found[3], swapped(wanted, channels) if pixels[0] == "b" else wanted)
                writer.end()

    def test_deeper_frames_are_shown_by_their_upper_bits(self):
        writer = Writer(self, pixels="Mono12")
        writer.tell("shape 5,7")
        writer.tell("dtype <u2")
        writer.tell(3)
        self.ok("stream", "snap", "cam1", "-o", "a.pgm")
        words = struct.unpack("<35H", content(3, 70))
        with open(self.path("a.pgm"), "rb") as file:
            self.assertEqual(file.read(), b"P5\n7 5\n255\n" + bytes(min(word >> 4, 255) for word in words))

    def test_files(self):
        writer = Writer(self, pixels="bgr24")
        writer.tell(2)
        result = self.ok("stream", "snap", "cam1", "-o", "a.ppm")
        self.assertRegex(result.err, r"^prong: a\.ppm: frame 2 of cam1, 4x6x3, taken at \d\d:")
        with open(self.path("a.ppm"), "rb") as file:
            self.assertEqual(file.read(), b"P6\n6 4\n255\n" + swapped(content(2), 3))
        found = self.ok("stream", "snap", "cam1", "-o", "b.ppm", "--format", "rgb24", "-j").json()
        self.assertEqual((found["file"], found["number"]), ("b.ppm", 2))
        with open(self.path("b.ppm"), "rb") as file:
            self.assertEqual(file.read(), b"P6\n6 4\n255\n" + content(2))
        # What cannot be written leaves what was there, and nothing else.
        with open(self.path("c.pgm"), "w", encoding="utf-8") as file:
            file.write("kept")
        self.assertIn("use a .ppm", self.fails(1, "stream", "snap", "cam1", "-o", "c.pgm").err)
        with open(self.path("c.pgm"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "kept")
        self.assertEqual([n for n in os.listdir(self.dir) if ".part" in n], [])
        self.assertIn("No such file", self.fails(1, "stream", "snap", "cam1", "-o", "none/a.ppm").err)

    def test_the_default_is_a_file_here(self):
        Writer(self).tell(1)
        self.ok("stream", "snap", "cam1")
        self.assertTrue(os.path.exists(self.path("cam1.png")) or os.path.exists(self.path("cam1.ppm")))

    def test_what_is_no_picture(self):
        writer = Writer(self)
        self.assertRegex(self.fails(124, "stream", "snap", "cam1", "--timeout", "300ms").err,
                         "a frame did not come within|does not answer")
        writer.tell("dtype <f4")
        writer.tell(1)
        result = self.fails(1, "stream", "snap", "cam1", "-o", "a.png")
        self.assertIn("dtype <f4 and shape (4, 6, 3) are no pictures: dtype |u1 and shape (h, w)", result.err)
        self.assertFalse(os.path.exists(self.path("a.png")))

    def test_a_terminal_gets_no_picture(self):
        Writer(self).tell(1)
        code, text = self.on_terminal("stream", "snap", "cam1", "-o", "-")
        self.assertEqual((code, bool(re.search("terminal", text))), (2, True))


if __name__ == "__main__":
    hub.main()
