"""Chips of the kernel's driver gpio-sim: made and removed by configfs, their inputs pulled and outputs seen by
sysfs. The kernel's own documentation is Documentation/admin-guide/gpio/gpio-sim.rst."""
import os

CONFIG = "/sys/kernel/config/gpio-sim"


def why_not():
    """What is missing here, or None."""
    if not os.access(CONFIG, os.W_OK):
        return "no driver gpio-sim for this user: scripts/kernel-devices runs it in a virtual machine"
    return None


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def read(path):
    with open(path, encoding="ascii") as file:
        return file.read().strip()


class Chip:
    """`names` are names of lines and `held` those that the kernel itself holds, both by offset."""

    def __init__(self, label, count=8, names=None, held=None):
        self.folder = os.path.join(CONFIG, label)
        self.bank = os.path.join(self.folder, "bank")
        self.made = [self.folder, self.bank]
        self.name = self.sysfs = None
        os.mkdir(self.folder)
        os.mkdir(self.bank)
        write(os.path.join(self.bank, "num_lines"), str(count))
        write(os.path.join(self.bank, "label"), label)
        for offset in sorted({**(names or {}), **(held or {})}):
            line = os.path.join(self.bank, f"line{offset}")
            os.mkdir(line)
            self.made.append(line)
            if offset in (names or {}):
                write(os.path.join(line, "name"), names[offset])
            if offset in (held or {}):
                hog = os.path.join(line, "hog")
                os.mkdir(hog)
                self.made.append(hog)
                write(os.path.join(hog, "name"), held[offset])
                write(os.path.join(hog, "direction"), "input")
        self.plug()

    def plug(self):
        write(os.path.join(self.folder, "live"), "1")
        self.name = read(os.path.join(self.bank, "chip_name"))
        device = read(os.path.join(self.folder, "dev_name"))
        self.sysfs = os.path.join("/sys/devices/platform", device, self.name)

    def unplug(self):
        write(os.path.join(self.folder, "live"), "0")
        self.name = None

    def remove(self):
        if self.name is not None:
            self.unplug()
        for folder in reversed(self.made):
            os.rmdir(folder)

    def pull(self, offset, value):
        """What is connected to an input gives it this level."""
        write(os.path.join(self.sysfs, f"sim_gpio{offset}", "pull"), "pull-up" if value else "pull-down")

    def value(self, offset):
        return int(read(os.path.join(self.sysfs, f"sim_gpio{offset}", "value")))
