"""examples/hello, as README.md shows it: the worker, the frontend in C, the call in ten lines of Python, and
`prong call` print what stands there."""
import os
import re
import sys

import common
import kit

with open(os.path.join(common.SOURCE, "README.md"), encoding="utf-8") as _file:
    README = _file.read()


def promised(command):
    """The line below a command in README.md, for any of the two replicas."""
    found = re.search(rf"^\$ {re.escape(command)}\n(.*)\n", README, re.M)
    if found is None:
        raise AssertionError(f"README.md does not show {command!r}")
    return re.sub(r"greeter/\d", "greeter/[01]", re.escape(found[1]))


class Hello(common.Case):
    example = "hello"

    def hello(self):
        """A hub with the example's own configuration, whose command is relative to its folder."""
        os.symlink(os.path.join(self.folder, "greeter"), os.path.join(self.dir, "greeter"))
        with open(os.path.join(self.folder, "prong.yaml"), encoding="utf-8") as file:
            return kit.Hub(self, file.read()).wait_ready()

    def test_the_frontend_prints_the_greeting_of_a_free_replica(self):
        hub, seen = self.hello(), set()
        frontend = os.path.join(self.folder, "frontend")
        for _ in range(20):
            line = self.run_to_end(hub, frontend)
            self.assertRegex(line, f"^{promised('./frontend')}\n$")
            seen.add(re.search(r"greeter/(\d)", line)[1])
        self.assertEqual(seen, {"0", "1"}, "one replica serves all")

    def test_the_command_line_prints_the_same(self):
        hub = self.hello()
        self.assertRegex(self.prong(hub, "call", "greeter.greet", "name=shell"),
                         f"^{promised('prong call greeter.greet name=shell')}\n$")

    def test_ten_lines_of_python_without_a_library_get_the_same(self):
        hub = self.hello()
        self.assertRegex(self.run_to_end(hub, sys.executable, "-B", os.path.join(self.folder, "call.py")),
                         f"^{promised('python3 call.py')}\n$")

    def test_a_call_without_a_name_is_refused_with_a_reason(self):
        hub = self.hello()
        failure = self.fails("INVALID_ARGUMENT", kit.YES, lambda: hub.client().call("greeter", "greet"))
        self.assertEqual(failure.message, "greet needs a name, a text")

    def test_the_frontend_says_when_there_is_no_hub(self):
        hub = self.hello()
        hub.stop()
        self.assertRegex(self.run_to_end(hub, os.path.join(self.folder, "frontend"), code=1), "hub.sock")


if __name__ == "__main__":
    kit.main()
