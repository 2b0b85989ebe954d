"""What the runs with real processes share."""
import os
import subprocess
import sys

SOURCE = os.environ.get("PRONG_SOURCE_DIR", "")
sys.path.insert(0, os.path.join(SOURCE, "tests", "e2e", "hub"))

import kit  # noqa: E402

# The size of a run: small ones as tests, the long ones of scripts/chaos.
CALLS = int(os.environ.get("PRONG_CHAOS_CALLS", "5000"))
SEED = int(os.environ.get("PRONG_CHAOS_SEED", "1"))
STOP_SECONDS = float(os.environ.get("PRONG_CHAOS_STOP", "1"))
EVENTS_A_SECOND = 50000


def program(name):
    path = os.path.join(kit.TEST_BIN, "chaos_" + name)
    if not os.access(path, os.X_OK):
        print(f"SKIP: there is no {path}")
        sys.exit(77)
    return path


class Case(kit.Case):
    def start(self, *command, **more):
        """A process of the test, killed at its end if it still runs."""
        process = subprocess.Popen(command, env=self.env, cwd=self.dir, **more)
        self.addCleanup(self.finish, process)
        return process

    @staticmethod
    def finish(process):
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in process.stdin, process.stdout:
            if pipe is not None:
                pipe.close()

    def judge(self, verdict):
        self.assertTrue(verdict, "\n".join([*verdict.problems, str(dict(verdict.counts))]))
