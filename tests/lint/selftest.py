#!/usr/bin/env python3
"""Feeds each lint good and bad trees and sees it pass and fail, naming file and line.

Usage: selftest.py LINT
"""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))


def long_function(lines):
    return "int\nlong_one(void)\n{\n" + "    ;\n" * (lines - 3) + "    return 0;\n}\n"


# Lint -> list of (what, arguments, files, expected exit code, words that must be printed).
CASES = {
    "includes": [
        ("all arrows point down", [], {
            "proto/a.h": "", "proto/link/l.h": '#include "proto/a.h"\n',
            "broker/core/c.h": '#include "proto/a.h"\n',
            "broker/shell/s.c": '#include "broker/core/c.h"\n#include "proto/link/l.h"\n'
                                '#include "broker/spawn/records.h"\n',
            "broker/spawn/records.h": "#include <stdint.h>\n",
            "client/include/prong/p.h": "", "client/lib/c.c": '#include <prong/p.h>\n',
            "client/cli/m.c": '#include "client/lib/c.h"\n#include "proto/closest.h"\n',
            "client/lib/c.h": "", "proto/closest.h": "",
            "examples/e.c": "#include <prong/p.h>\n", "tests/t.c": '#include "broker/core/c.h"\n',
        }, 0, []),
        ("core knows the shell", [], {"broker/core/c.c": '\n#include "broker/shell/s.h"\n'}, 1,
         ["broker/core/c.c:2:", "broker/shell"]),
        ("core knows a transport", [], {"broker/core/c.c": '#include "proto/link/l.h"\n'}, 1,
         ["broker/core/c.c:1:"]),
        ("proto knows the core", [], {"proto/p.c": '# include "broker/core/c.h"\n'}, 1, ["proto/p.c:1:"]),
        ("configuration knows the core", [], {"broker/config/c.c": '#include "broker/core/c.h"\n'}, 1,
         ["broker/config/c.c:1:"]),
        ("shell knows more of the spawner", [], {"broker/shell/s.c": '#include "broker/spawn/proc.h"\n'}, 1,
         ["broker/shell/s.c:1:"]),
        ("spawner knows the protocol", [], {"broker/spawn/s.c": '#include "proto/a.h"\n'}, 1,
         ["broker/spawn/s.c:1:"]),
        ("command line knows the protocol", [], {"client/cli/c.c": '#include "proto/a.h"\n'}, 1,
         ["client/cli/c.c:1:"]),
        ("client knows the broker", [], {"client/lib/c.c": '#include "broker/core/c.h"\n'}, 1,
         ["client/lib/c.c:1:"]),
        ("broker knows the client", [], {"broker/shell/s.c": '#include "client/lib/c.h"\n'}, 1,
         ["broker/shell/s.c:1:"]),
        ("broker knows the public header", [], {"broker/shell/s.c": "#include <prong/client.h>\n"}, 1,
         ["broker/shell/s.c:1:"]),
        ("example goes behind the library", [], {"examples/e.c": '#include "client/lib/c.h"\n'}, 1,
         ["examples/e.c:1:"]),
        ("nng outside proto/link", [], {"broker/shell/s.c": "#include <nng/nng.h>\n"}, 1,
         ["broker/shell/s.c:1:", "nng/nng.h"]),
        ("a test goes behind its framework", [], {"tests/unit/t.c": "#include <criterion/criterion.h>\n"}, 1,
         ["tests/unit/t.c:1:", "tests/support"]),
        ("module is not named", [], {"proto/a.c": '#include "a.h"\n', "proto/a.h": ""}, 1,
         ["proto/a.c:1:", "module"]),
        ("climbing", [], {"proto/a.c": '#include "../broker/core/c.h"\n'}, 1, ["proto/a.c:1:", "climbs"]),
        ("unknown folder", [], {"broker/magic/m.c": "", "elsewhere/e.c": "int x;\n"}, 1,
         ["elsewhere/e.c:1:", "unknown"]),
        ("unknown module below the broker", [], {"broker/magic/m.c": '#include "broker/core/c.h"\n'}, 1,
         ["broker/magic", "unknown"]),
    ],
    "purity": [
        ("nothing there", [], {"proto/p.c": "int proto_one(void);\n"}, 77, ["SKIP: broker/core"]),
        ("pure", [], {
            "broker/core/c.c": '#include <string.h>\n#include "proto/p.h"\n'
                               'static const char *const names[] = {"a", "b"};\n'
                               "size_t core_len(int i) { return strlen(names[i]) + (size_t) proto_one(); }\n",
            "proto/p.h": "int proto_one(void);\n",
            "proto/p.c": '#include "proto/p.h"\nint proto_one(void) { return 1; }\n',
            # Comments and literals are free to speak about time().
            "broker/core/d.c": '/* not time(NULL) */\nconst char *d_text(void) { return "time(NULL)"; }\n',
        }, 0, []),
        ("system call", [], {"broker/core/c.c": "#include <unistd.h>\nint c(int f) { return close(f); }\n"}, 1,
         ["broker/core/c.c:1:", "'close'"]),
        ("system call in proto", [], {"broker/core/c.c": "int c;\n".replace("int c;", "int c(void){return 0;}"),
                                      "proto/p.c": "#include <unistd.h>\nint p(void) { return getpid(); }\n"},
         1, ["proto/p.c:1:", "'getpid'"]),
        ("mutable global", [], {"broker/core/c.c": "int core_count;\nint core_next = 3;\n"}, 1,
         ["core_count", "core_next", "broker/core/c.c:1:"]),
        ("static local", [], {"broker/core/c.c": "int c(void) { static int n; return ++n; }\n"}, 1,
         ["broker/core/c.c:1:", "writable"]),
        ("clock of the processor", [], {
            "broker/core/c.c": "unsigned long long c(void);\n\n"
                               "unsigned long long c(void) { return __builtin_ia32_rdtsc(); }\n"}, 1,
         ["broker/core/c.c:3:"]),
        ("assembly", [], {"broker/core/c.c": 'void c(void) { __asm__("nop"); }\n'}, 1, ["broker/core/c.c:1:"]),
        ("printing in a header", [], {"broker/core/c.c": "int c(void) { return 0; }\n",
                                      "broker/core/c.h": '\n#define SAY() printf("x")\n'}, 1,
         ["broker/core/c.h:2:"]),
        ("does not compile", [], {"broker/core/c.c": "int c(\n"}, 1, ["broker/core/c.c:1:"]),
        ("session", ["--of", "client/session"], {
            "client/session/s.c": "#include <stdlib.h>\nchar *s(void) { return getenv(\"A\"); }\n"}, 1,
         ["client/session/s.c:2:", "environment", "'getenv'"]),
    ],
    "headers": [
        ("good", [], {"proto/a.h": "#ifndef A\n#define A\n#include <stdint.h>\nuint8_t a(void);\n#endif\n",
                      "client/include/prong/p.h": "#ifndef P\n#define P\n#define PRONG_API\n"
                                                  '#ifdef __cplusplus\nextern "C" {\n#endif\n'
                                                  "PRONG_API int p(void);\n"
                                                  "#ifdef __cplusplus\n}\n#endif\n#endif\n"}, 0, []),
        ("needs another include", [], {"proto/a.h": "#ifndef A\n#define A\nuint8_t a(void);\n#endif\n"}, 1,
         ["proto/a.h:1:", "C17"]),
        ("no guard", [], {"proto/a.h": "struct a { int b; };\n"}, 1, ["proto/a.h:1:", "redefinition"]),
        ("not C++", [], {"client/include/prong/p.h": "#ifndef P\n#define P\nint p(int class);\n#endif\n"}, 1,
         ["client/include/prong/p.h:1:", "C++17"]),
        ("mangled", [], {"client/include/prong/p.h": "#ifndef P\n#define P\n#define PRONG_API\n"
                                                     "PRONG_API int p(void);\n#endif\n"}, 1,
         ["client/include/prong/p.h:1:", 'extern "C"']),
        ("nothing there", [], {"README": ""}, 77, ["SKIP:"]),
    ],
    "hygiene": [
        ("good", [], {
            "proto/a.c": '/* sprintf( and sleep( in a comment, "/* */\n'
                         + "int a(void) { return snprintf(0, 0, \"strcpy(\"); }\n" + long_function(70),
            "tests/t.c": 'const char *command = "sleep 1000";\nint u(void) { return usleep_not(1); }\n',
            "docs/d.md": "see https://example.org/work/page, TODO(#12), ${HOME}/home/x\n",
            "broker/b.c": "/" + "/ a TODO(#1)\n",
            "tests/p.c": "int p(void) { return usleep(5); } /* lint:allow the pace of a fork bomb */\n",
            "docs/e.md": "/ho" + "me/user lint:allow\n",
        }, 0, []),
        ("path of the machine", [], {"docs/d.md": "\nsee /wo" + "rk/main\n"}, 1, ["docs/d.md:2:", "path"]),
        ("path of root", [], {"a.py": 'x = "/ro' + 'ot/x"\n'}, 1, ["a.py:1:"]),
        ("path of a user", [], {"a.cmake": "set(X /ho" + "me/me)\n"}, 1, ["a.cmake:1:"]),
        ("registry", [], {"a.txt": "https://mirror.example/artifactory/api/pypi\n"}, 1, ["a.txt:1:", "registry"]),
        ("registry option", [], {"a.sh": "pip install --index-url x\n"}, 1, ["a.sh:1:"]),
        ("sleep in C test", [], {"tests/t.c": "\n\nint t(void) { return usleep(5); }\n"}, 1, ["tests/t.c:3:"]),
        ("nanosleep in C test", [], {"tests/t.h": "nanosleep(&t, NULL);\n"}, 1, ["tests/t.h:1:"]),
        ("sleep in Python test", [], {"tests/t.py": "import time\ntime.sleep(1)\n"}, 1, ["tests/t.py:2:"]),
        ("sleep in shell test", [], {"tests/t.sh": "true\nsleep 1\n"}, 1, ["tests/t.sh:2:"]),
    ] + [
        (word, [], {"broker/b.c": f"\nint b(void) {{ return {word}(x); }}\n"}, 1, ["broker/b.c:2:", word])
        for word in ("strcpy", "strcat", "sprintf", "vsprintf", "atoi", "alloca", "gets", "strtok")
    ] + [
        ("note without issue", [], {"a.c": "/* TO" + "DO: later */\n"}, 1, ["a.c:1:", "issue"]),
        ("fix without issue", [], {"a.md": "FIX" + "ME(#x) later\n"}, 1, ["a.md:1:"]),
        ("long function", [], {"a.c": "int x;\n" + long_function(71)}, 1, ["a.c:4:", "long_one", "71 lines"]),
        ("long function behind an initialiser", [], {
            "a.c": "static const struct s t = {.a = (int){1}};\n#if X\nint f(void) {\n#else\nint g(void) {\n"
                   "#endif\n  return 0;\n}\n" + long_function(90)}, 1, ["long_one", "90 lines"]),
        ("long function in extern C", [], {"a.h": 'extern "C" {\n' + long_function(80) + "}\n"}, 1,
         ["a.h:4:", "80 lines"]),
        ("long test", [], {"tests/t.c": "Test(a, b, .timeout = 5)\n" + long_function(75).split("\n", 2)[2]}, 1,
         ["tests/t.c:2:", "75 lines"]),
        ("long file is named", [], {"a.c": "int x;\n" * 801}, 0, ["a.c has 801 lines"]),
    ],
    "thin": [
        ("thin", [], {"client/lib/a.c": "int x;\n" * 2000, "client/session/b.c": "int x;\n" * 2000,
                      "client/cli/c.c": "int x;\n" * 9000}, 0, ["4000 of 4000"]),
        ("thick", [], {"client/lib/a.c": "int x;\n" * 2000, "client/session/b.h": "int x;\n" * 2001}, 1,
         ["client/session/b.h:2001:", "4001 lines"]),
        ("thick Python", [], {"bindings/python/prong/a.py": '"""Doc."""\n\n# why\n' + "x\n" * 9999}, 1,
         ["9999 lines"]),
    ],
    "unpacker": [
        ("packing only", ["--program", "broker.o"], {
            "proto/a.c": "/* msgpack_unpack_next( would recurse */\nint a(void) { return msgpack_pack_nil(0); }\n",
            "tests/t.c": "int t(void) { return msgpack_unpack_next(0); }\n",
            "broker.o": "int msgpack_pack_nil(void);\nint main(void) { return msgpack_pack_nil(); }\n",
        }, 0, []),
        ("unpacking in the protocol", [], {"proto/a.c": "\nint a(void) { return msgpack_unpack_next(0); }\n"}, 1,
         ["proto/a.c:2:", "'msgpack_unpack_next'"]),
        ("an unpacker in the broker", [], {"broker/core/a.h": "struct s { msgpack_unpacker u; };\n"}, 1,
         ["broker/core/a.h:1:", "'msgpack_unpacker'"]),
        ("an unpacker in the client", [], {"client/lib/a.c": "int a(void) { return msgpack_unpacker_next(0); }\n"}, 1,
         ["client/lib/a.c:1:"]),
        ("linked with it, shared", ["--program", "broker.o"], {
            "broker.o": "int msgpack_unpacker_next(void);\nint main(void) { return msgpack_unpacker_next(); }\n"}, 1,
         ["broker.o:1:", "linked with 'msgpack_unpacker_next'"]),
        ("linked with it, static", ["--program", "broker.o"], {
            "broker.o": "int msgpack_unpack(void) { return 0; }\nint main(void) { return msgpack_unpack(); }\n"}, 1,
         ["broker.o:1:", "linked with 'msgpack_unpack'"]),
        ("no program", ["--program", "broker.o"], {}, 1, ["no symbols"]),
    ],
    "format": [
        ("good", [], {"a.c": "int\na(void)\n{\n    return 1;\n}\n"}, 0, []),
        ("bad", [], {"a.c": "int\na(void)\n{\n  return 1;\n}\n"}, 1, ["a.c:"]),
        ("exempt", [], {"a.c": "/* clang-format off */\nint   a  ;\n/* clang-format on */\n"}, 0, []),
    ],
}


