"""What `cmake --install` puts somewhere works there: programs and workers are built against it and nothing
else, by pkg-config and by find_package, and run with a hub of the installed prongd."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "cli"))
import hub                                           # pylint: disable=wrong-import-position

SOURCE = os.environ.get("PRONG_SOURCE_DIR", "")
BUILD = os.environ.get("PRONG_BUILD_DIR", "")
CMAKE = os.environ.get("PRONG_TEST_CMAKE", "cmake")
CC = os.environ.get("PRONG_TEST_CC", "cc")
FLAGS = os.environ.get("PRONG_TEST_FLAGS", "").split()
HELLO = os.path.join(SOURCE, "examples", "hello")
GREETING = re.compile(r'^"hello, [\w+]+, from greeter/[01]"\n$')


def run(*words, **more):
    """What it printed; an AssertionError with all it said when it fails."""
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=hub.DEADLINE, check=False, **more)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def needed(path):
    return re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-d", path))


def setUpModule():                                   # pylint: disable=invalid-name
    """Installed once, where no configuration named it."""
    global PREFIX, LIBDIR                            # pylint: disable=global-variable-undefined
    PREFIX = tempfile.mkdtemp(prefix="prgi")
    run(CMAKE, "--install", BUILD, "--prefix", PREFIX)
    LIBDIR = os.path.dirname(next(os.path.join(folder, "libprong.a") for folder, _, names in os.walk(PREFIX)
                                  if "libprong.a" in names))
    hub.BIN = os.path.join(PREFIX, "bin")


def tearDownModule():                                # pylint: disable=invalid-name
    shutil.rmtree(PREFIX)


def pkg_config(*words, folder=None):
    return run("pkg-config", *words, "prong", env={**os.environ, "PKG_CONFIG_PATH":
                                                   os.path.join(folder or LIBDIR, "pkgconfig")}).split()


class Installed(hub.Case):
    """A hub of the installed programs with the hello example's worker, built against what is installed."""

    def setUp(self):
        super().setUp()
        self.env["LD_LIBRARY_PATH"] = LIBDIR
        self.env["PRONG_URL"] = f"ipc://{self.run_dir}/hub.sock"
        self.compile("greeter", HELLO + "/greeter.c", pkg_config("--cflags", "--libs"))
        with open(HELLO + "/prong.yaml", encoding="utf-8") as file:
            self.up(file.read())

    def compile(self, name, source, options, compiler=CC):
        path = os.path.join(self.dir, name)
        run(compiler, *FLAGS, "-o", path, source, *options)
        return path

    def greets(self, program):
        # The example leaves to the system what it has when it ends.
        env = {**self.env, "ASAN_OPTIONS": "detect_leaks=0"}
        self.assertRegex(run(program, env=env, cwd=self.dir), GREETING)

    def test_the_manual_page(self):
        with open(os.path.join(PREFIX, "share", "man", "man5", "prong.yaml.5"), encoding="utf-8") as file:
            self.assertEqual(file.read(), self.ok("config", "manual", "--man", where=False).out)

    def test_the_command_line(self):
        self.assertEqual(self.ok("version", where=False).out,
                         "prong " + pkg_config("--modversion")[0] + "\n")
        self.assertRegex(self.ok("call", "greeter.greet", "name=shell").out, GREETING)
        keeper = int(self.text("run/lock"))
        self.assertEqual(os.readlink(f"/proc/{keeper}/exe"), os.path.realpath(hub.BIN + "/prongd"))
        self.ok("down")
        self.assertEqual(hub.remaining(self.tag), {})

    def text(self, name):
        with open(os.path.join(self.dir, name), encoding="utf-8") as file:
            return file.read()

    def test_a_program_in_c_by_pkg_config(self):
        program = self.compile("shared", HELLO + "/frontend.c", pkg_config("--cflags", "--libs"))
        self.assertIn("libprong.so.0", needed(program))
        self.greets(program)

    def test_a_program_in_c_by_pkg_config_with_the_static_library(self):
        options = pkg_config("--cflags", "--libs", "--static")
        self.assertEqual(options.count("-lprong"), 1, options)
        # By its file name, because a linker that finds both takes the shared one.
        program = self.compile("static", HELLO + "/frontend.c",
                               ["-l:libprong.a" if word == "-lprong" else word for word in options])
        self.assertNotIn("libprong.so.0", needed(program))
        self.greets(program)

    def test_a_program_in_cplusplus_with_every_header(self):
        compiler = next((c for c in ("g++", "clang++") if shutil.which(c)), None)
        if compiler is None:
            self.skipTest("there is no C++ compiler: apt-get install g++")
        include = pkg_config("--variable=includedir")[0] + "/prong"
        headers = sorted(os.listdir(include))
        self.assertGreaterEqual(len(headers), 4, headers)
        with open(os.path.join(self.dir, "everything.h"), "w", encoding="utf-8") as file:
            file.write("".join(f"#include <prong/{header}>\n" for header in headers))
        self.greets(self.compile("everything", HERE + "/everything.cc",
                                 ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-I" + self.dir,
                                  *pkg_config("--cflags", "--libs")], compiler))

    def test_a_project_of_cmake(self):
        build = os.path.join(self.dir, "project")
        run(CMAKE, "-S", HERE + "/project", "-B", build, "-G", "Ninja", "-DCMAKE_PREFIX_PATH=" + PREFIX,
            "-DCMAKE_C_COMPILER=" + CC, "-DCMAKE_C_FLAGS=" + " ".join(FLAGS),
            f"-DFRONTEND={HELLO}/frontend.c")
        run(CMAKE, "--build", build, "--parallel", "1")
        del self.env["LD_LIBRARY_PATH"]              # CMake has its own way to say where the library is
        self.assertIn("libprong.so.0", needed(build + "/with_prong"))
        self.assertNotIn("libprong.so.0", needed(build + "/with_prong_static"))
        self.greets(build + "/with_prong")
        self.greets(build + "/with_prong_static")


