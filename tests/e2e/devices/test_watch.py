"""watch: what inotify tells, under a storm of files too."""
import os
import shutil

import kit

STORM = 1000


class Watch(kit.Case):
    def folder(self, name):
        os.mkdir(self.path(name))
        return self.path(name)

    def write(self, path, text=""):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def test_files_are_created_written_moved_and_deleted(self):
        inside, outside = self.folder("in"), self.folder("out")
        self.devices("w: {kind: watch, paths: [in]}")
        self.first("w.up", 1)
        a, b, c = os.path.join(inside, "a"), os.path.join(inside, "b"), os.path.join(outside, "c")
        self.write(a, "text")
        os.rename(a, b)
        os.rename(b, c)
        self.first("w.moved", 2)                     # else the two halves would be taken for one
        os.rename(c, a)
        os.remove(a)
        os.mkdir(b)
        self.assertEqual([(p["value"], p["folder"]) for p in self.first("w.created", 2)], [(a, False), (b, True)])
        self.assertEqual(self.values("w.modified", 1), [a])
        self.assertEqual(self.values("w.closed", 1), [a])
        self.assertEqual([(p["from"], p["value"]) for p in self.first("w.moved", 3)],
                         [(a, b), (b, None), (None, a)])
        self.assertEqual(self.values("w.deleted", 1), [a])

    def test_names_that_are_no_text_are_told_as_bytes(self):
        inside = self.folder("in")
        self.devices("w: {kind: watch, paths: in}")
        self.first("w.up", 1)
        os.mkdir(os.path.join(inside.encode(), b"\xff"))
        self.assertIn("$bin", self.values("w.created", 1)[0])

    def test_a_storm_of_files_is_told_whole(self):
        inside = self.folder("in")
        self.devices("w: {kind: watch, paths: [in]}", more="hub: {events_size: 64MiB}\n")
        self.first("w.up", 1)
        paths = [os.path.join(inside, str(n)) for n in range(STORM)]
        for path in paths:
            self.write(path, "x")
        for path in paths:
            os.rename(path, path + ".done")
            os.remove(path + ".done")
        self.assertEqual(self.values("w.created", STORM), paths)
        self.assertEqual(self.values("w.closed", STORM), paths)
        moved = self.first("w.moved", STORM)
        self.assertEqual([(p["from"], p["value"]) for p in moved], [(p, p + ".done") for p in paths])
        self.assertEqual(self.values("w.deleted", STORM), [p + ".done" for p in paths])
        self.assertEqual(self.stats("w")["dropped"], 0)

    def test_what_the_system_had_no_room_for_is_told(self):
        inside = self.folder("in")
        self.devices("w: {kind: watch, paths: [in]}", more="hub: {events_size: 64MiB}\n")
        self.first("w.up", 1)
        with open("/proc/sys/fs/inotify/max_queued_events", encoding="ascii") as file:
            room = int(file.read())
        if room > 65536:
            self.skipTest(f"the system keeps {room} of them")
        here, there = os.path.join(inside, "a"), os.path.join(inside, "b")
        os.mkdir(here)
        self.call("w.pause")
        for _ in range(room // 2 + 10):              # each is two things that happen
            os.rename(here, there)
            here, there = there, here
        self.call("w.resume")
        self.first("w.overflow", 1)
        self.assertEqual(self.stats("w")["dropped"], 1)
        os.mkdir(os.path.join(inside, "after"))      # and it goes on
        self.assertEqual(self.values("w.created", 2), [os.path.join(inside, "a"), os.path.join(inside, "after")])

    def test_a_folder_may_come_later_and_go_and_come_again(self):
        self.devices("w: {kind: watch, paths: [in], reconnect_max: 50ms}")
        self.assertIn("No such file", self.first("w.down", 1)[0]["why"])
        inside = self.folder("in")
        self.first("w.up", 1)
        shutil.rmtree(inside)
        self.assertEqual(self.values("w.deleted", 1), [inside])
        self.folder("in")
        self.first("w.up", 2)
        self.write(os.path.join(inside, "a"))
        self.assertEqual(self.values("w.created", 1), [os.path.join(inside, "a")])


if __name__ == "__main__":
    kit.main()
