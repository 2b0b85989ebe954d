"""Limits of workers by configuration: what the worker's own process shows, one that runs as another user and serves
calls, and what is said where a limit cannot be had. Most of it needs root, or the hub could switch no user."""
import grp
import os
import pwd
import re

import kit

USER, OTHER = "nobody", "daemon"
# One program that prints what holds of it, and stays.
REPORT = ["/bin/sh", "-c", "cat /proc/self/status /proc/self/limits; echo oom $(cat /proc/self/oom_score_adj);"
          " echo stat $(cut -d' ' -f19,41 /proc/self/stat); echo umask $(umask); echo home $HOME $USER $LOGNAME;"
          " echo folder $(pwd); cat /proc/self/cgroup; echo end; exec sleep 1000"]
STAYS = '[sleep, "1000"]'


def flow(words):
    return kit.json.dumps(words)


class Limits(kit.Case):
    def report(self, hub, worker):
        """What the worker has printed, all of it."""
        def found():
            lines = [line["line"] for line in client.admin("logs", worker=worker, lines=200)]
            return lines if "end" in lines else None
        with hub.client() as client:
            return "\n".join(kit.until(found, f"the report of {worker}"))

    def expect(self, report, *patterns):
        for pattern in patterns:
            self.assertRegex(report, re.compile(pattern, re.M))

    @kit.needs_root
    def test_all_of_them_hold_in_the_process_and_a_worker_of_another_user_serves(self):
        user = pwd.getpwnam(USER)
        group = grp.getgrgid(user.pw_gid).gr_name
        theirs = os.path.join(self.dir, "theirs")
        os.mkdir(theirs, 0o700)
        os.chown(theirs, user.pw_uid, user.pw_gid)
        os.chmod(self.dir, 0o711)
        hub = self.hub(f"""full:
  command: {flow(REPORT)}
  ready: started
  working_dir: {theirs}
  user: {USER}
  umask: 027
  nice: 7
  sched: batch
  cpu_affinity: [0]
  oom_score_adjust: 700
  no_new_privs: true
  rlimit_nofile: 256:512
  rlimit_core: 0
  rlimit_fsize: 1GiB
  rlimit_cpu: 1h:2h
  rlimit_memlock: 64KiB
  rlimit_stack: 4MiB
  rlimit_nproc: 5000
each: {{command: {flow(REPORT)}, ready: started, cpu_affinity: ["%i"], cgroup: auto, memory_max: 1GiB, pids_max: 64}}
echo: {{command: {kit.worker_command()}, user: {USER}, environment: {{USER: mine}}}}
group: {{command: {flow(REPORT)}, ready: started, group: {group}}}
away: {{command: {kit.worker_command()}, autostart: false, user: {OTHER}}}
mute: {{command: {STAYS}, autostart: false, ready: started, user: {OTHER}}}""", hub=f"group: {group}")
        full = self.report(hub, "full")
        uid, gid = user.pw_uid, user.pw_gid
        self.expect(full, rf"^Uid:\t{uid}\t{uid}\t{uid}\t{uid}$", rf"^Gid:\t{gid}\t{gid}\t{gid}\t{gid}$",
                    r"^NoNewPrivs:\t1$", r"^Cpus_allowed_list:\t0$", r"^oom 700$", r"^stat 7 3$", r"^umask 0?027$",
                    rf"^home {user.pw_dir} {USER} {USER}$", rf"^folder {theirs}$", r"^Max open files +256 +512 ",
                    r"^Max core file size +0 +0 ", r"^Max file size +1073741824 +1073741824 ",
                    r"^Max cpu time +3600 +7200 ", r"^Max locked memory +65536 +65536 ",
                    r"^Max stack size +4194304 +4194304 ", r"^Max processes +5000 +5000 ")
        groups = re.search(r"^Groups:\t(.*)$", full, re.M)[1].split()
        self.assertEqual(sorted(map(int, groups)), sorted(os.getgrouplist(USER, gid)))
        self.expect(self.report(hub, "each"), r"^Cpus_allowed_list:\t0$", r"^Uid:\t0\t", r"^umask 0?022$", r"^oom 0$")
        self.expect(self.report(hub, "group"), rf"^Gid:\t{gid}\t", r"^Uid:\t0\t", r"^Groups:\t *$")
        with hub.client() as client:
            pid = client.call("echo", "pid")
        self.assertEqual(os.stat(f"/proc/{pid}").st_uid, uid)
        with open(f"/proc/{pid}/environ", "rb") as file:
            self.assertIn(b"USER=mine", file.read().split(b"\0"))
        self.assertEqual(re.findall(r"worker '(.*)': its user '(.*)' may not use the hub's socket", hub.log),
                         [("away", OTHER)])
        # Nothing is said of cgroups but where something is missing, and that once.
        said = re.findall(r"each/0 starts without some of its limits: not in force: (.*) \(", hub.log)
        where = re.search(r"^0::(.*)$", self.report(hub, "each"), re.M)
        if said:
            self.assertEqual(len(said), 1, hub.log)
            self.assertRegex(said[0], r"^(cgroup, )?memory_max, pids_max$|^memory_max$|^pids_max$")
        elif where:
            self.assertIn(f"/prong.{hub.keeper}.", where[1])
        self.assertEqual(hub.stop(), 0)
        hub.assert_nothing_left()

    @kit.needs_root
    def test_a_hub_without_privileges_names_the_limit_that_needs_them_and_tries_no_more(self):
        rows = {"first": ("nice: -5", "setting nice '-5': Permission denied"),
                "real": ("sched: fifo:1", "setting sched 'fifo:1': Operation not permitted"),
                "score": ("oom_score_adjust: -900", "setting oom_score_adjust '-900': Permission denied"),
                "files": ("rlimit_nofile: 64:unlimited",
                          "setting rlimit_nofile '64:unlimited': Operation not permitted"),
                "other": ("user: root", "setting user 'root': Operation not permitted"),
                "group": ("group: root", "setting group 'root': Operation not permitted"),
                "tight": ("cgroup: required", "setting cgroup 'required': Operation not supported"),
                "away": (f"working_dir: {self.dir}/c", f"working folder '{self.dir}/c': Permission denied")}
        user = pwd.getpwnam(USER)
        os.chown(self.dir, user.pw_uid, user.pw_gid)
        os.mkdir(os.path.join(self.dir, "c"), 0o700)
        workers = [f"{name}: {{command: {STAYS}, ready: started, restart: always, {option}}}"
                   for name, (option, _) in rows.items()]
        workers.append(f"own: {{command: {STAYS}, ready: started, user: {USER}, nice: 19}}")
        hub = self.hub("\n".join(workers), ready=False,
                       wrap=["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"])
        hub.wait_listening()
        for name, (option, reason) in rows.items():
            with self.subTest(option):
                replica = hub.wait_replica(name, "failed")
                self.assertEqual(replica["restarts"], 0)
                self.assertEqual(replica["reason"], f"could not start: {reason}")
        hub.wait_replica("own")
        self.assertRegex(hub.log, r"ERROR prongd\[\d+\] tight/0 cannot start: not in force: cgroup \(.*cgroup")

