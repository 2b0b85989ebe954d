"""prong-video: files, junk and RTSP as streams of frames. The videos are made here, and each of their frames
shows its number, so that a frame that is lost, doubled or mixed up is seen in the picture itself."""
import base64
import json
import os
import signal
import struct
import subprocess
import time
import unittest
import zlib

import kit
from kit import hub

HERE = os.path.dirname(os.path.abspath(__file__))
TEST_BIN = kit.TEST_BIN
VTEST = "/usr/share/doc/opencv-doc/examples/data/vtest.avi"
# The one that the system's packages of GObject are for.
SYSTEM_PYTHON = "/usr/bin/python3"

# As fast as the reader takes it; a reader that a busy machine holds up is waited for.
MAX = "rate: max, patience: 60s"
# Nothing that one of these tests waits for needs longer pauses.
SOON = "reconnect_min: 20ms, reconnect_max: 100ms"
# Frames for a reader that the end of the test stops.
FOR_EVER = 1000000000


@unittest.skipUnless(os.access(os.path.join(TEST_BIN, "make_video"), os.X_OK),
                     "SKIP: built without FFmpeg: apt-get install libavdevice-dev")
class Video(kit.Streams):
    def setUp(self):
        super().setUp()
        self.env["GST_REGISTRY_FORK"] = "no"

    def make(self, name, codec, size, frames, rate=25, first=0, append=False):
        """A video whose frames show the numbers from `first`."""
        words = [self.path(name), codec, size, str(frames), str(rate), str(first)]
        subprocess.run([os.path.join(TEST_BIN, "make_video"), *words, *(["append"] if append else [])],
                       check=True, timeout=hub.DEADLINE, env=self.env)

    def device(self, options, name="cam"):
        """A hub with one device that is started later."""
        self.devices(f"{name}: {{kind: video, autostart: false, {options}}}")

    def playing(self, frames=1):
        """The counters when so many frames were written."""
        return self.until_stats("cam", lambda stats: stats["frames"] >= frames, f"{frames} frames")


