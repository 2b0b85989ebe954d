"""What README.md says on its consoles, line by line, in one shell and in a copy of the built example."""
import os
import re
import shutil
import subprocess

import hub

README = os.path.join(os.environ.get("PRONG_SOURCE_DIR", ""), "README.md")
EXAMPLE = os.path.join(hub.BIN, "../examples/hello")
NEXT = "--- next ---"


class Readme(hub.Case):
    def consoles(self):
        """[(command, lines that it prints)] of all of them; the first builds."""
        with open(README, encoding="utf-8") as file:
            text = "".join(re.findall(r"^```console\n(.*?)^```\n", file.read(), re.M | re.S))
        parts = text.split("$ ")[1:]
        return [(part.split("\n")[0], part.split("\n")[1:-1]) for part in parts]

    def test_the_consoles_show_what_happens(self):
        if not os.path.exists(EXAMPLE):
            self.skipTest("this build has no examples")
        (build, _), *steps = self.consoles()
        self.assertIn("scripts/build release && cd build/release/examples/hello && PATH=", build)
        there = os.path.join(self.dir, "hello")
        shutil.copytree(EXAMPLE, there)
        self.run_dir = os.path.join(there, "run")    # of the hub that is looked for afterwards
        # The smallest frontend leaves it to the end of the process to free what it has.
        env = {**self.env, "PATH": f"{hub.BIN}:/usr/bin:{self.env['PATH']}", "ASAN_OPTIONS": "detect_leaks=0"}
        if subprocess.run(["python3", "-c", "import msgpack"], env=env, check=False,
                          stderr=subprocess.DEVNULL).returncode != 0:
            steps = [step for step in steps if not step[0].startswith("python3")]
        script = "".join(f"{command}\necho '{NEXT}'\n" for command, _ in steps)
        done = subprocess.run(["bash", "-e", "-c", script], cwd=there, env=env, text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=hub.DEADLINE)
        self.assertEqual(done.returncode, 0, done)
        for (command, lines), printed in zip(steps, done.stdout.split(NEXT + "\n")):
            # Whichever replica is free takes a call.
            self.assertEqual(re.sub("greeter/[01]", "greeter/N", printed),
                             re.sub("greeter/[01]", "greeter/N", "".join(x + "\n" for x in lines)), command)
        self.assertGreaterEqual(len(steps), 5)


if __name__ == "__main__":
    hub.main()
