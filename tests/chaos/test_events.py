"""A subscriber that is stopped while events rush by, and then goes on: it gets each of them once and in order,
or is told exactly how many it did not get.

PRONG_CHAOS_STOP (1) says for how many seconds it is stopped."""
import select
import signal
import subprocess
import sys
import time

import chaos
import checker
import kit

PUBLISHERS = 2


class Events(chaos.Case):
    def readers(self, hub, labels):
        found = {}
        for label in labels:
            found[label] = self.start(chaos.program("reader"), hub.url, label, str(PUBLISHERS), stdout=subprocess.PIPE)
            self.assertEqual(found[label].stdout.readline(), b"ready\n")
        return found

    def publish(self, hub, seconds):
        each = int(chaos.EVENTS_A_SECOND * seconds / PUBLISHERS)
        found = [self.start(chaos.program("publisher"), hub.url, str(n), str(chaos.EVENTS_A_SECOND / PUBLISHERS),
                            str(each), stdin=subprocess.PIPE, stdout=subprocess.PIPE) for n in range(PUBLISHERS)]
        for publisher in found:
            publisher.stdin.write(b"go\n")
            publisher.stdin.flush()
        return found

    def stop_and_continue(self, events_size, stop_seconds):
        hub = self.hub("", hub=f"events_size: {events_size}", ready=False).wait_listening()
        readers = self.readers(hub, ["steady", "stopped"])
        begin = time.monotonic()
        publishers = self.publish(hub, 1.5 * stop_seconds)
        readers["stopped"].send_signal(signal.SIGSTOP)
        select.select([], [], [], stop_seconds)            # this is the stop, and nothing to wait for
        stopped = time.monotonic() - begin
        readers["stopped"].send_signal(signal.SIGCONT)
        posted, rates = {}, []
        for n, publisher in enumerate(publishers):
            count, failed, seconds = publisher.communicate(timeout=300)[0].split()
            self.assertEqual((publisher.returncode, int(failed)), (0, 0))
            posted[n] = int(count)
            rates.append(int(count) / float(seconds))
        self.assertEqual([reader.wait(60 * kit.SLOW) for reader in readers.values()], [0, 0])
        events = {label: checker.read(f"{self.dir}/{label}", checker.EVENT, checker.Event) for label in readers}
        verdict, lost = checker.check_events(events, posted)
        for label, got in events.items():
            print(f"{label}: received {len(got)} + lost {lost[label]} = {got[-1].number - got[0].number + 1} that "
                  f"passed", file=sys.stderr)
        print(f"published {sum(posted.values())} at {sum(rates):.0f} events/s, stopped for {stopped:.1f} s, ring of "
              f"{events_size}", file=sys.stderr)
        self.judge(verdict)
        return lost

    def test_a_stopped_subscriber_is_told_exactly_what_it_lost(self):
        # The ring holds less than what is published meanwhile.
        size = "8MiB" if chaos.STOP_SECONDS >= 5 else "512KiB"
        lost = self.stop_and_continue(size, chaos.STOP_SECONDS)
        self.assertGreater(lost["stopped"], 0)

    def test_a_stopped_subscriber_loses_nothing_that_the_ring_still_has(self):
        size = "256MiB" if chaos.STOP_SECONDS >= 5 else "32MiB"
        self.assertEqual(self.stop_and_continue(size, chaos.STOP_SECONDS), {"steady": 0, "stopped": 0})


if __name__ == "__main__":
    kit.main()
