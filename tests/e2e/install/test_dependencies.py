"""What CMake says when something is missing that Prong is built with: what, and its Debian package."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

SOURCE = os.environ.get("PRONG_SOURCE_DIR", "")
BUILD = os.environ.get("PRONG_BUILD_DIR", "")
CMAKE = os.environ.get("PRONG_TEST_CMAKE", "cmake")
CC = os.environ.get("PRONG_TEST_CC", "cc")
SECONDS = 60
# The names that pkg-config knows a library by, its Debian package.
LIBRARIES = {("msgpack-c", "msgpackc", "msgpack"): "libmsgpack-dev", ("yaml-0.1",): "libyaml-dev",
             ("jansson",): "libjansson-dev"}


def cached(name):
    """What the build that is being tested found."""
    with open(os.path.join(BUILD, "CMakeCache.txt"), encoding="utf-8") as file:
        return re.search(rf"^{name}:\w+=(.*)$", file.read(), re.M)[1]


class Missing(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="prgd")
        self.addCleanup(shutil.rmtree, self.dir)

    def configure(self, *definitions, tests=False, env=None):
        """(exit code, what was said in one line)."""
        done = subprocess.run(
            [CMAKE, "-S", SOURCE, "-B", tempfile.mkdtemp(dir=self.dir), "-G", "Ninja", "-DCMAKE_C_COMPILER=" + CC,
             f"-DPRONG_TESTS={'ON' if tests else 'OFF'}", "-DPRONG_BENCH=OFF", "-DPRONG_EXAMPLES=OFF",
             *definitions], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS,
            env={**os.environ, **(env or {})}, check=False)
        return done.returncode, re.sub(r"\s+", " ", done.stdout)

    def missing(self, words, package, *definitions, **more):
        code, said = self.configure(*definitions, **more)
        self.assertEqual(code, 1, said)
        self.assertRegex(said, rf"need.* {words}.*'apt-get install {package}'")

    def test_nothing_is_missing(self):
        code, said = self.configure(tests=True)
        self.assertEqual(code, 0, said)

    def test_pkg_config(self):
        self.missing("pkg-config", "pkg-config", "-DCMAKE_DISABLE_FIND_PACKAGE_PkgConfig=ON")

    def test_a_library_that_pkg_config_does_not_know(self):
        for names, package in LIBRARIES.items():
            with self.subTest(package):
                known = tempfile.mkdtemp(dir=self.dir)
                for name in (name for others in LIBRARIES if others != names for name in others):
                    folder = subprocess.run(["pkg-config", "--variable=pcfiledir", name], stdout=subprocess.PIPE,
                                            stderr=subprocess.DEVNULL, text=True, check=False).stdout.strip()
                    if folder:
                        shutil.copy(f"{folder}/{name}.pc", known)
                self.missing(names[-1], package, env={"PKG_CONFIG_LIBDIR": known, "PKG_CONFIG_PATH": ""})

    def test_nng(self):
        self.missing(r"nng 1\.5 or newer", "libnng-dev", "-DCMAKE_DISABLE_FIND_PACKAGE_nng=ON")

    def test_nng_of_another_version(self):
        """The version file decides as that of nng does: the same major number, and not less."""
        real = cached("nng_DIR")                     # which is to be found below /lib as well
        for version in ("1.4.9", "2.0.0"):
            folder = tempfile.mkdtemp(dir=self.dir)
            with open(f"{folder}/nng-config.cmake", "w", encoding="utf-8") as file:
                file.write("add_library(nng::nng INTERFACE IMPORTED)\n")
            with open(f"{folder}/write.cmake", "w", encoding="utf-8") as file:
                file.write("include(CMakePackageConfigHelpers)\nwrite_basic_package_version_file("
                           f'"{folder}/nng-config-version.cmake" VERSION {version} COMPATIBILITY SameMajorVersion '
                           "ARCH_INDEPENDENT)\n")
            subprocess.run([CMAKE, "-P", f"{folder}/write.cmake"], check=True, timeout=SECONDS)
            self.missing(rf"nng 1\.5 or newer, but not 2 \(found: {re.escape(version)}\)", "libnng-dev",
                         "-Dnng_DIR=" + folder, f"-DCMAKE_IGNORE_PATH={real};{real.removeprefix('/usr')}")

    def test_uthash(self):
        self.missing(r"uthash\.h", "uthash-dev", "-DCMAKE_IGNORE_PATH=" + cached("UTHASH_INCLUDE"))

    def test_what_only_the_tests_need(self):
        self.missing("Python 3", "python3", "-DCMAKE_DISABLE_FIND_PACKAGE_Python3=ON", tests=True)
        folder = cached("UTHASH_INCLUDE")
        self.missing("Criterion", "libcriterion-dev", "-DUTHASH_INCLUDE=" + folder, "-DCMAKE_IGNORE_PATH=" + folder,
                     tests=True)


if __name__ == "__main__":
    unittest.main()
