"""Two workers with limits of all kinds, for faults.py: their configuration, and whether it is in force."""
import os
import re
import tempfile

import kit


def own_cgroup():
    """The folder of the cgroup (version 2) that we are in, and with us each hub; None if none can be made in it."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        mounts = [line.split()[4] for line in file if " - cgroup2 " in line]
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        own = [line.rstrip("\n")[3:] for line in file if line.startswith("0::/")]
    if not mounts or not own:
        return None
    folder = os.path.normpath(mounts[0] + own[0])
    try:
        name = tempfile.mkdtemp(prefix="prong-test-", dir=folder)
        os.rmdir(name)
    except OSError:
        return None
    return folder


CGROUP = own_cgroup()
IS_ROOT = os.geteuid() == 0
CPU = min(os.sched_getaffinity(0))
NICE = max(5, os.getpriority(os.PRIO_PROCESS, 0))
NOBODY = 65534
# Two workers with limits of all kinds, as far as this system lets us set them. What the cgroup of the second misses is
# only said; the first does not start without one.
LIMITED = f"""
    autostart: false
    oom_score_adjust: 900
    rlimit_core: 0
    rlimit_fsize: 1GiB
    rlimit_nofile: 200:250
    rlimit_stack: 4MiB
    cpu_affinity: [{CPU}]
    sched: batch
    nice: {NICE}
    umask: 027
    no_new_privs: true
    restart_delay: 10ms
    max_restart_delay: 50ms
    max_restarts: 20
    stop_timeout: 1s
"""
LIMITS = f"""
  bound:
    command: [{os.path.join(kit.TEST_BIN, "spawn_family_worker")}]
    cgroup: {"required" if CGROUP else "auto"}
{f"    group: {NOBODY}" if IS_ROOT else ""}
{LIMITED}
  loose:
    command: [sleep, "1000"]
    working_dir: /
    ready: started
    memory_max: 1GiB
    pids_max: 99
{f"    user: {NOBODY}" if IS_ROOT else ""}
{LIMITED}
"""


def check(pid, is_loose):
    """Nothing that was asked for is silently left out."""
    def read(name):
        with open(f"/proc/{pid}/{name}", encoding="utf-8") as file:
            return file.read()
    status, limits = read("status"), read("limits")
    expected = [(limits, r"Max open files +200 +250 "), (limits, r"Max core file size +0 +0 "),
                (limits, r"Max file size +1073741824 +1073741824 "), (limits, r"Max stack size +4194304 +4194304 "),
                (status, rf"Cpus_allowed_list:\t{CPU}$"), (status, r"Umask:\t0027$"), (status, r"NoNewPrivs:\t1$"),
                (read("oom_score_adj"), "900$"), (read("stat"), rf".*\) (?:\S+ ){{16}}{NICE} (?:\S+ ){{21}}3 ")]
    if IS_ROOT:
        expected += [(status, rf"Gid:\t{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}$"), (status, rf"Groups:\t({NOBODY})? *$")]
        user = NOBODY if is_loose else 0
        expected += [(status, rf"Uid:\t{user}\t{user}\t{user}\t{user}$")]
    for text, pattern in expected:
        if not re.search("^" + pattern, text, re.M):
            raise AssertionError(f"not in force: {pattern}")


def cgroup_of(keeper, pid):
    """Whether a process is in a cgroup that this hub has made."""
    with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
        return re.search(rf"^0::.*/prong\.{keeper}\.\d+$", file.read(), re.M) is not None


def cgroups_of(keeper):
    """The cgroups of a hub's workers that there are."""
    return [name for name in os.listdir(CGROUP) if name.startswith(f"prong.{keeper}.")] if CGROUP else []


def remove_cgroups(keeper):
    """For the next case to find none of this one."""
    for name in cgroups_of(keeper):
        try:
            os.rmdir(os.path.join(CGROUP, name))
        except OSError:
            pass                 # another hub was quicker