class Files(Video):
    def test_every_frame_arrives_once_and_in_order_at_full_speed(self):
        self.make("a.avi", "mjpeg", "160x120", 300)
        self.device(f"url: a.avi, {MAX}")
        reader = self.read("cam", 300)
        self.ok("start", "cam")
        frames = self.frames(reader)
        self.assertEqual([f["shows"] for f in frames], list(range(300)))
        self.assertEqual([f["number"] for f in frames], list(range(1, 301)))
        self.assertEqual({f["missed"] for f in frames}, {0})
        self.assertEqual({f["generation"] for f in frames}, {1})
        self.assertEqual({(tuple(f["shape"]), f["dtype"], f["bytes"]) for f in frames},
                         {((120, 160, 3), "|u1", 120 * 160 * 3)})
        self.assertEqual([f["meta"] for f in frames],
                         [{"format": "bgr24", "pts_us": 40000 * n, "device": "cam"} for n in range(300)])
        self.check_times(frames)
        up, ended = self.event("cam.up"), self.event("cam.ended")
        self.assertEqual((up["codec"], up["container"], up["width"], up["height"], up["rate"], up["frames"],
                          up["stream"], up["url"]), ("mjpeg", "avi", 160, 120, 25.0, 300, "cam", "a.avi"))
        self.assertEqual((ended["frames"], ended["expected"], ended["malformed"]), (300, 300, 0))
        stats = self.stats("cam")
        self.assertEqual((stats["frames"], stats["bytes"], stats["malformed"], stats["skipped"], stats["errors"],
                          stats["passes"], stats["state"], stats["up"]),
                         (300, 300 * 120 * 160 * 3, 0, 0, 0, 1, "ended", False))

    def test_readers_go_on_when_the_size_changes(self):
        self.make("a.mjpeg", "mjpeg", "320x240", 30)
        self.make("a.mjpeg", "mjpeg", "640x480", 30, first=30, append=True)
        self.make("a.mjpeg", "mjpeg", "160x120", 30, first=60, append=True)
        self.device(f"url: a.mjpeg, stream: other, format: gray8, {MAX}")
        reader = self.read("other", 90)
        self.ok("start", "cam")
        frames = self.frames(reader)
        self.assertEqual([f["shows"] for f in frames], list(range(90)))
        self.assertEqual([f["number"] for f in frames], list(range(1, 91)))
        self.assertEqual([f["shape"] for f in frames],
                         [[240, 320]] * 30 + [[480, 640]] * 30 + [[120, 160]] * 30)
        self.assertEqual([f["generation"] for f in frames], [1] * 30 + [2] * 60,
                         "larger frames need another ring, smaller ones do not")

    def test_frames_are_scaled_and_in_the_format_that_was_asked_for(self):
        self.make("a.avi", "mjpeg", "320x240", 5)
        self.device(f"url: a.avi, format: rgb24, width: 100, {MAX}")
        reader = self.read("cam", 5)
        self.ok("start", "cam")
        frames = self.frames(reader)
        self.assertEqual([(f["shape"], f["meta"]["format"], f["shows"]) for f in frames],
                         [([75, 100, 3], "rgb24", n) for n in range(5)])

    def test_a_file_is_played_at_its_own_pace_and_again_when_it_loops(self):
        self.make("a.avi", "mjpeg", "64x64", 5, rate=20)
        self.device("url: a.avi, loop: true, patience: 60s")
        reader = self.read("cam", 25)
        self.ok("start", "cam")
        frames = self.frames(reader)
        self.assertEqual([f["shows"] for f in frames], list(range(5)) * 5)
        self.assertEqual([f["meta"]["pts_us"] for f in frames], [50000 * n for n in range(5)] * 5)
        # Four waits of 50 ms in each pass. A machine that is busy makes them longer, and the first of them shorter.
        self.assertGreater(frames[-1]["mono_ns"] - frames[0]["mono_ns"], 500_000_000)
        self.assertEqual(self.event("cam.ended", 4)["frames"], 5)
        self.until_stats("cam", lambda stats: stats["passes"] >= 5, "five passes")
        topics = [e["topic"] for e in self.ok("events", "cam.>", "--from", "oldest", "-n", "6", "-o", "jsonl").lines()]
        self.assertEqual(topics, ["cam.up"] + ["cam.ended"] * 5)

    def test_pause_holds_a_file_and_resume_plays_on_where_it_was(self):
        self.make("a.avi", "mjpeg", "64x64", 50)
        self.device("url: a.avi, loop: true, rate: 100, patience: 60s")
        reader = self.read("cam", FOR_EVER)
        self.ok("start", "cam")
        self.line(reader)
        self.ok("call", "cam.pause")
        # One more may have been on its way.
        before = self.until_stats("cam", lambda stats: stats["paused"], "a pause")["frames"]
        for _ in range(5):
            after = self.stats("cam")["frames"]
        self.assertLessEqual(after, before + 1)
        self.ok("call", "cam.resume")
        number = 1
        while number < after + 60:
            number += 1
            frame = self.line(reader)
            self.assertEqual((frame["number"], frame["shows"]), (number, (number - 1) % 50))

    def test_a_snapshot_is_the_newest_frame(self):
        self.make("a.avi", "mjpeg", "320x240", 10, first=990)
        self.device(f"url: a.avi, {MAX}")
        self.ok("start", "cam")
        self.event("cam.ended")
        raw = self.ok("call", "cam.snapshot", "as=raw", "-j").json()
        self.assertEqual((raw["number"], raw["format"], raw["shape"], raw["dtype"]), (10, "bgr24", [240, 320, 3], "|u1"))
        pixels = base64.b64decode(raw["data"]["$bin"])
        self.assertEqual(len(pixels), 240 * 320 * 3)
        bars = [pixels[(60 * 320 + 10 + 20 * bar) * 3] > 128 for bar in range(16)]
        self.assertEqual(sum(bit << bar for bar, bit in enumerate(bars)), 999)
        png = self.prong("call", "cam.snapshot", "-o", "raw", text=False)
        self.assertEqual((png.code, png.out[:8]), (0, b"\x89PNG\r\n\x1a\n"), png.err)
        self.assertEqual(struct.unpack(">IIBB", png.out[16:26]), (320, 240, 8, 2), "eight bits of RGB")
        data, at = b"", 8
        while at < len(png.out):
            size, kind = struct.unpack(">I4s", png.out[at:at + 8])
            data += png.out[at + 8:at + 8 + size] if kind == b"IDAT" else b""
            at += size + 12
        self.assertEqual(len(zlib.decompress(data)), 240 * (320 * 3 + 1))
        self.assertIn('as is "png" or "raw"', self.fails(1, "call", "cam.snapshot", "as=jpg").err)

    def test_the_surveillance_video_of_opencv(self):
        if not os.access(VTEST, os.R_OK):
            self.skipTest("SKIP: no vtest.avi: apt-get install opencv-doc")
        self.device(f"url: {VTEST}, format: gray8, width: 192, {MAX}")
        reader = self.read("cam", 795)
        self.ok("start", "cam")
        frames = self.frames(reader)
        self.assertEqual([f["number"] for f in frames], list(range(1, 796)))
        self.assertEqual({tuple(f["shape"]) for f in frames}, {(144, 192)})
        self.assertEqual([f["meta"]["pts_us"] for f in frames], [100000 * n for n in range(795)])
        self.assertGreater(len({tuple(f["middle"]) for f in frames}), 5, "it moves")
        self.assertEqual(self.event("cam.ended")["frames"], 795)


