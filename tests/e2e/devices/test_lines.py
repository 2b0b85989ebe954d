"""serial, fifo, file-tail and stdin: a pseudo-terminal, pipes and files."""
import os
import select
import termios
import tty

import kit


class Serial(kit.Case):
    def terminal(self, link):
        """The other side of a new terminal that is found under the path."""
        master, slave = os.openpty()
        tty.setraw(master)
        path = os.ttyname(slave)
        os.symlink(path, link + ".new")
        os.replace(link + ".new", link)
        os.close(slave)
        return master

    @staticmethod
    def read(fd, count):
        data = b""
        while len(data) < count and select.select([fd], [], [], kit.hub.DEADLINE)[0]:
            data += os.read(fd, count - len(data))
        return data

    def test_lines_come_and_go_and_the_port_may_be_pulled_out(self):
        link = self.path("port")
        self.devices(f"scale: {{kind: serial, path: {link}, baud: 9600, parity: even, stop: 2, bits: 7, flow: xonxoff, "
                     "reconnect_max: 100ms}")
        self.assertEqual(self.first("scale.down", 1)[0]["why"], "No such file or directory")
        self.assertIn("not open", self.call("scale.send", "data=x", code=1))
        self.until(lambda: self.replicas("scale")[0]["status"] == "down: No such file or directory", "the status")
        self.assertIn(" down: No such file", self.ok("status", "-o", "table").out)
        master = self.terminal(link)
        self.first("scale.up", 1)
        self.until(lambda: self.replicas("scale")[0]["status"] == "", "no status")
        flags = termios.tcgetattr(master)
        self.assertEqual(flags[4:6], [termios.B9600, termios.B9600])
        self.assertTrue(flags[2] & termios.CSTOPB)
        self.assertEqual(flags[0] & (termios.IXON | termios.IXOFF), termios.IXON | termios.IXOFF)
        os.write(master, b"12.5 kg\r\n")
        self.assertEqual(self.values("scale.data", 1), ["12.5 kg"])
        self.assertEqual(self.call("scale.send", "data=TARE"), {"bytes": 5})
        self.assertEqual(self.read(master, 5), b"TARE\n")
        self.ok("restart", "scale")  # a terminal that can do neither says so when it has nothing to change
        self.first("scale.up", 2)
        os.unlink(link)              # the next one of this number may be another test's
        os.close(master)
        self.until_stats("scale", lambda s: not s["up"], "the end")
        master = self.terminal(link)
        self.addCleanup(os.close, master)
        self.addCleanup(os.unlink, link)
        self.first("scale.up", 3)
        os.write(master, b"13 kg\n")
        self.assertEqual(self.values("scale.data", 2), ["12.5 kg", "13 kg"])

    def test_what_is_no_terminal_is_told(self):
        with open(self.path("file"), "w", encoding="utf-8"):
            pass
        self.devices("scale: {kind: serial, path: file}")
        self.assertEqual(self.first("scale.down", 1)[0]["why"], "not a terminal")


class Fifo(kit.Case):
    def test_many_may_write_to_a_pipe_one_after_the_other(self):
        self.devices("orders: {kind: fifo, path: pipe}")
        self.first("orders.up", 1)
        for n in range(3):
            with open(self.path("pipe"), "w", encoding="utf-8") as pipe:
                pipe.write(f"order {n}\n")
        self.assertEqual(self.values("orders.data", 3), ["order 0", "order 1", "order 2"])
        self.assertIn("reads the pipe", self.call("orders.send", "data=x", code=1))

    def test_a_pipe_that_is_written_needs_somebody_who_reads(self):
        os.mkfifo(self.path("pipe"))
        self.devices("out: {kind: fifo, path: pipe, direction: write, create: false, reconnect_max: 100ms}")
        self.assertEqual(self.first("out.down", 1)[0]["why"], "nobody reads the pipe")
        self.assertIn("nobody reads the pipe", self.call("out.send", "data=x", code=1))
        reader = os.open(self.path("pipe"), os.O_RDONLY | os.O_NONBLOCK)
        self.first("out.up", 1)
        self.assertEqual(self.call("out.send", "data=hello"), {"bytes": 6})
        self.assertEqual(os.read(reader, 99), b"hello\n")
        os.close(reader)
        self.assertIn("nobody reads the pipe", self.call("out.send", "data=x", code=1))

    def test_what_is_no_pipe_is_told(self):
        with open(self.path("file"), "w", encoding="utf-8"):
            pass
        self.devices("a: {kind: fifo, path: file}", "b: {kind: fifo, path: none, create: false}")
        self.assertEqual(self.first("a.down", 1)[0]["why"], "not a pipe")
        self.assertEqual(self.first("b.down", 1)[0]["why"], "No such file or directory")


class FileTail(kit.Case):
    def append(self, name, text):
        with open(self.path(name), "a", encoding="utf-8") as file:
            file.write(text)

    def test_what_is_added_comes_and_what_was_there_only_when_it_is_wanted(self):
        self.append("log", "old\n")
        self.devices("new: {kind: file-tail, path: log}", "all: {kind: file-tail, path: log, from: start}")
        self.first("new.up", 1)
        self.append("log", "half")
        self.append("log", " a line\nnext\n")
        self.assertEqual(self.values("new.data", 2), ["half a line", "next"])
        self.assertEqual(self.values("all.data", 3), ["old", "half a line", "next"])

    def test_a_file_may_come_later_be_truncated_and_be_rotated(self):
        self.devices("log: {kind: file-tail, path: log}")
        self.assertEqual(self.first("log.down", 1)[0]["why"], "No such file or directory")
        self.append("log", "one\ntwo\n")
        self.assertEqual(self.values("log.data", 2), ["one", "two"])
        os.truncate(self.path("log"), 0)
        self.first("log.truncated", 1)
        self.append("log", "three\n")
        self.assertEqual(self.values("log.data", 3), ["one", "two", "three"])
        os.rename(self.path("log"), self.path("log.1"))
        self.append("log.1", "last of the old\n")
        self.append("log", "four\n")
        self.assertEqual(self.values("log.data", 5), ["one", "two", "three", "last of the old", "four"])
        self.first("log.rotated", 1)

    def test_a_large_file_is_read_whole_while_paused_and_resumed(self):
        count = 20000
        with open(self.path("log"), "w", encoding="utf-8") as file:
            file.write("".join(f"{n}\n" for n in range(count)))
        self.devices("log: {kind: file-tail, path: log, from: start, decode: number}")
        self.call("log.pause")
        self.call("log.resume")
        self.assertEqual(self.values("log.data", count), list(range(count)))


class Stdin(kit.Case):
    def test_what_is_sent_to_the_device_comes_as_events(self):
        self.devices("words: {kind: stdin, decode: number}")
        self.first("words.up", 1)
        self.ok("send", "words", "42")
        self.ok("send", "words", "many")
        self.ok("send", "words", "43", "--end")
        self.assertEqual(self.values("words.data", 2), [42, 43])
        self.assertEqual(self.first("words.malformed", 1)[0]["why"], "not a number")
        self.assertEqual(self.first("words.down", 1)[0]["why"], "the input has ended")
        self.assertFalse(self.stats("words")["up"])


if __name__ == "__main__":
    kit.main()
