"""What is late of a live source, and what came before its time."""

from softswitch.media.lateness import DEADLINE_S, Lateness

RATE = 1000
"""Bytes a second: a byte is a millisecond."""
TARGET = 60
TICK = 0.02


class Queue:
    """Bytes that come as a test says and go 20 each tick."""

    def __init__(self, *, sure: bool = False, least: int | None = None) -> None:
        self.judge = Lateness(RATE, TARGET, sure=sure, least_bytes=least)
        self.now = 50.0
        self.received = self.level = 0

    def come(self, size: int) -> None:
        self.received += size
        self.level += size

    def tick(self, ticks: int = 1, *, come: int = 20) -> None:
        for _ in range(ticks):
            self.come(come)
            if self.level < 20:
                self.judge.ran_dry(self.now)
                self.level = 0
            else:
                self.judge.observe(self.now, self.received, self.level)
                self.level -= 20
            self.now += TICK

    def live(self) -> None:
        """Be on time for a second."""
        self.come(40)
        self.tick(52)


def test_source_on_time_is_never_late() -> None:
    queue = Queue()
    queue.live()
    queue.tick(500)
    assert queue.judge.late == 0


def test_stall_makes_late_what_comes_behind_it_until_a_deadline() -> None:
    queue = Queue()
    queue.live()
    queue.tick(20, come=0)
    queue.come(400)
    resumed = queue.now
    queue.tick(27)
    assert 300 <= queue.judge.late <= 380
    assert resumed + 0.5 <= queue.judge.due - DEADLINE_S <= resumed + 0.55


def test_what_was_cut_is_late_no_longer() -> None:
    queue = Queue(sure=True)
    queue.come(500)
    queue.tick(26)
    late = queue.judge.late
    queue.judge.cut(100)
    assert queue.judge.late == late - 100
    queue.judge.cut(100_000)
    assert queue.judge.late == 0


def test_first_burst_is_ahead_and_not_late() -> None:
    queue = Queue()
    queue.come(3000)
    queue.tick(100)
    assert queue.judge.late == 0


def test_burst_after_the_end_of_a_burst_is_ahead_too() -> None:
    queue = Queue()
    for size in (400, 3000, 1500):
        queue.come(size)
        queue.tick(size // 20 + 100, come=0)
        assert queue.judge.late == 0
    queue.come(2000)
    queue.tick(60)
    assert queue.judge.late == 0


def test_burst_of_a_source_that_says_it_is_live_is_late() -> None:
    queue = Queue(sure=True)
    queue.come(3000)
    queue.tick(26, come=0)
    assert queue.judge.late > 2000


def test_source_that_stops_behind_a_stall_drains_by_itself() -> None:
    queue = Queue()
    queue.live()
    queue.tick(20, come=0)
    queue.come(1000)
    queue.tick(60, come=0)
    assert queue.judge.late == 0


def test_clock_that_is_a_little_fast_is_not_taken_for_a_source_ahead() -> None:
    queue = Queue()
    queue.live()
    for _ in range(600):
        queue.tick(49)
        queue.tick(come=21)
        # Another part takes out what a foreign clock brings.
        queue.level -= 1
    queue.tick(20, come=0)
    queue.come(400)
    queue.tick(27)
    assert queue.judge.late >= 300


def test_silence_in_between_does_not_hide_a_later_stall() -> None:
    queue = Queue()
    queue.live()
    queue.tick(500, come=0)
    queue.come(40)
    queue.tick(100)
    assert queue.judge.late == 0
    queue.tick(20, come=0)
    queue.come(400)
    queue.tick(27)
    assert queue.judge.late >= 300


def test_lead_after_a_silence_is_a_lead() -> None:
    queue = Queue()
    queue.live()
    queue.tick(200, come=0)
    queue.come(300)
    queue.tick(200)
    assert queue.judge.late == 0


def test_steady_source_is_late_by_what_it_has_not_needed_for_seconds() -> None:
    queue = Queue(least=30)
    queue.live()
    queue.tick(150)
    assert queue.judge.late == 0
    queue.tick(100)
    # 60 ms are queued at every tick, 30 are enough; a frame of 20 ms is cut.
    assert queue.judge.late == 20
    queue.judge.cut(20)
    queue.level -= 20
    queue.tick(600)
    assert queue.judge.late == 0


def test_source_that_once_ran_dry_keeps_its_prebuffer() -> None:
    queue = Queue(least=30)
    queue.live()
    queue.tick(4, come=0)
    queue.come(40)
    queue.tick(600)
    assert queue.judge.late == 0


def test_audio_sent_ahead_is_not_spare() -> None:
    queue = Queue(least=30)
    queue.live()
    queue.come(300)
    queue.tick(600)
    assert queue.judge.late == 0