class Files(hub.Case):
    def test_nothing_names_the_place_where_it_was_built(self):
        for folder, _, names in os.walk(PREFIX):
            for name in names:
                path = os.path.join(folder, name)
                if name.endswith((".pc", ".cmake", ".h")):
                    with open(path, encoding="utf-8") as file:
                        text = file.read()
                    for place in (SOURCE + "/", BUILD + "/"):
                        self.assertNotIn(place, text, path)
                elif os.path.dirname(path) in (hub.BIN, LIBDIR) and not name.endswith(".a"):
                    self.assertNotRegex(run("readelf", "-d", path), r"\((RPATH|RUNPATH)\)", path)

    def verify(self, unit, *more):
        """What systemd has to say against a unit; it ends with 0 for what it only ignores."""
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", *more, unit], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                              env={**os.environ, "XDG_RUNTIME_DIR": self.dir}, timeout=hub.DEADLINE)
        return f"exit {done.returncode}\n{done.stdout}" if done.returncode or done.stdout else ""

    def test_systemd_takes_the_units(self):
        folder = PREFIX + "/lib/systemd"
        with open(folder + "/system/prongd.service", encoding="utf-8") as file:
            text = file.read()
        self.assertIn(f"\nExecStart={PREFIX}/bin/prongd --config ", text)
        if shutil.which("systemd-analyze") is None:
            self.skipTest("there is no systemd-analyze: apt-get install systemd")
        self.assertEqual(self.verify(folder + "/system/prongd.service"), "")
        self.assertEqual(self.verify(folder + "/system/prongd@line1.service"), "")
        self.assertEqual(self.verify(folder + "/user/prongd.service", "--user"), "")
        # It does look.
        wrong = os.path.join(self.dir, "prongd.service")
        with open(wrong, "w", encoding="utf-8") as file:
            file.write(text.replace("KillMode=mixed", "KillMode=mixd").replace("/bin/prongd", "/bin/prongx"))
        found = self.verify(wrong)
        self.assertIn("kill mode", found)
        self.assertIn("prongx", found)
        user = run("systemd-sysusers", "--dry-run", PREFIX + "/lib/sysusers.d/prong.conf")
        self.assertNotIn("rror", user)

    def test_completions(self):
        for shell, path in (("bash", "bash-completion/completions/prong"), ("zsh", "zsh/site-functions/_prong"),
                            ("fish", "fish/vendor_completions.d/prong.fish")):
            with open(f"{PREFIX}/share/{path}", encoding="utf-8") as file:
                self.assertEqual(file.read(), self.ok("completion", shell, where=False).out)

    def test_manual_pages(self):
        pages = {"prong.1": [".SS \"prong wait\"", ".B prong stack\n", ".BR prongd (8)"],
                 "prongd.8": [".BI \"\\-\\-config\" \" FILE\"", ".B 78\n"]}
        for name, parts in pages.items():
            path = f"{PREFIX}/share/man/man{name[-1]}/{name}"
            with open(path, encoding="utf-8") as file:
                text = file.read()
            for part in parts:
                self.assertIn(part, text)
            if shutil.which("groff"):
                done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", path], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
                self.assertEqual(done.stdout, "")

    def test_prong_pc_finds_its_prefix_from_any_depth(self):
        for libdir in ("lib", "lib64", "lib/x86_64-linux-gnu", "here/and/there"):
            build = os.path.join(self.dir, "build")
            run(CMAKE, "-S", SOURCE, "-B", build, "-G", "Ninja", "-DCMAKE_C_COMPILER=" + CC, "-DPRONG_TESTS=OFF",
                "-DPRONG_BENCH=OFF", "-DPRONG_EXAMPLES=OFF", "-DCMAKE_INSTALL_LIBDIR=" + libdir)
            folder = os.path.join(self.dir, "away", libdir)
            os.makedirs(folder + "/pkgconfig")
            shutil.copy(build + "/client/prong.pc", folder + "/pkgconfig")
            for variable, place in (("libdir", libdir), ("includedir", "include")):
                found, = pkg_config("--variable=" + variable, folder=folder)
                self.assertEqual(os.path.normpath(found), os.path.join(self.dir, "away", place))


if __name__ == "__main__":
    hub.main()