def cgroup_root():
    """Where cgroups of version 2 with all the controllers can be made: a folder whose children have them, from our
    own cgroup upwards. (None, why not) if there is none."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        mounts = [line.split() for line in file if " - cgroup2 " in line]
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        own = [line.strip()[3:] for line in file if line.startswith("0::")]
    if not mounts or not own:
        return None, "no cgroup of version 2 is mounted"
    mount = mounts[0][4]
    folder = os.path.normpath(mount + own[0])
    while True:
        try:
            with open(os.path.join(folder, "cgroup.subtree_control"), encoding="ascii") as file:
                if {"cpu", "memory", "pids"} <= set(file.read().split()):
                    return folder, ""
        except OSError as error:
            return None, str(error)
        if folder == mount:
            return None, f"no cgroup below {mount} has the controllers cpu, memory and pids"
        folder = os.path.dirname(folder)


class Delegated(kit.Case):
    """A hub in a cgroup of its own, as systemd gives it with Delegate=yes."""

    @kit.needs_root
    def test_limits_of_a_cgroup_hold_and_want_of_memory_is_told_as_the_reason(self):
        root, why = cgroup_root()
        if root is None:
            self.skipTest(why)
        folder = os.path.join(root, f"prong-test-{os.getpid()}")
        os.mkdir(folder)
        self.addCleanup(self.remove, folder)
        eater = "x = [bytearray(1 << 20) for _ in range(4096)]"
        hub = self.hub(f"""early: {{command: {STAYS}, ready: started}}
bound:
  command: {STAYS}
  ready: started
  memory_max: 64MiB
  memory_high: 48MiB
  memory_swap_max: 0
  cpu_weight: 50
  cpu_max: 150%
  pids_max: 7
  cgroup: required
eater: {{command: {flow([kit.sys.executable, '-c', eater])}, ready: started, autostart: false, restart: no,
        memory_max: 64MiB, memory_swap_max: 0}}""", wrap=["/bin/sh", "-c", f'echo $$ > {folder}/cgroup.procs; exec "$@"', "sh"])
        leaf = os.path.join(folder, f"prong.{hub.keeper}.")
        pid = hub.wait_replica("bound")["pid"]
        path = next(os.path.join(folder, name) for name in os.listdir(folder)
                    if os.path.join(folder, name).startswith(leaf))
        with open(os.path.join(path, "cgroup.procs"), encoding="ascii") as file:
            self.assertEqual(file.read().split(), [str(pid)])
        for name, value in {"memory.max": "67108864", "memory.high": "50331648", "cpu.weight": "50", "memory.swap.max": "0",
                            "cpu.max": "150000 100000", "pids.max": "7", "memory.oom.group": "1"}.items():
            with open(os.path.join(path, name), encoding="ascii") as file:
                self.assertEqual(file.read().strip(), value, name)
        hub.client().admin("start", worker="eater")
        end = hub.wait_log(r"hub.worker.exited .*worker='eater'.*")[0][0]
        self.assertIn("'killed by the kernel: out of memory'", end)
        self.assertNotIn("not in force", hub.log)
        self.assertEqual(hub.stop(), 0)
        # It is given back as it was, or nobody could be put into it again.
        self.assertEqual([name for name in os.listdir(folder) if name.startswith("prong.")], [])
        with open(os.path.join(folder, "cgroup.subtree_control"), encoding="ascii") as file:
            self.assertEqual(file.read().split(), [])

    def remove(self, folder):
        for hub in self.hubs:
            hub.stop()
        os.rmdir(folder)


if __name__ == "__main__":
    kit.main()