def tree_make(root, files):
    """Files with these texts; of one that ends in .o the text is C, to be compiled."""
    for path, text in files.items():
        whole = os.path.join(root, path)
        os.makedirs(os.path.dirname(whole), exist_ok=True)
        if path.endswith(".o"):
            subprocess.run(["cc", "-x", "c", "-c", "-", "-o", whole], input=text, text=True, check=True)
            continue
        with open(whole, "w", encoding="utf-8") as file:
            file.write(text)
    with open(os.path.join(REPOSITORY, ".clang-format"), encoding="utf-8") as file:
        style = file.read()
    with open(os.path.join(root, ".clang-format"), "w", encoding="utf-8") as file:
        file.write(style)


def run(lint, more, files):
    with tempfile.TemporaryDirectory() as root:
        tree_make(root, files)
        return subprocess.run([sys.executable, os.path.join(HERE, lint + ".py"), "--root", root, *more],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


def main():
    lint = sys.argv[1]
    wrong = 0
    for what, more, files, code, words in CASES[lint]:
        result = run(lint, more, files)
        missing = [word for word in words if word not in result.stdout]
        if lint == "format" and result.returncode == 77:
            print(result.stdout, end="")
            sys.exit(77)
        if result.returncode != code or missing:
            wrong += 1
            print(f"{lint}: {what}: exit {result.returncode}, expected {code}; "
                  f"not said: {missing}\n{result.stdout}")
    print(f"{lint}: {len(CASES[lint])} samples, {wrong} judged wrongly")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
