"""Every call of keeper, spawner and their children before exec fails in turn.

The library tests/support/faults.c, preloaded into prongd, lets the n-th call of one function in one of these
three roles fail. A scenario (fault_scenarios.py) brings a whole hub, with a real broker and a real worker, through its
life; it is run once without a fault to count the calls, then once for every n and every error of the table. What
may come of it:

    served   nobody noticed: all calls were answered, the hub ended with 0
    told     no worker came of it, and `status` says why; the hub ended with 0
    crippled a call fails for ever, as the log says, so the hub cannot do its work, and tries again and again: what
             is missing may come back; SIGTERM, three of them at the worst, still ends it
    exit N   prongd ended by itself with a documented code, and a line of the level ERROR or WARN says why

and always: nothing hangs, no process, socket or descriptor is left, no process dies of a signal.

usage: faults.py [--full] [--jobs N] [--only FUNCTION[,...]] [--role ROLE] [--scenario NAME] [--verbose]

Without --full a few cases of each function, chosen so that every function fails in every role once."""
import argparse
import collections
import concurrent.futures
import errno
import os
import subprocess
import sys
import threading
import time

from fault_case import FOREVER, FUNCTION_NUMBERS, PRONGD, ROLES, Case, Wish, read_names
from fault_scenarios import SCENARIOS

ERROR, SHORT, EMPTY = 0, 1, 2    # enum mode of the library
BUSY = 3                         # cases at a time for each processor in a full run: they wait more than they compute
PATIENT = 2                      # so many more for each of these: cases in which a call fails for ever, and that wait in vain
EVERY = 12                       # so many first calls of a function fail one by one, then each 1.6 times later

# The errors of each function; "short" moves half of the bytes, "empty" none. "E+" fails from the n-th call on
# for ever, "E*" three times.
ERRORS = {
    "access": "EACCES",
    "calloc": "ENOMEM ENOMEM+",
    "chdir": "EACCES ENOENT",
    "close": "EIO EINTR",
    "close_range": "EMFILE ENOMEM EMFILE+",
    "closedir": "EIO",
    "dup2": "EMFILE EINTR EMFILE+",
    "dup3": "EMFILE EBUSY",
    "execve": "ENOMEM EAGAIN ETXTBSY EACCES ENOENT E2BIG EIO ENOMEM+",
    "faccessat": "ENOENT ENOMEM",
    "fcntl": "EMFILE EINVAL",
    "flock": "ENOLCK EINTR",
    "fork": "EAGAIN ENOMEM EAGAIN* EAGAIN+",
    "fstat": "EIO ENOMEM",
    "fstatat": "EIO EACCES",
    "ftruncate": "EIO EINTR",
    "getcwd": "ENOENT ENOMEM",
    "getrlimit": "EINVAL",
    "getsid": "EPERM ESRCH",
    "kill": "EPERM ESRCH EPERM*",
    "malloc": "ENOMEM ENOMEM+",
    "mkdir": "EACCES ENOSPC EROFS",
    "mkdirat": "EACCES ENOSPC EAGAIN ENOMEM",
    "open": "EMFILE ENFILE EACCES ENOENT EMFILE*",
    "openat": "EMFILE ENOSPC EACCES ELOOP",
    "opendir": "EMFILE ENOENT",
    "pipe2": "EMFILE ENFILE EMFILE* EMFILE+",
    "poll": "EINTR EAGAIN ENOMEM EINVAL EINTR* ENOMEM* EINVAL+",
    "prctl": "EINVAL EPERM EPERM+",
    "pread": "EIO short empty",
    "pwrite": "ENOSPC EIO short",
    "read": "EINTR EIO EAGAIN short empty EINTR*",
    "readdir": "EIO EIO*",
    "readlink": "ENOENT EACCES",
    "recv": "EINTR EAGAIN ENOMEM ECONNRESET EINTR* ENOMEM+",
    "recvmsg": "EINTR EAGAIN ENOMEM ECONNRESET EINTR* ENOMEM+",
    "rmdir": "EBUSY EACCES EINTR",
    "sched_setaffinity": "EINVAL EPERM EPERM+",
    "sched_setscheduler": "EPERM EPERM+",
    "send": "EINTR EAGAIN ENOBUFS EPIPE ENOBUFS+",
    "sendmsg": "EINTR EAGAIN ENOBUFS ENOMEM ETOOMANYREFS EPIPE EAGAIN* ENOBUFS+",
    "sendto": "EINTR EAGAIN ENOBUFS ECONNREFUSED EAGAIN+",
    "setpriority": "EACCES EACCES+",
    "setrlimit": "EPERM EPERM+",
    "setsid": "EPERM EPERM+",
    "setsockopt": "ENOBUFS",
    "sigaction": "EINVAL",
    "signal": "EINVAL",
    "signalfd": "EMFILE ENOMEM",
    "sigprocmask": "EINVAL",
    "sigtimedwait": "EAGAIN EINTR",
    "socket": "EMFILE ENOBUFS",
    "socketpair": "EMFILE ENFILE EMFILE+",
    "stat": "EACCES ENOENT",
    "syscall": "EPERM EAGAIN EPERM+",   # setgroups, setresgid, setresuid, pidfd_open
    "unlinkat": "EACCES EROFS",
    "waitid": "EINTR",           # ECHILD cannot be while there are children: SIGCHLD is at its default
    "waitpid": "EINTR",
    "write": "EINTR EAGAIN ENOSPC EIO short ENOSPC+",
}
# Functions of libc that prongd uses and that are not made to fail, with the reason.
CANNOT_FAIL = {
    "clock_gettime": "with these clocks and a valid pointer it cannot fail",
    "getpid getppid geteuid umask": "always successful",
    "getresgid getresuid": "with valid pointers they cannot fail",
    "_exit free": "return nothing",
    "getenv unsetenv": "memory only; the names are fixed",
    "dirfd gmtime_r sigaddset sigemptyset strerror strsignal strdup strtol strtoll strtoul strtoull":
        "memory only (strdup: see malloc)",
    "fprintf fputc fputs fwrite puts snprintf vsnprintf __isoc99_sscanf":
        "into memory; to a stream only for --help, --version and usage errors, before anything is held",
    "memcmp memcpy memmove memset strchr strcmp strcspn strlen strncmp strnlen strrchr strsep strspn strstr":
        "memory only",
    "__cmsg_nxthdr __ctype_b_loc __errno_location": "memory only",
    "__cxa_finalize __libc_start_main __gmon_start__ __stack_chk_fail _ITM_deregisterTMCloneTable "
    "_ITM_registerTMCloneTable": "of the program's start and end",
}


