"""The kernel's camera that is none: the driver vivid, and the few calls of V4L2 that set it up for a test. The
kernel's own documentation is Documentation/admin-guide/media/vivid.rst."""
import fcntl
import os
import struct

CLASS = "/sys/class/video4linux"
DRIVER = "/sys/bus/platform/drivers/vivid"
DEVICE = "vivid.0"
CAPTURE = 1  # V4L2_BUF_TYPE_VIDEO_CAPTURE
MMAP = 1  # V4L2_MEMORY_MMAP

# The requests of linux/videodev2.h that are used here.
G_FMT, S_FMT = 0xC0D05604, 0xC0D05605
REQBUFS = 0xC0145608
S_STD = 0x40085618
S_CTRL = 0xC008561C
S_INPUT = 0xC0045627

WEBCAM, TV = 0, 1  # its inputs
PAL, NTSC = 0xFF, 0xB000
WHITE, RED, BLUE = 6, 7, 9  # its pictures

# Controls of its own, by their place in its class.
CONTROLS = 0x00F0F000
TEST_PATTERN, TEXT, TIMES = CONTROLS, CONTROLS + 1, CONTROLS + 24
DISCONNECT, DAMAGE = CONTROLS + 65, CONTROLS + 66


def path():
    """The device file, or None when it is unplugged."""
    for name in sorted(os.listdir(CLASS)) if os.path.isdir(CLASS) else []:
        with open(os.path.join(CLASS, name, "name"), encoding="ascii") as file:
            if file.read().strip() == "vivid-000-vid-cap":
                return "/dev/" + name
    return None


def why_not():
    """What is missing here, or None."""
    if path() is None or not os.access(DRIVER, os.W_OK):
        return "no driver vivid for this user: scripts/kernel-devices runs it in a virtual machine"
    return None


class Camera:
    """The camera opened as another program would open it."""

    def __enter__(self):
        self.fd = os.open(path(), os.O_RDWR | os.O_CLOEXEC)
        return self

    def __exit__(self, *_):
        os.close(self.fd)

    def ask(self, request, form, *values):
        data = bytearray(struct.pack(form, *values))
        fcntl.ioctl(self.fd, request, data)
        return struct.unpack(form, data)

    def control(self, number, value):
        self.ask(S_CTRL, "Ii", number, value)

    def input(self, number):
        self.ask(S_INPUT, "i", number)

    def standard(self, bits):
        self.ask(S_STD, "Q", bits)

    def size(self, width=None, height=None):
        """Its size, or what it makes of a new one."""
        form = "I4xIIII184x"
        fields = list(self.ask(G_FMT, form, CAPTURE, 0, 0, 0, 0))
        if width is not None:
            fields[1:3] = [width, height]
            fields = self.ask(S_FMT, form, *fields)
        return tuple(fields[1:3])

    def hold(self):
        """Take it, as a program does that will show its pictures."""
        self.ask(REQBUFS, "IIIII", 2, CAPTURE, MMAP, 0, 0)


def set_up(picture, width=320, height=180):
    """A still picture of one colour from the webcam; in what size."""
    with Camera() as camera:
        camera.input(WEBCAM)
        camera.control(TEST_PATTERN, picture)
        camera.control(TEXT, 2)  # none
        camera.control(TIMES, 1)  # of the exposure; those of the end would be reckoned ahead
        return camera.size(width, height)


def plug(is_there):
    with open(os.path.join(DRIVER, "bind" if is_there else "unbind"), "w", encoding="ascii") as file:
        file.write(DEVICE)
