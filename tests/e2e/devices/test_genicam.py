"""prong-genicam: cameras that Aravis makes up, on a network of the test's own (the port of GigE Vision is always the
same one) and within the device. Their pictures are a ramp that moves by one with each frame, so that a frame of which
a part got lost is seen in the picture itself."""
import base64
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import unittest
import zlib

import kit
from kit import hub

HERE = os.path.dirname(os.path.abspath(__file__))
FAKE = "arv-fake-gv-camera-0.8"
AT = "127.0.0.1"
GVCP_PORT = 3956
SOON = "reconnect_min: 20ms, reconnect_max: 100ms"
# A reader that a busy machine holds up is waited for, and so is the device.
CALM = "buffers: 256, slots: 64, patience: 60s, timeout: 60s"
FOR_EVER = 1000000000


class Genicam(kit.Streams):
    reader = "ramp_frames"

    def device(self, options, more=""):
        """A hub with one device that is started later."""
        self.devices(f"cam: {{kind: genicam, autostart: false, {options}}}", more=more)

    def camera(self, *words):
        """A camera of GigE Vision that is there."""
        child = subprocess.Popen([FAKE, "-i", AT, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True, env=self.env)
        self.children.append(child)
        self.until(lambda: self.is_bound() or child.poll() is not None, "the camera's port")
        self.assertIsNone(child.poll())
        return child

    @staticmethod
    def is_bound():
        with open("/proc/net/udp", encoding="ascii") as file:
            bound = {line.split()[1] for line in file}
        return bound >= {f"0100007F:{GVCP_PORT:04X}", f"FFFFFFFF:{GVCP_PORT:04X}"}

    @staticmethod
    def end_camera(child):
        child.kill()
        child.wait(hub.DEADLINE)

    def check_ids(self, frames):
        """How many frames are missing between those; the camera counts up to 65535 and leaves 0 out."""
        ids = [f["meta"]["frame_id"] for f in frames]
        return sum((after - before) % 65535 - 1 for before, after in zip(ids, ids[1:]))

    def check_ramp(self, frames):
        self.assertEqual([f["shows"] for f in frames], [f["meta"]["frame_id"] % 255 for f in frames])


@unittest.skipUnless(shutil.which(FAKE), "SKIP: no camera of GigE Vision: apt-get install aravis-tools")
class Network(Genicam):
    def test_every_frame_arrives_once_and_in_order_at_the_full_rate(self):
        self.camera()
        self.device(f"camera: {AT}, {CALM}, features: {{Width: 160, Height: 120, AcquisitionFramePeriod: 1000}}")
        reader = self.read("cam", FOR_EVER)
        self.ok("start", "cam")
        # A machine that is too busy for so many may lose some, which has to be counted then.
        for tried in range(20):
            frames = [self.line(reader) for _ in range(300)]
            number = 1 + 300 * tried
            self.assertEqual([f["number"] for f in frames], list(range(number, number + 300)))
            self.assertEqual({(tuple(f["shape"]), f["dtype"], f["missed"]) for f in frames},
                             {((120, 160), "|u1", 0)})
            self.assertEqual({(f["meta"]["format"], f["meta"]["device"]) for f in frames}, {("gray8", "cam")})
            self.check_ramp(frames)
            if self.check_ids(frames) == 0:
                break
            stats = self.stats("cam")
            self.assertGreater(stats["underruns"] + stats["failures"] + stats["missing_packets"], 0, stats)
        self.assertEqual(self.check_ids(frames), 0)
        self.check_times(frames)
        stamps = [f["meta"]["camera_ns"] for f in frames]
        self.assertEqual(stamps, sorted(set(stamps)))
        up = self.event("cam.up")
        self.assertEqual((up["vendor"], up["model"], up["serial"], up["address"], up["stream"], up["width"],
                          up["height"], up["pixel_format"]),
                         ("Aravis", "Fake", "GV01", AT, "cam", 160, 120, "Mono8"))
        stats = self.until_stats("cam", lambda s: s["completed"] >= 300, "300 frames")
        self.assertTrue(stats["up"])
        self.assertEqual(stats["errors"], 0)

    def test_a_software_trigger_takes_one_frame(self):
        self.camera()
        self.device(f"camera: {AT}, trigger: software, {CALM}, features: {{Width: 64, Height: 64}}")
        reader = self.read("cam", 3)
        self.ok("start", "cam")
        self.event("cam.up")
        self.assertIn("there was no frame yet", self.fails(1, "call", "cam.snapshot").err)
        times, frames = [], []
        for _ in range(3):
            times.append(self.call("cam.trigger")["mono_ns"])
            frames.append(self.line(reader))
        for before, frame, after in zip(times, frames, times[1:] + [sys.maxsize]):
            self.assertTrue(before < frame["mono_ns"] < after, (times, frames))
        self.assertEqual([f["number"] for f in frames], [1, 2, 3])
        self.assertEqual(self.stats("cam")["frames"], 3)
        self.check_ramp(frames)

    def test_features_are_read_and_changed_while_readers_go_on(self):
        self.camera()
        # So slow that the reader, whose lines nobody takes meanwhile, holds nothing up during the next calls.
        self.device(f"camera: {AT}, {CALM}, features: {{Width: 64, Height: 48, AcquisitionFramePeriod: 50000}}")
        reader = self.read("cam", FOR_EVER)
        self.ok("start", "cam")
        self.line(reader)
        self.event("cam.up")
        self.assertEqual(self.call("cam.get", "name=Width"), 64)
        self.assertEqual(self.call("cam.set", "name=Width", "value:=200"), 200)
        self.assertEqual(self.call("cam.set", "name=PixelFormat", "value=Mono16"), "Mono16")
        number, shapes = 1, []
        while not shapes or shapes[-1] != ([48, 200], "<u2"):
            frame = self.line(reader)
            number += 1
            self.assertEqual(frame["number"], number)
            self.assertGreaterEqual(frame["shows"], 0, frame)
            shape = (frame["shape"], frame["dtype"])
            shapes += [shape] if shape not in shapes else []
        self.assertEqual([s for s in shapes[:-1] if s not in (([48, 64], "|u1"), ([48, 200], "|u1"))], [])
        self.assertGreater(frame["generation"], 1, "larger frames need another ring")
        self.assertEqual(frame["meta"]["format"], "Mono16")
        reader.kill()
        self.assertEqual(self.call("cam.set", "name=TestStringReg", "value=some text"), "some text")
        self.assertEqual(self.call("cam.get", "name=TestStringReg"), "some text")
        self.assertEqual(self.call("cam.set", "name=ExposureTimeAbs", "value:=12000.0"), 12000.0)
        self.assertIs(self.call("cam.set", "name=TestBoolean", "value:=false"), False)
        self.assertIsNone(self.call("cam.execute", "name=TriggerSoftware"))
        for words, why in (
                (("get", "name=Widht"), "has no feature 'Widht'"),
                (("get", "name=AcquisitionStart"), "execute it"),
                (("set", "name=Width", "value=5000"), "from 1 to 2048, and not '5000'"),
                (("set", "name=Width", "value=much"), "a whole number from 1 to 2048"),
                (("set", "name=ExposureTimeAbs", "value=1"), "from 10 to 1e+07"),
                (("set", "name=PixelFormat", "value=Blue"), "BayerRG8, Mono8, RGB8, Mono16"),
                (("set", "name=TestBoolean", "value=perhaps"), "true or false"),
                (("set", "name=SensorWidth", "value=100"), "cannot be written"),
                (("execute", "name=Width"), "(integer) is no command"),
                (("execute", "name=AcquisitionStop"), "pause and resume"),
                (("trigger",), "trigger: software"),
                (("get",), "'name' must be")):
            result = self.prong("call", "cam." + words[0], *words[1:])
            self.assertNotEqual(result.code, 0, words)
            self.assertIn(why, result.err)
        self.assertEqual(self.call("cam.get", "name=Width"), 200)

    def test_all_features_are_listed_while_frames_come(self):
        self.camera()
        self.device(f"camera: {AT}, {CALM}, features: {{Width: 64, Height: 48}}")
        self.ok("start", "cam")
        self.event("cam.up")
        features = {f["name"]: f for f in self.call("cam.features")}
        width = features["Width"]
        self.assertEqual((width["type"], width["access"], width["value"], width["min"], width["max"], width["step"],
                          width["category"]), ("integer", "rw", 64, 1, 2048, 1, "ImageFormatControl"))
        self.assertIn("in pixels", width["help"])
        self.assertEqual(features["SensorWidth"]["access"], "ro")
        self.assertIn("Mono16", features["PixelFormat"]["values"])
        self.assertEqual((features["ExposureTimeAbs"]["type"], features["ExposureTimeAbs"]["max"]), ("float", 1e7))
        self.assertEqual((features["AcquisitionStart"]["type"], features["AcquisitionStart"]["value"]),
                         ("command", None))
        self.assertEqual(features["DeviceVendorName"]["value"], "Aravis")

    def test_a_camera_that_dies_and_comes_back_is_found_again(self):
        camera = self.camera()
        self.device(f"camera: {AT}, buffers: 64, timeout: 1s, {SOON}, features: {{Width: 64, Height: 48}}")
        reader = self.read("cam", FOR_EVER, "latest")
        self.ok("start", "cam")
        number = self.line(reader)["number"]
        self.end_camera(camera)
        self.assertIn("no frame for 1000 ms", self.event("cam.down")["why"])
        self.assertIn("the camera is not there: no", self.fails(1, "call", "cam.get", "name=Width").err)
        self.camera()
        self.until_stats("cam", lambda s: s["up"] and s["reconnects"] >= 1, "the camera again")
        before = self.stats("cam")["frames"]
        self.until_stats("cam", lambda s: s["frames"] > before, "frames again")
        while number <= before:
            frame = self.line(reader)
            self.assertGreater(frame["number"], number)
            number = frame["number"]
        self.assertEqual(frame["shape"], [48, 64])

    def leave_control(self):
        """What the device would send to let the camera go, from each port that it may have."""
        write_register = struct.pack(">BBHHHII", 0x42, 0x01, 0x0082, 8, 77, 0x0A00, 0)
        with open("/proc/net/udp", encoding="ascii") as file:
            ports = {int(line.split()[1].split(":")[1], 16) for line in list(file)[1:]}
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
            for port in ports - {GVCP_PORT}:
                head = struct.pack(">HHHH", port, GVCP_PORT, 8 + len(write_register), 0)
                raw.sendto(head + write_register, (AT, 0))

    def test_a_camera_that_was_taken_away_is_opened_again(self):
        self.camera()
        # One that Aravis makes up now and then gives no frame when it was opened right after that: it is opened once
        # more then, before the test loses its patience.
        self.device(f"camera: {AT}, {SOON}, timeout: 10s, features: {{Width: 64, Height: 48}}")
        self.ok("start", "cam")
        self.event("cam.up")
        self.leave_control()
        self.assertEqual(self.event("cam.down")["why"],
                         "the camera does not answer, or another program has taken it")
        self.event("cam.up", 2)
        before = self.stats("cam")["frames"]
        self.until_stats("cam", lambda s: s["frames"] > before, "frames again")

    def test_a_frame_of_which_packets_got_lost_is_not_shown(self):
        self.camera("-r", "30")
        self.device(f"camera: {AT}, {CALM}, features: {{Width: 120, Height: 100, AcquisitionFramePeriod: 2000}}")
        reader = self.read("cam", 100)
        self.ok("start", "cam")
        frames = self.frames(reader)
        self.check_ramp(frames)
        self.assertEqual([f for f in frames if "damaged" in f["meta"]], [])
        self.assertGreater(self.check_ids(frames), 0)
        told = self.event("cam.malformed")
        self.assertGreater(told["count"], 0)
        self.assertTrue(told["why"])
        stats = self.until_stats("cam", lambda s: s["malformed"] and s["failures"], "frames that are not whole")
        self.assertGreaterEqual(stats["missing_packets"], 1)

    def test_what_is_not_whole_is_shown_as_damaged_when_it_is_kept(self):
        self.camera("-r", "30")
        self.device(f"camera: {AT}, incomplete: keep, {CALM}, "
                    "features: {Width: 120, Height: 100, AcquisitionFramePeriod: 2000}")
        reader = self.read("cam", FOR_EVER)
        self.ok("start", "cam")
        damaged, whole = 0, []
        while damaged < 5 or len(whole) < 20:
            frame = self.line(reader)
            damaged += frame["meta"].get("damaged", False)
            whole += [] if "damaged" in frame["meta"] else [frame]
            self.assertEqual(frame["shape"], [100, 120])
        self.check_ramp(whole)
        self.until_stats("cam", lambda s: s["malformed"] >= damaged, "those counted")

    def test_a_camera_that_is_not_there_is_waited_for(self):
        self.device(f"interface: gige, {SOON}, {CALM}")
        self.ok("start", "cam")
        self.assertEqual(self.event("cam.down")["why"], "no camera is there")
        self.assertIn("the camera is not there: no camera is there", self.fails(1, "call", "cam.trigger").err)
        self.camera("-s", "Left")
        self.assertEqual(self.event("cam.up")["serial"], "Left")
        self.ok("stop", "cam")
        self.assertEqual(self.replicas("cam")[0]["reason"], "exited with 0")

    def test_another_camera_is_not_taken(self):
        self.camera()
        self.device(f"camera: GV07, interface: gige, {SOON}")
        self.ok("start", "cam")
        self.assertEqual(self.event("cam.down")["why"], "no camera 'GV07' is there, but Aravis-Fake-GV01")

    def test_what_the_camera_cannot_do_is_said(self):
        self.camera()
        self.devices(f"one: {{kind: genicam, camera: {AT}, trigger: Line7, {SOON}}}")
        self.assertEqual(self.event("one.down")["why"],
                         "'TriggerSource' cannot be 'Line7', but one of: Line0, Software")
        self.ok("down")
        self.devices(f"two: {{kind: genicam, camera: {AT}, {SOON}, "
                     "features: {Width: 64, Height: 9000, BinningVertical: 99}}")
        # In the order of the file.
        self.assertEqual(self.event("two.down")["why"],
                         "'Height' is a whole number from 1 to 2048, and not '9000'")


class Within(Genicam):
    """The camera that Aravis has built in."""
    def setUp(self):
        super().setUp()
        self.options = "interface: fake, features: {Width: 64, Height: 48, AcquisitionFramePeriod: 10000}"

    def test_a_snapshot_is_the_newest_frame(self):
        self.device(f"{self.options}, {CALM}")
        self.ok("start", "cam")
        self.event("cam.up")
        self.assertIn('as is "png" or "raw"', self.fails(1, "call", "cam.snapshot", "as=jpg").err)
        self.until_stats("cam", lambda s: s["frames"] > 0, "a frame")
        self.ok("call", "cam.pause")
        self.until_stats("cam", lambda s: s["state"] == "paused", "a pause")
        raw = self.ok("call", "cam.snapshot", "as=raw", "-j").json()
        self.assertEqual((raw["format"], raw["dtype"], raw["shape"]), ("gray8", "|u1", [48, 64]))
        pixels = base64.b64decode(raw["data"]["$bin"])
        self.assertEqual(pixels, bytes((pixels[0] + x + y) % 255 for y in range(48) for x in range(64)))
        png = self.prong("call", "cam.snapshot", "-o", "raw", text=False)
        self.assertEqual((png.code, png.out[:8]), (0, b"\x89PNG\r\n\x1a\n"), png.err)
        self.assertEqual(struct.unpack(">IIBB", png.out[16:26]), (64, 48, 8, 0), "eight bits of gray")
        data, at = b"", 8
        while at < len(png.out):
            size, kind = struct.unpack(">I4s", png.out[at:at + 8])
            data += png.out[at + 8:at + 8 + size] if kind == b"IDAT" else b""
            at += size + 12
        rows = zlib.decompress(data)
        self.assertEqual(len(rows), 48 * 65)

    def test_pause_stops_the_camera_and_resume_starts_it(self):
        self.device(f"{self.options}, {CALM}")
        reader = self.read("cam", FOR_EVER)
        self.ok("start", "cam")
        self.line(reader)
        self.ok("call", "cam.pause")
        before = self.until_stats("cam", lambda s: s["state"] == "paused", "a pause")
        self.assertEqual(self.call("cam.get", "name=Width"), 64)
        for _ in range(5):
            self.assertEqual(self.stats("cam")["frames"], before["frames"])
        self.ok("call", "cam.resume")
        self.until_stats("cam", lambda s: s["frames"] > before["frames"] + 5, "frames again")
        number = 1
        while number < before["frames"] + 5:
            number += 1
            self.assertEqual(self.line(reader)["number"], number)

    def test_what_nobody_waits_for_any_longer_does_not_begin(self):
        self.device(f"{self.options}, slots: 4, patience: 60s, timeout: 60s")
        reader = self.read("cam", FOR_EVER)
        os.kill(reader.pid, signal.SIGSTOP)  # it takes no frame, so the camera's thread waits for it
        self.ok("start", "cam")
        self.until_stats("cam", lambda s: s["frames"] == 4, "as many frames as there are slots")
        # Between two frames it would still carry it out.
        get = ("call", "cam.get", "name=Width", "--timeout", "500ms")
        self.until(lambda: self.prong(*get).code == 124, "the camera's thread waiting")
        late = self.prong("call", "cam.set", "name=Width", "value:=128", "--timeout", "1s")
        self.assertEqual(late.code, 124, late)
        self.until(lambda: self.replicas("cam")[0]["state"] == "ready", "the end of it")
        left = self.start("call", "cam.set", "name=Height", "value:=96")
        self.until(lambda: self.replicas("cam")[0]["state"] == "busy", "the call at work")
        left.send_signal(signal.SIGINT)
        self.assertEqual(self.end(left).code, 130)
        self.until(lambda: self.replicas("cam")[0]["state"] == "ready", "the end of that one")
        self.assertEqual(self.stats("cam")["frames"], 4)
        os.kill(reader.pid, signal.SIGCONT)
        self.assertEqual([self.call("cam.get", "name=" + name) for name in ("Width", "Height")], [64, 48])
        self.assertEqual(self.line(reader)["shape"], [48, 64])

    def test_a_killed_device_is_started_again_and_the_numbers_go_on(self):
        self.device(f"{self.options}, restart_delay: 10ms, {CALM}")
        reader = self.read("cam", FOR_EVER, "latest")
        self.ok("start", "cam")
        number = self.line(reader)["number"]
        pid = self.replicas("cam")[0]["pid"]
        os.kill(pid, signal.SIGKILL)
        self.until(lambda: self.replicas("cam")[0]["pid"] not in (0, None, pid), "another process")
        written = self.until_stats("cam", lambda s: s["frames"] > 3, "frames of the new one")
        while number <= written["frames"]:
            frame = self.line(reader)
            self.assertGreater(frame["number"], number)
            number = frame["number"]

    def test_a_stream_that_has_a_writer_is_not_taken(self):
        self.devices(f"one: {{kind: genicam, {self.options}, stream: same}}",
                     f"two: {{kind: genicam, {self.options}, stream: same, autostart: false, {SOON}}}")
        self.event("one.up")
        self.ok("start", "two")
        pid = self.replicas("one")[0]["pid"]
        self.assertIn(str(pid), self.event("two.down")["why"])
        self.ok("stop", "one")
        self.event("two.up")

    def test_wrong_options_are_refused_with_what_is_allowed(self):
        path = self.path("prong.yaml")
        for options, why in (("incomplete: skip", "must be one of drop, keep"), ("buffers: 1", "2"),
                             ("camra: x", "camera"), ("features: [Width]", "map"),
                             ("stream: A B", "a-z 0-9")):
            with open(path, "w", encoding="utf-8") as file:
                file.write(f"devices:\n  cam: {{kind: genicam, {options}}}\n")
            result = self.prong("config", "check", path, where=False)
            self.assertNotEqual(result.code, 0)
            self.assertIn(why, result.out + result.err)


class Small(Genicam):
    """A camera with data beside its pictures and packets that are sent again: gige_camera.py."""
    def small(self, *words):
        child = subprocess.Popen([sys.executable, "-B", os.path.join(HERE, "gige_camera.py"), AT, *words],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                 env=self.env)
        self.children.append(child)
        self.assertEqual(child.stdout.readline(), "there\n")

    def test_packets_that_are_missing_are_asked_for_again(self):
        self.small("--drop", "3")
        self.device(f"camera: {AT}, packet_size: 500, packet_socket: false, {CALM}")
        reader = self.read("cam", FOR_EVER)
        self.ok("start", "cam")
        mended = 0
        while mended < 5:
            frame = self.line(reader)
            mended += frame["meta"]["frame_id"] % 3 == 0
            self.assertEqual(frame["middle"], [(frame["meta"]["frame_id"] + 15 * 40 + 20) % 256])
        self.until_stats("cam", lambda s: s["resent"] >= 5, "packets that came again")
        self.assertEqual(self.call("cam.get", "name=ArvGevSCPSPacketSize"), 500)

    def check_chunks(self, payload):
        self.small("--payload", payload)
        self.device(f"camera: {AT}, chunks: [ExposureTime, Counter], {CALM}, features: {{Width: 50}}")
        reader = self.read("cam", 10)
        self.ok("start", "cam")
        for frame in self.frames(reader):
            number = frame["meta"]["frame_id"]
            self.assertEqual(frame["meta"]["chunks"], {"ExposureTime": 1000.5 + number, "Counter": 10 * number})
            self.assertEqual((frame["shape"], frame["middle"]), ([30, 50], [(number + 15 * 50 + 25) % 256]))

    def test_data_beside_a_picture_is_in_its_map(self):
        self.check_chunks("0x4001")

    def test_data_beside_a_picture_is_in_its_map_when_the_picture_is_one_of_them(self):
        self.check_chunks("4")

    def test_data_that_the_camera_does_not_have_is_said(self):
        self.small()
        self.device(f"camera: {AT}, chunks: [Counter, Weather], {SOON}")
        self.ok("start", "cam")
        self.assertEqual(self.event("cam.down")["why"], "the camera has no feature 'ChunkWeather'")

    def test_packed_pixels_are_unpacked_and_others_refused(self):
        self.small()
        self.device(f"camera: {AT}, {CALM}, features: {{Width: 39, Height: 31, PixelFormat: Mono12p}}")
        self.ok("start", "cam")
        self.until_stats("cam", lambda s: s["frames"] > 0, "a frame")
        raw = self.ok("call", "cam.snapshot", "as=raw", "-j").json()
        self.assertEqual((raw["format"], raw["dtype"], raw["shape"]), ("Mono12", "<u2", [31, 39]))
        pixels = struct.unpack(f"<{31 * 39}H", base64.b64decode(raw["data"]["$bin"]))
        self.assertEqual(pixels, tuple((pixels[0] + i) % 4096 for i in range(31 * 39)))
        refused = self.fails(1, "call", "cam.set", "name=PixelFormat", "value=YUV422_8").err
        self.assertIn("frames of 39x31 with PixelFormat YUV422_8 cannot be shown", refused)
        before = self.stats("cam")
        self.assertEqual(before["pixel_format"], "Mono12p")
        self.until_stats("cam", lambda s: s["frames"] > before["frames"], "more frames")


class Absent(hub.Case):
    def test_a_build_without_aravis_says_which_packages_have_it(self):
        done = subprocess.run([os.path.join(kit.TEST_BIN, "prong-genicam-absent")], env=self.env,
                              stderr=subprocess.PIPE, text=True, timeout=hub.DEADLINE, check=False)
        self.assertEqual(done.returncode, 78)
        self.assertIn("the package libaravis-dev with libusb-1.0-0-dev has it", done.stderr)


def has_aravis():
    done = subprocess.run([os.path.join(hub.BIN, "prong-genicam")], stderr=subprocess.PIPE, text=True, check=False,
                          env={"PATH": os.environ["PATH"]})
    return done.returncode != 78


def own_network():
    """Go on in a network of which nobody else has the ports; without one where the system does not allow it."""
    if "PRONG_TEST_NETWORK" not in os.environ:
        for words in (["unshare", "-rn"], ["unshare", "-n"]):
            if shutil.which(words[0]) and subprocess.run([*words, "true"], stderr=subprocess.DEVNULL,
                                                         check=False).returncode == 0:
                os.environ["PRONG_TEST_NETWORK"] = "own"
                os.execvp(words[0], [*words, sys.executable, "-B", *sys.argv])
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        up_and_running = struct.pack("16sh14x", b"lo", 0x1 | 0x8 | 0x40)
        fcntl.ioctl(any_socket, 0x8914, up_and_running)
    return True


if __name__ == "__main__":
    if not own_network():
        print("SKIP: no network of its own: unshare -n is not allowed")
        sys.exit(77)
    if not has_aravis():
        skip = unittest.skip("SKIP: built without Aravis: apt-get install libaravis-dev libusb-1.0-0-dev")
        list(map(skip, (Network, Within, Small)))
    hub.main()
