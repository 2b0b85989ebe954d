"""stack: the threads of a worker's processes, and their stacks by a tool that is there."""
import os
import re
import shutil
import signal
import unittest

import hub

PY, W = hub.sys.executable, hub.WORKER


class Stack(hub.Case):
    config = hub.CONFIG + f"""
  off: {{command: [{PY}, {W}], autostart: false}}
  plain: {{command: [sleep, "1000"], ready: started, replicas: 2}}
"""

    def tool(self, name, script):
        """PATH with this tool alone, which is a shell script."""
        folder = os.path.join(self.dir, "tools")
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n" + script + "\n")
        os.chmod(path, 0o755)
        return {"PATH": folder}

    def test_which_process(self):
        self.assertIn("no process of off", self.fails(3, "stack", "off").err)
        self.assertIn("did you mean alpha?", self.fails(5, "stack", "alhpa").err)
        self.fails(5, "stack", "alpha/7")
        self.fails(2, "stack")
        env = self.tool("none", "")
        replica, = self.replicas("alpha")
        found = self.ok("stack", "alpha/0", env=env).json()
        self.assertEqual((found["replica"], found["pid"], found["tool"], found["stack"]),
                         ("alpha/0", replica["pid"], None, ""))
        thread, = found["threads"]
        self.assertEqual((thread["tid"], thread["state"]), (replica["pid"], "S"))
        self.assertEqual(sorted(found["tried"]), ["eu-stack", "gdb", "py-spy"])
        self.assertIn("package elfutils", found["tried"]["eu-stack"])
        lines = self.ok("stack", "plain", env=env).lines()
        self.assertEqual([x["replica"] for x in lines], ["plain/0", "plain/1"])
        self.assertNotIn("py-spy", lines[0]["tried"], "it knows Python alone")
        result = self.ok("stack", "plain/1", "-o", "table", env=env)
        self.assertRegex(result.out, r"\Aplain/1 \(pid \d+\): sleep 1000\nTID +NAME +STATE +WCHAN +SYSCALL\n"
                                     r"\d+ +sleep +sleeping +\S+ +\S+\n")
        self.assertIn("install gdb or elfutils", result.err)

    def test_the_first_tool_that_works_is_taken(self):
        self.tool("eu-stack", 'echo "#0 main $1 $2"')
        self.tool("gdb", 'echo "#0 by gdb"')
        env = self.tool("py-spy", 'echo "Thread $1 $2 $3: \\377"')
        pid = self.replicas("alpha")[0]["pid"]
        found = self.ok("stack", "alpha", env=env).json()
        self.assertEqual((found["tool"], found["stack"], found["tried"]),
                         ("py-spy", f"Thread dump --pid {pid}: ?\n", {}))
        found = self.ok("stack", "plain/0", env=env).json()
        self.assertEqual(found["tool"], "eu-stack")
        self.assertRegex(found["stack"], r"^#0 main -p \d+\n$")
        self.tool("py-spy", "echo some; echo Permission denied; exit 1")
        self.tool("eu-stack", "exit 0")              # content, but it told nothing
        found = self.ok("stack", "alpha", env=env).json()
        self.assertEqual((found["tool"], found["tried"]),
                         ("gdb", {"py-spy": "Permission denied", "eu-stack": "exit code 0"}))
        self.assertEqual(self.ok("stack", "alpha", "-o", "raw", env=env).out, "#0 by gdb\n")
        self.tool("gdb", "echo ptrace: Operation not permitted.; exit 1")
        result = self.ok("stack", "alpha", "-o", "table", env=env)
        self.assertIn("gdb: ptrace: Operation not permitted.\n", result.err)
        self.assertRegex(result.err, "ptrace_scope|SYS_PTRACE|user|install")

    def test_a_tool_that_hangs_is_ended(self):
        env = self.tool("gdb", "echo '#0 '; while :; do /bin/sleep 1000; done")
        found = self.ok("stack", "plain/0", "--timeout", "1s", env=env).json()
        self.assertEqual((found["tool"], found["tried"]["gdb"]), (None, "it did not end in time"))
        fifo, fd = self.fifo()
        env = self.tool("gdb", f"echo begun > {fifo}; while :; do /bin/sleep 1000; done")
        child = self.start("stack", "plain/0", env_more=env)
        self.assertEqual(os.read(fd, 100), b"begun\n")
        child.send_signal(signal.SIGINT)
        self.assertEqual(self.end(child).code, 130)

    @unittest.skipUnless(shutil.which("gdb"), "gdb is not installed")
    def test_gdb_itself(self):
        result = self.ok("stack", "plain/0", "-o", "table")
        if "not permitted" in result.err:
            self.skipTest("nobody may trace here")
        self.assertRegex(result.out, re.compile(r"stack, by (gdb|eu-stack):\n.*#0 .*nanosleep", re.S))


if __name__ == "__main__":
    hub.main()