def check_completeness():
    """Every function that prongd takes from libc is made to fail, or stands among those that cannot."""
    out = subprocess.run(["nm", "-D", "--undefined-only", PRONGD], stdout=subprocess.PIPE, check=True,
                         text=True).stdout
    used = {line.split()[-1].split("@")[0] for line in out.splitlines()}
    excused = {name for names in CANNOT_FAIL for name in names.split()}
    unknown = sorted(used - set(FUNCTION_NUMBERS) - excused)
    missing = sorted(set(FUNCTION_NUMBERS) ^ set(ERRORS))
    problems = [f"{name} is used by prongd, but neither made to fail nor excused" for name in unknown]
    problems += [f"{name} stands only in one of faults.c and ERRORS" for name in missing]
    print(f"{len(used)} functions of libc are used by prongd: {len(used & set(FUNCTION_NUMBERS))} are made to fail, "
          f"{len(used & excused)} cannot")
    return problems


def indexes(count):
    n = 1
    while n <= count:
        yield n
        n = n + 1 if n < EVERY else int(n * 1.6)


def wishes(role, function, count):
    for word in ERRORS[function].split():
        times = {"+": FOREVER, "*": 3}.get(word[-1], 1)
        name = word.rstrip("+*")
        mode = {"short": SHORT, "empty": EMPTY}.get(name, ERROR)
        for n in indexes(count if times != FOREVER else min(count, 6)):
            yield Wish(role, function, n, times, mode, getattr(errno, name, 0), word)


