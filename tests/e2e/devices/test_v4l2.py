"""prong-video against a camera of V4L2, where the kernel has its virtual one."""
import sys
import time

import kit
import vivid
from kit import hub
from test_video import FOR_EVER, SOON, Video


class Camera(Video):
    def camera(self, options=""):
        """A hub with a device for the camera, which is started later."""
        self.device(f"url: {vivid.path()}, timeout: 60s, {SOON}{options}")

    def next(self, reader, is_it):
        """The next frame of which something is true; all frames have later times than those before them."""
        before = 0
        while True:
            frame = self.line(reader)
            self.assertGreaterEqual(frame["mono_ns"], before)
            before = frame["mono_ns"]
            if is_it(frame):
                return frame

    def assert_red(self, frame):
        blue, green, red = frame["middle"]
        self.assertTrue(red > 200 and green < 40 and blue < 40, frame)

    def test_its_frames_are_shown_with_the_kernels_times(self):
        size = vivid.set_up(vivid.RED)
        self.camera()
        reader = self.read("cam", 10, "latest")
        before = time.monotonic_ns()
        self.ok("start", "cam")
        frames = self.frames(reader)
        self.assertEqual({tuple(f["shape"]) for f in frames}, {(size[1], size[0], 3)})
        for f in frames:
            self.assert_red(f)
        self.check_times(frames)
        self.assertTrue(before < frames[0]["mono_ns"] < frames[-1]["mono_ns"] < time.monotonic_ns())
        # One clock, so a frame and its time on the source's own clock are as far apart as the first of them.
        self.assertEqual({f["mono_ns"] // 1000 - f["meta"]["pts_us"] for f in frames},
                         {frames[0]["mono_ns"] // 1000 - frames[0]["meta"]["pts_us"]})
        up = self.event("cam.up")
        self.assertEqual((up["codec"], up["container"], up["width"], up["height"]), ("rawvideo", "video4linux2,v4l2", *size))
        self.assertGreater(up["rate"], 0)
        self.assertEqual((self.stats("cam")["malformed"], self.stats("cam")["errors"]), (0, 0))
        png = self.prong("call", "cam.snapshot", "-o", "raw", text=False)
        self.assertEqual((png.code, png.out[:8]), (0, b"\x89PNG\r\n\x1a\n"), png.err)

    def test_frames_have_the_size_and_format_that_were_asked_for_whatever_the_camera_has(self):
        vivid.set_up(vivid.WHITE)
        self.camera(", width: 600, height: 400, format: gray8, rate: 10")
        reader = self.read("cam", 3, "latest")
        self.ok("start", "cam")
        for f in self.frames(reader):
            self.assertEqual((f["shape"], f["meta"]["format"]), ([400, 600], "gray8"))
            self.assertGreater(f["middle"][0], 230)
        up = self.event("cam.up")
        self.assertEqual((up["width"], up["height"], up["rate"]), (640, 360, 10), "the nearest that the camera has")

    def test_readers_follow_when_its_size_or_standard_changes(self):
        vivid.set_up(vivid.RED)
        self.camera()
        reader = self.read("cam", FOR_EVER, "latest")
        self.ok("start", "cam")
        first = self.next(reader, lambda f: f["shape"] == [180, 320, 3])
        self.ok("stop", "cam")
        with vivid.Camera() as camera:
            self.assertEqual(camera.size(1280, 720), (1280, 720))
        self.ok("start", "cam")
        frame = self.next(reader, lambda f: f["shape"] == [720, 1280, 3])
        self.assertGreater(frame["number"], first["number"])
        self.assertGreater(frame["generation"], first["generation"])
        for standard, lines in ((vivid.PAL, 576), (vivid.NTSC, 480)):
            self.ok("stop", "cam")
            with vivid.Camera() as camera:
                camera.input(vivid.TV)
                camera.standard(standard)
                self.assertEqual(camera.size(720, lines), (720, lines))
            self.ok("start", "cam")
            frame = self.next(reader, lambda f: f["shape"] == [lines, 720, 3])
            self.assertGreater(frame["middle"][2], 150, "red")

    def test_a_camera_that_fails_is_opened_again(self):
        vivid.set_up(vivid.RED)
        self.camera()
        reader = self.read("cam", FOR_EVER, "latest")
        self.ok("start", "cam")
        first = self.line(reader)
        with vivid.Camera() as camera:
            camera.control(vivid.DISCONNECT, 1)
        self.assertIn(f"cannot read {vivid.path()}: No such device", self.event("cam.down")["why"])
        up = self.event("cam.up", 2)
        frame = self.next(reader, lambda f: f["mono_ns"] > up["mono_ns"])
        self.assertGreater(frame["number"], first["number"])
        self.assertGreaterEqual(self.stats("cam")["reconnects"], 1)

    def test_a_camera_may_be_unplugged_and_plugged_in_again(self):
        size = vivid.set_up(vivid.RED)
        where = vivid.path()
        self.camera()
        reader = self.read("cam", FOR_EVER, "latest")
        self.ok("start", "cam")
        self.assertEqual(self.line(reader)["shape"], [size[1], size[0], 3])
        vivid.plug(False)
        self.addCleanup(lambda: vivid.path() is None and vivid.plug(True))
        self.event("cam.down")
        self.until_stats("cam", lambda stats: stats["errors"] >= 3, "more attempts")
        self.assertIn(f"cannot open {where}: No such file or directory", self.event("cam.down", 2)["why"])
        vivid.plug(True)
        self.assertEqual(vivid.path(), where)
        up = self.event("cam.up", 2)
        self.assertNotEqual((up["width"], up["height"]), size, "it begins with a size of its own")
        self.next(reader, lambda f: f["shape"] == [up["height"], up["width"], 3])

    def test_a_camera_that_another_program_has_is_waited_for(self):
        vivid.set_up(vivid.RED)
        self.camera()
        with vivid.Camera() as camera:
            camera.hold()
            self.ok("start", "cam")
            self.assertIn(f"cannot open {vivid.path()}: Device or resource busy", self.event("cam.down")["why"])
        self.event("cam.up")
        self.playing()

    def test_a_damaged_frame_is_counted_and_left_out(self):
        vivid.set_up(vivid.RED)
        self.camera()
        reader = self.read("cam", FOR_EVER, "latest")
        self.ok("start", "cam")
        self.line(reader)
        with vivid.Camera() as camera:
            camera.control(vivid.DAMAGE, 1)
        told = self.event("cam.malformed")
        self.assertEqual((told["count"], told["total"]), (1, 1))
        frame = self.next(reader, lambda f: f["mono_ns"] > told["mono_ns"])
        self.assert_red(frame)
        stats = self.stats("cam")
        self.assertEqual((stats["malformed"], stats["reconnects"], stats["state"]), (1, 0, "playing"))


del Video  # its own cases are not run here

if __name__ == "__main__":
    missing = vivid.why_not()
    if missing:
        print("SKIP: " + missing)
        sys.exit(77)
    hub.main()
