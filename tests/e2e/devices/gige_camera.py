"""gige_camera.py ADDRESS [--payload NUMBER] [--drop N]: a small camera of GigE Vision for what the one of Aravis has
not: data beside the picture (chunks), packed pixels, packets that are sent again. Its pixels count up, from the number
of the frame on. With --drop every Nth frame lacks a packet until it is asked for. Prints a line when it is there."""
import argparse
import select
import socket
import struct
import sys
import time

PORT = 3956
WIDTH, HEIGHT, FORMAT, RUNS, CHUNKS, SELECTOR, ENABLE = 0x8000, 0x8004, 0x8008, 0x800C, 0x8010, 0x8014, 0x8020
STREAM_PORT, PACKET_SIZE, STREAM_ADDRESS, PRIVILEGE = 0xD00, 0xD04, 0xD18, 0xA00
XML_AT = 0x10000
MONO8, MONO12P = 0x01080001, 0x010C0047
PERIOD = 0.01


def register(name, address, mode="RW", more=""):
    return (f"<IntReg Name='{name}'><Address>{address:#x}</Address>{more}<Length>4</Length>"
            f"<AccessMode>{mode}</AccessMode><pPort>Device</pPort><Sign>Unsigned</Sign>"
            "<Endianess>BigEndian</Endianess></IntReg>")


def chunk(name, kind, length, number):
    return (f"<{kind} Name='Chunk{name}'><Address>0</Address><Length>{length}</Length><AccessMode>RO</AccessMode>"
            f"<pPort>Port{name}</pPort><Cachable>NoCache</Cachable><Sign>Unsigned</Sign>"
            f"<Endianess>BigEndian</Endianess></{kind}><Port Name='Port{name}'><ChunkID>{number:x}</ChunkID></Port>")


def words(name, values, at):
    entries = "".join(f"<EnumEntry Name='{word}'><Value>{number}</Value></EnumEntry>" for word, number in values)
    return (f"<Enumeration Name='{name}'>{entries}<pValue>{name}Register</pValue></Enumeration>" +
            register(name + "Register", at))


def text(name, address, length):
    return (f"<StringReg Name='{name}'><Address>{address:#x}</Address><Length>{length}</Length>"
            "<AccessMode>RO</AccessMode><pPort>Device</pPort></StringReg>")


FEATURES = ("DeviceVendorName", "DeviceModelName", "DeviceID", "Width", "Height", "PixelFormat", "ChunkModeActive",
            "ChunkSelector", "ChunkEnable", "ChunkExposureTime", "ChunkCounter", "PayloadSize")
XML = "".join((
    "<?xml version='1.0' encoding='utf-8'?><RegisterDescription ModelName='Small' VendorName='Prong' "
    "StandardNameSpace='None' SchemaMajorVersion='1' SchemaMinorVersion='0' SchemaSubMinorVersion='1' MajorVersion='1' "
    "MinorVersion='0' SubMinorVersion='0' ToolTip='' ProductGuid='0' VersionGuid='0' "
    "xmlns='http://www.genicam.org/GenApi/Version_1_0'><Category Name='Root'>",
    *(f"<pFeature>{name}</pFeature>" for name in FEATURES), "</Category>",
    text("DeviceVendorName", 0x48, 32), text("DeviceModelName", 0x68, 32), text("DeviceID", 0xD8, 16),
    register("Width", WIDTH), register("Height", HEIGHT),
    words("PixelFormat", (("Mono8", MONO8), ("Mono12p", MONO12P), ("YUV422_8", 0x02100032)), FORMAT),
    "<Command Name='AcquisitionStart'><pValue>RunsRegister</pValue><CommandValue>1</CommandValue></Command>",
    "<Command Name='AcquisitionStop'><pValue>RunsRegister</pValue><CommandValue>0</CommandValue></Command>",
    register("RunsRegister", RUNS),
    "<Boolean Name='ChunkModeActive'><pValue>ChunksRegister</pValue><OnValue>1</OnValue><OffValue>0</OffValue>"
    "</Boolean>",
    register("ChunksRegister", CHUNKS), words("ChunkSelector", (("ExposureTime", 0), ("Counter", 1)), SELECTOR),
    "<Boolean Name='ChunkEnable'><pValue>EnableRegister</pValue><OnValue>1</OnValue><OffValue>0</OffValue></Boolean>",
    register("EnableRegister", ENABLE, more="<pIndex Offset='0x4'>ChunkSelectorRegister</pIndex>"),
    chunk("ExposureTime", "FloatReg", 8, 0xA1), chunk("Counter", "IntReg", 4, 0xA2),
    "<IntSwissKnife Name='PayloadSize'><pVariable Name='W'>Width</pVariable><pVariable Name='H'>Height</pVariable>"
    "<pVariable Name='F'>PixelFormat</pVariable><Formula>(W * H * ((F&gt;&gt;16)&amp;0xFF) + 7) / 8 + 64</Formula>"
    "</IntSwissKnife><Port Name='Device'></Port></RegisterDescription>")).encode()


