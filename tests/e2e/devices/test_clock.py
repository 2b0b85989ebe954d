"""timer and cron."""
import time

import kit

PERIOD_MS = 20


class Timer(kit.Case):
    def test_ticks_are_numbered_and_none_comes_before_its_time(self):
        before = time.monotonic_ns()
        self.devices(f"t: {{kind: timer, every: {PERIOD_MS}ms}}")
        ticks = self.first("t.tick", 30)
        number = 0
        for tick in ticks:
            number += 1 + tick["skipped"]
            self.assertEqual(tick["value"], number)
            # However late the ones before were: number N is due N periods after the start.
            self.assertGreaterEqual(tick["mono_ns"], before + number * PERIOD_MS * 1000000)

    def test_what_comes_due_during_a_pause_is_counted_and_told_with_the_next_tick(self):
        self.devices(f"t: {{kind: timer, every: {PERIOD_MS}ms}}")
        self.call("t.pause")
        paused = self.stats("t")
        later = self.until_stats("t", lambda s: s["ticks"] >= paused["ticks"] + 3, "ticks during a pause")
        self.assertEqual(later["frames"], paused["frames"])
        self.call("t.resume")
        ticks = self.first("t.tick", paused["frames"] + 1)
        self.assertGreaterEqual(ticks[-1]["skipped"], 3)
        self.assertEqual(ticks[-1]["value"], sum(1 + t["skipped"] for t in ticks))


class Cron(kit.Case):
    def test_the_next_time_is_known_and_kept(self):
        self.devices('every: {kind: cron, schedule: "* * * * *"}',
                     'dec: {kind: cron, schedule: "30 4 24 dec *"}')
        now = time.time()
        following = self.stats("every")["next_us"]
        self.assertEqual(following % 60000000, 0)
        self.assertGreater(following, now * 1000000 - 60000000)
        self.assertLessEqual(following, time.time() * 1000000 + 60000000)
        due = time.gmtime(self.stats("dec")["next_us"] // 1000000)       # the test's zone is UTC
        self.assertEqual(due[1:6], (12, 24, 4, 30, 0))
        # The tick itself is waited for when that takes no more than a few seconds.
        if following / 1000000 - time.time() < 12:
            tick = self.first("every.tick", 1)[0]
            self.assertEqual((tick["due_us"], tick["value"]), (following, 1))
            self.assertGreaterEqual(tick["time_us"], following)
            self.assertGreater(self.stats("every")["next_us"], following)


if __name__ == "__main__":
    kit.main()