def sample(found):
    """Of each function in each role of a scenario the first case; in a whole life also one further on, with another
    call and error."""
    groups = collections.defaultdict(list)
    for scenario, wish in found:
        groups[scenario.name, wish.role, wish.function].append((scenario, wish))
    for (scenario, _, _), group in groups.items():
        yield group[0]
        if scenario == "life" and len(group) > 1:
            yield group[max(1, len(group) * 2 // 3)]


def chosen(baselines, arguments):
    for scenario in SCENARIOS:
        if arguments.scenario not in (None, scenario.name):
            continue
        counts = baselines[scenario.name].counts()
        for role in scenario.roles:
            if arguments.role in (None, role):
                for function in arguments.only.split(","):
                    for wish in wishes(role, function, counts[role, function]):
                        yield scenario, wish


def print_table(results, baselines):
    rows = collections.defaultdict(lambda: [0, collections.Counter()])
    for (scenario, wish), outcome in results:
        if outcome.what != "not hit":
            row = rows[wish.function, wish.role, outcome.phase]
            row[0] += 1
            row[1]["FAILED" if outcome.problem else outcome.what] += 1
    print(f"\n{'call':<13} {'process':<8} {'while':<15} {'cases':>5}  outcome")
    for (function, role, phase), (count, outcomes) in sorted(rows.items()):
        print(f"{function:<13} {role:<8} {phase:<15} {count:>5}  "
              + ", ".join(f"{n} {what}" for what, n in sorted(outcomes.items())))
    print("\nnever called, so nothing can fail there:")
    for role in ROLES:
        unused = [f for f in ERRORS if all(baselines[s.name].counts()[role, f] == 0 for s in SCENARIOS
                                           if s.name in baselines)]
        print(f"  {role}: {' '.join(unused)}")
    print("cannot fail:")
    for names, why in CANNOT_FAIL.items():
        print(f"  {names}: {why}")


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n\n")[0])
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--only", default=",".join(ERRORS))
    parser.add_argument("--role", choices=ROLES)
    parser.add_argument("--scenario", choices=[scenario.name for scenario in SCENARIOS])
    arguments = parser.parse_args()
    unknown = set(arguments.only.split(",")) - set(ERRORS)
    if unknown:
        parser.error(f"--only: {', '.join(sorted(unknown))} is none of {' '.join(ERRORS)}")
    began = time.monotonic()
    read_names()
    problems = check_completeness()
    baselines = {}
    for scenario in SCENARIOS:
        case = baselines[scenario.name] = Case(scenario)
        outcome = case.run()
        if outcome.problem or outcome.what != "served":
            sys.exit(f"scenario {scenario.name} without a fault: {outcome}")
    every = list(chosen(baselines, arguments))
    picked = every if arguments.full else list(sample(every))
    lock, results = threading.Lock(), []

    def one(pair):
        case = Case(*pair, baselines[pair[0].name].shared_fds)
        began_case = time.monotonic()
        outcome = case.run()
        with lock:
            results.append((pair, outcome))
            if outcome.problem or arguments.verbose:
                scenario, wish = pair
                print(f"{scenario.name}: {wish.role} {wish.function} {wish.text} at call {wish.first} "
                      f"({outcome.phase}): {outcome.what}: {outcome.problem or outcome.reason or 'ok'} "
                      f"{time.monotonic() - began_case:.2f} s", flush=True)
                if outcome.problem:
                    print("".join(f"    | {line}\n" for line in outcome.log.splitlines()[-25:]), flush=True)

    # A hub for which a call fails for ever takes up to half a minute, all of them as long as the other thousands of
    # cases, so they do not stand in the way of those.
    jobs = arguments.jobs or os.cpu_count() * (BUSY if arguments.full else 1)
    pool = concurrent.futures.ThreadPoolExecutor(jobs)
    patient = concurrent.futures.ThreadPoolExecutor(PATIENT * jobs)
    tasks = [(patient if pair[1].times == FOREVER else pool).submit(one, pair) for pair in picked]
    for task in concurrent.futures.as_completed(tasks):
        task.result()
    if arguments.full or arguments.verbose:
        print_table(results, baselines)
    failed = sum(1 for _, outcome in results if outcome.problem)
    hit = collections.Counter(outcome.what for _, outcome in results)
    print(f"{len(results)} cases of {len(every)}, {time.monotonic() - began:.0f} s: "
          + ", ".join(f"{n} {what}" for what, n in sorted(hit.items())) + f"; {failed} failed")
    for problem in problems:
        print(problem)
    return 1 if failed or problems else 0


if __name__ == "__main__":
    sys.exit(main())