class Faults(Video):
    def test_a_truncated_file_gives_what_it_has_and_says_what_it_has_not(self):
        self.make("a.avi", "mjpeg", "320x240", 40)
        os.truncate(self.path("a.avi"), os.path.getsize(self.path("a.avi")) // 2)
        self.device(f"url: a.avi, {MAX}")
        self.ok("start", "cam")
        ended = self.event("cam.ended")
        self.assertEqual(ended["expected"], 40)
        self.assertTrue(10 < ended["frames"] < 40, ended)
        self.assertGreater(ended["malformed"], 0)
        self.assertGreater(self.event("cam.malformed")["count"], 0)
        self.assertGreater(self.stats("cam")["malformed"], 0)

    def test_junk_is_a_clear_error_and_a_good_file_in_its_place_is_played(self):
        with open(self.path("a.avi"), "wb") as file:
            file.write(b"no video at all " * 1000)
        self.device(f"url: a.avi, {MAX}, {SOON}")
        reader = self.read("cam", 10)
        self.ok("start", "cam")
        self.assertIn("cannot open a.avi: Invalid data found", self.event("cam.down")["why"])
        self.until_stats("cam", lambda stats: stats["errors"] >= 3, "more attempts")
        self.assertIn("there was no frame yet", self.fails(1, "call", "cam.snapshot").err)
        self.make("b.avi", "mjpeg", "320x240", 10)
        os.rename(self.path("b.avi"), self.path("a.avi"))
        self.assertEqual([f["shows"] for f in self.frames(reader)], list(range(10)))
        self.assertGreaterEqual(self.stats("cam")["reconnects"], 1)

    def test_no_such_file_or_camera(self):
        self.device(f"url: /dev/video99, {SOON}")
        self.ok("start", "cam")
        self.assertEqual(self.event("cam.down")["why"], "cannot open /dev/video99: No such file or directory")
        self.assertEqual(self.stats("cam")["state"], "opening")

    def test_a_reason_of_several_lines_is_one_status(self):
        self.device(f'url: "/no\\nSTATUS=such", {SOON}')
        self.ok("start", "cam")
        self.until(lambda: self.replicas("cam")[0]["status"], "the status")
        self.assertEqual(self.replicas("cam")[0]["status"],
                         "down: cannot open /no STATUS=such: No such file or directory")

    def test_a_password_in_the_url_is_never_shown(self):
        self.device(f"url: 'rtsp://eve:hidden@127.0.0.1:1/one?n=1&pwd=hidden&token=hidden', {SOON}")
        self.ok("start", "cam")
        self.assertIn("cannot open rtsp://eve:***@127.0.0.1:1/one?n=1&pwd=***&token=***: Connection refused",
                      self.event("cam.down")["why"])
        shown = [self.ok("logs").out, self.ok("call", "cam.stats").out, self.ok("status", "-j").out,
                 self.ok("config", "show").out, self.ok("describe", "cam").out,
                 self.ok("events", "--from", "oldest", "--until", "100ms").out]
        self.assertNotIn("hidden", "".join(shown))

    def test_a_stream_that_has_a_writer_is_not_taken(self):
        self.make("a.avi", "mjpeg", "64x64", 10)
        self.devices("one: {kind: video, url: a.avi, loop: true, stream: same}",
                     f"two: {{kind: video, url: a.avi, loop: true, stream: same, autostart: false, {SOON}}}")
        self.event("one.up")
        self.ok("start", "two")
        pid = self.replicas("one")[0]["pid"]
        self.assertIn(str(pid), self.event("two.down")["why"])
        self.ok("stop", "one")
        self.event("two.up")

    def test_a_killed_device_is_started_again_and_the_numbers_go_on(self):
        self.make("a.avi", "mjpeg", "64x64", 10)
        self.device("url: a.avi, loop: true, rate: 100, restart_delay: 10ms, patience: 60s")
        reader = self.read("cam", FOR_EVER, "latest")
        self.ok("start", "cam")
        number = self.line(reader)["number"]
        os.kill(self.replicas("cam")[0]["pid"], signal.SIGKILL)
        killed_ns = time.monotonic_ns()
        after = 0
        while after < 5:
            frame = self.line(reader)
            self.assertGreater(frame["number"], number)
            number = frame["number"]
            after += frame["mono_ns"] > killed_ns
        self.assertEqual(self.replicas("cam")[0]["restarts"], 1)

    def test_the_end_of_the_device_does_not_wait_for_a_pause_or_a_slow_pace(self):
        self.make("a.avi", "mjpeg", "64x64", 10)
        self.device("url: a.avi, loop: true, rate: 0.001")
        self.ok("start", "cam")
        self.playing()
        self.ok("restart", "cam")
        self.playing()
        self.ok("call", "cam.pause")
        self.ok("stop", "cam")
        self.assertEqual(self.replicas("cam")[0]["reason"], "exited with 0")


class Rtsp(Video):
    LIVE = ("videotestsrc is-live=true pattern={} ! video/x-raw,format=I420,width={},height={},framerate=50/1 "
            "! jpegenc ! rtpjpegpay name=pay0 pt=26")

    def start_server(self, pipeline, port):
        words = [SYSTEM_PYTHON, os.path.join(HERE, "rtsp_server.py"), str(port), pipeline]
        child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 text=True, env=self.env)
        self.children.append(child)
        return child, child.stdout.readline()

    def serve(self, pipeline, port=0):
        """GStreamer's RTSP server; gives the process and its port."""
        if not os.access(SYSTEM_PYTHON, os.X_OK):
            self.skipTest("SKIP: no system Python")
        child, line = self.start_server(pipeline, port)
        while not line:
            why = child.communicate(timeout=hub.DEADLINE)[1].strip()
            if child.returncode == 77:
                self.skipTest(f"SKIP: {why}: apt-get install python3-gi gir1.2-gst-rtsp-server-1.0 "
                              "gstreamer1.0-plugins-good gstreamer1.0-plugins-bad")
            # Somebody else may have the port for the moment, if it was ours before.
            self.assertIn("is taken", why)
            child, line = self.start_server(pipeline, port)
        return child, int(line)

    def test_a_camera_is_shown_and_found_again_when_it_was_gone(self):
        server, port = self.serve(self.LIVE.format("red", 320, 240))
        self.device(f"url: 'rtsp://127.0.0.1:{port}/one', timeout: 60s, {SOON}")
        reader = self.read("cam", 20, "latest")
        self.ok("start", "cam")
        frames = self.frames(reader)
        self.assertEqual({tuple(f["shape"]) for f in frames}, {(240, 320, 3)})
        for f in frames:
            blue, green, red = f["middle"]
            self.assertTrue(red > 230 and green < 30 and blue < 30, f)
        self.check_times(frames)
        self.assertEqual(self.event("cam.up")["codec"], "mjpeg")
        server.kill()
        server.wait(hub.DEADLINE)
        self.assertIn("cannot read rtsp://127.0.0.1:", self.event("cam.down")["why"])
        reader = self.read("cam", FOR_EVER, "latest")
        self.serve(self.LIVE.format("blue", 640, 480), port)
        while True:
            frame = self.line(reader)
            if frame["shape"] == [480, 640, 3]:
                break
        self.assertTrue(frame["middle"][0] > 230 and frame["middle"][2] < 30, frame)
        self.assertGreaterEqual(self.stats("cam")["reconnects"], 1)
        self.assertEqual(self.event("cam.up", 2)["width"], 640)

    def test_a_live_source_by_datagrams_has_at_most_its_rate_and_none_while_it_is_paused(self):
        _, port = self.serve(self.LIVE.format("white", 64, 64))
        self.device(f"url: 'rtsp://127.0.0.1:{port}/one', rate: 10, rtsp_transport: udp, timeout: 60s, {SOON}")
        self.ok("start", "cam")
        self.until_stats("cam", lambda stats: stats["frames"] >= 5 and stats["left_out"] >= 10, "frames, and others")
        self.ok("call", "cam.pause")
        before = self.until_stats("cam", lambda stats: stats["paused"], "a pause")
        # It is read on, and all of it left out.
        after = self.until_stats("cam", lambda stats: stats["left_out"] >= before["left_out"] + 20, "more left out")
        self.assertLessEqual(after["frames"], before["frames"] + 1)
        self.ok("call", "cam.resume")
        self.playing(before["frames"] + 3)

    def test_every_frame_of_h264_over_rtsp_is_shown(self):
        self.make("a.mp4", "libx264", "320x240", 50)
        _, port = self.serve(f"filesrc location={self.path('a.mp4')} ! qtdemux ! h264parse config-interval=1 "
                             "! rtph264pay name=pay0 pt=96")
        self.device(f"url: 'rtsp://127.0.0.1:{port}/one', format: gray8, timeout: 60s, patience: 60s, slots: 64")
        reader = self.read("cam", 50)
        self.ok("start", "cam")
        frames = self.frames(reader)
        self.assertEqual([f["shows"] for f in frames], list(range(50)))
        self.check_times(frames)


class Absent(hub.Case):
    def test_a_build_without_ffmpeg_says_which_package_has_it(self):
        done = subprocess.run([os.path.join(TEST_BIN, "prong-video-absent")], env=self.env, stderr=subprocess.PIPE,
                              text=True, timeout=hub.DEADLINE, check=False)
        self.assertEqual(done.returncode, 78)
        self.assertIn("libavdevice-dev", done.stderr)


if __name__ == "__main__":
    hub.main()