class Camera:
    def __init__(self, address, payload, drop):
        self.payload, self.drop = payload, drop
        self.memory = bytearray(XML_AT + len(XML) + 512)
        self.memory[XML_AT:XML_AT + len(XML)] = XML
        self.put(0x0, 0x00010002)
        self.put(0x4, 0x80000001)
        self.memory[0x24:0x28] = socket.inet_aton(address)
        for at, value in ((0x48, b"Prong"), (0x68, b"Small"), (0xD8, b"P1"),
                          (0x200, b"Local:small.xml;%x;%x" % (XML_AT, len(XML)))):
            self.memory[at:at + len(value)] = value
        for at, value in ((0x600, 1), (0x904, 1), (0x934, 1 << 2), (0x938, 3000), (0x940, 1000000000),
                          (PACKET_SIZE, 600), (WIDTH, 40), (HEIGHT, 30), (FORMAT, MONO8)):
            self.put(at, value)
        self.control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.control.bind((address, PORT))
        self.stream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.stream.bind((address, 0))
        self.frame = 0
        self.packets = {}

    def put(self, at, value):
        struct.pack_into(">I", self.memory, at, value)

    def get(self, at):
        return struct.unpack_from(">I", self.memory, at)[0] if at + 4 <= len(self.memory) else 0

    # ---- control ----------------------------------------------------------------------------------

    def answer(self):
        data, peer = self.control.recvfrom(2048)
        _, _, command, _, number = struct.unpack_from(">BBHHH", data)
        body = data[8:]
        if command == 0x40:
            frame, first, last = struct.unpack_from(">III", body)
            for packet in range(first & 0xffffff, (last & 0xffffff) + 1):
                self.send(self.packets.get((frame & 0xffff, packet)))
            return
        reply = {0x80: self.read_registers, 0x82: self.write_registers, 0x84: self.read_memory}[command](body)
        self.control.sendto(struct.pack(">HHHH", 0, command + 1, len(reply), number) + reply, peer)

    def read_registers(self, body):
        return b"".join(struct.pack(">I", self.get(at)) for at, in struct.iter_unpack(">I", body))

    def write_registers(self, body):
        for at, value in struct.iter_unpack(">II", body):
            self.put(at, value)
        return struct.pack(">HH", 0, len(body) // 8)

    def read_memory(self, body):
        at, _, count = struct.unpack(">IHH", body)
        return body[:4] + bytes(self.memory[at:at + count]).ljust(count, b"\0")

    # ---- frames -----------------------------------------------------------------------------------

    def pixels(self):
        count = self.get(WIDTH) * self.get(HEIGHT)
        if self.get(FORMAT) == MONO8:
            return bytes((self.frame + i) % 256 for i in range(count))
        bits = sum((self.frame + i) % 4096 << 12 * i for i in range(count))
        return bits.to_bytes((count * 12 + 7) // 8, "little")

    def chunks(self, data):
        if not self.get(CHUNKS):
            return data
        data += b"\0" * (-len(data) % 4)
        data += struct.pack(">II", 1, len(data))
        if self.get(ENABLE):
            data += struct.pack(">dII", 1000.5 + self.frame, 0xA1, 8)
        if self.get(ENABLE + 4):
            data += struct.pack(">III", self.frame * 10, 0xA2, 4)
        return data

    def send(self, packet):
        if packet is not None:
            address = socket.inet_ntoa(bytes(self.memory[STREAM_ADDRESS:STREAM_ADDRESS + 4]))
            self.stream.sendto(packet, (address, self.get(STREAM_PORT) & 0xffff))

    def send_frame(self):
        self.frame = self.frame % 65535 + 1
        data = self.chunks(self.pixels())
        payload = self.payload if self.get(CHUNKS) else 1
        now = time.time_ns()
        head = struct.pack(">HHII", 0, payload, now >> 32, now & 0xffffffff)
        if payload != 4:
            head += struct.pack(">IIIIIHH", self.get(FORMAT), self.get(WIDTH), self.get(HEIGHT), 0, 0, 0, 0)
        step = (self.get(PACKET_SIZE) & 0xffff) - 36
        parts = [(1, head), *((3, data[at:at + step]) for at in range(0, len(data), step)),
                 (2, struct.pack(">II", payload, self.get(HEIGHT)))]
        self.packets = {key: packet for key, packet in self.packets.items() if self.frame - key[0] < 50}
        for number, (kind, part) in enumerate(parts):
            packet = struct.pack(">HHI", 0, self.frame, kind << 24 | number) + part
            self.packets[self.frame, number] = packet
            if not self.drop or self.frame % self.drop != 0 or number != 1:
                self.send(packet)

    def run(self):
        due = time.monotonic()
        while True:
            left = max(0.0, due - time.monotonic())
            if select.select([self.control], [], [], left)[0]:
                self.answer()
            if time.monotonic() >= due:
                due = time.monotonic() + PERIOD
                if self.get(PRIVILEGE) and self.get(RUNS):
                    self.send_frame()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("--payload", type=lambda word: int(word, 0), default=0x4001)
    parser.add_argument("--drop", type=int, default=0)
    args = parser.parse_args()
    camera = Camera(args.address, args.payload, args.drop)
    print("there", flush=True)
    camera.run()


if __name__ == "__main__":
    sys.exit(main())
