"""examples/digest: real files of /usr are hashed with many calls in one, checked against sha256sum; by key of their
folder, so that a second round finds them remembered; with a bar on a terminal; and a run that is given up."""
import os
import pty
import subprocess

import common
import kit

FILES = 3000
BYTES_MAX = 300_000


def real_files():
    """Regular files of /usr that everybody may read, the same ones each time on one machine."""
    paths = []
    for folder, folders, names in os.walk("/usr"):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(folder, name)
            if "\n" in path or "\\" in path or os.path.islink(path) or not os.path.isfile(path):
                continue
            if os.access(path, os.R_OK) and os.path.getsize(path) <= BYTES_MAX:
                paths.append(path)
            if len(paths) == FILES:
                return paths
    return paths


class Digest(common.Case):
    example = "digest"

    def setUp(self):
        super().setUp()
        os.symlink(os.path.join(self.folder, "hasher"), os.path.join(self.dir, "hasher"))
        with open(os.path.join(self.folder, "prong.yaml"), encoding="utf-8") as file:
            self.hub = kit.Hub(self, file.read()).wait_ready()
        self.paths = real_files()
        self.assertGreater(len(self.paths), 1000, "there are files to hash")

    def digest(self, *options, paths=None, code=0, **streams):
        """(stdout, stderr) of the frontend."""
        done = subprocess.run([os.path.join(self.folder, "digest"), *options],
                              input="\n".join(paths or self.paths) + "\n", text=True, check=False,
                              env={**self.env, "PRONG_URL": self.hub.url}, stdout=subprocess.PIPE,
                              stderr=streams.get("stderr", subprocess.PIPE), timeout=4 * kit.SECONDS)
        self.assertEqual(done.returncode, code, done)
        return done.stdout, done.stderr

    def wanted(self):
        return subprocess.run(["sha256sum", *self.paths], text=True, check=True,
                              stdout=subprocess.PIPE).stdout

    def test_files_are_hashed_as_sha256sum_does_it_and_in_the_order_of_the_list(self):
        out, err = self.digest()
        self.assertEqual(out, self.wanted())
        self.assertIn(f"{len(self.paths)} hashed", err)

    def test_a_file_that_is_not_there_is_one_failure_and_the_others_are_hashed(self):
        out, err = self.digest(paths=["/usr/no such file", *self.paths[:20]], code=1)
        self.assertEqual(len(out.splitlines()), 20)
        self.assertIn("/usr/no such file: No such file or directory", err)
        self.assertIn("20 hashed, 0 of them known before, 1 failed", err)

    def test_a_folder_goes_to_one_replica_which_remembers_it(self):
        first, _ = self.digest("--keys")
        again, err = self.digest("--keys")
        self.assertEqual(sorted(first.splitlines()), sorted(self.wanted().splitlines()))
        self.assertEqual(sorted(again.splitlines()), sorted(first.splitlines()))
        known = int(err.split(" of them known before")[0].rsplit(" ", 1)[1])
        self.assertGreater(known, len(self.paths) // 2, "a remembered file is at its replica")

    def test_a_run_that_is_given_up_leaves_nothing_behind(self):
        out, err = self.digest("--cancel-after", "100", code=3)
        self.assertLess(len(out.splitlines()), len(self.paths))
        self.assertGreaterEqual(len(out.splitlines()), 100)
        self.assertIn("CANCELLED", err)
        client = self.hub.client()
        kit.until(lambda: client.call("hub", "status")["workers"]["digest"]["queued"] == 0, "nothing waits")
        out, _ = self.digest()
        self.assertEqual(len(out.splitlines()), len(self.paths), "and everything works")

    def test_a_terminal_shows_a_bar(self):
        ours, theirs = pty.openpty()
        self.digest(paths=self.paths[:200], stderr=theirs)
        os.close(theirs)
        shown = os.read(ours, 65536).decode()
        os.close(ours)
        self.assertIn("########################################] 200/200", shown)


if __name__ == "__main__":
    kit.main()
