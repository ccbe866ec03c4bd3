import numpy as np
import pytest

from softswitch.speech.answering_machine import FRAME, RATE, AnsweringMachine, Bounds, evidence

PEOPLE = """
Hello?
Yes?
Hi.
Hello, this is Anna.
John speaking.
Good morning.
Yeah, who is this?
Good morning, Smith and Partners, this is Anna speaking, how may I help you?
Hello, who's calling please?
Yes, this is he.
Good afternoon, front desk, what can I do for you?
Hold on, just a second please.
""".strip().splitlines()
MACHINES = """
Hi, you have reached John. I can't come to the phone right now.
The person you are calling is not available. Please leave a message after the tone.
You've reached the voicemail of Anna Miller.
Thank you for calling. Our office is closed.
Hello, this is Peter. Sorry I missed your call, please leave your name and number.
Your call has been forwarded to an automatic voice message system.
The number you have dialed is not in service.
We are unable to answer your call. Please record your message.
Hi! We are not home right now. Leave us a message.
To leave a message press one, or just hang up.
""".strip().splitlines()


class Line:
    """Pushes sounds frame by frame and keeps what is told."""

    def __init__(self, bounds=None):
        self.machine = AnsweringMachine(bounds)
        self.rng = np.random.default_rng(1)
        self.told = []

    def push(self, sound):
        for begin in range(0, len(sound) - FRAME + 1, FRAME):
            self.told += self.machine.push(sound[begin : begin + FRAME].astype(np.float32))

    def silence(self, seconds):
        self.push(self.rng.standard_normal(int(seconds * RATE)) * 8)

    def speech(self, seconds, level=3000):
        """Voice-like: harmonics whose loudness goes up and down with the syllables."""
        at = np.arange(int(seconds * RATE)) / RATE
        voice = sum(np.sin(2 * np.pi * 130 * k * at + k) / k for k in range(1, 20))
        self.push(level * voice * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * at)))

    def tone(self, seconds, hz=1000, level=5000):
        self.push(level * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE)) / RATE))

    def heard(self, text, index=0):
        self.told += self.machine.heard(index, text)

    def results(self):
        return [(answer.result, answer.reason) for answer in self.told]


@pytest.fixture
def line():
    return Line()


@pytest.mark.parametrize("text", PEOPLE)
def test_words_of_people(text):
    assert evidence(text) < 1.5


@pytest.mark.parametrize("text", MACHINES)
def test_words_of_machines(text):
    assert evidence(text) >= 2.0


def test_a_short_greeting_and_silence_is_a_person(line):
    line.silence(0.6)
    line.speech(0.7)
    line.silence(1.5)
    assert line.results() == [("human", "rhythm")]
    (answer,) = line.told
    assert answer.speech_s == pytest.approx(0.6, abs=0.1)
    assert answer.at_s - answer.speech_s < 3.5
    assert line.machine.over


def test_speech_that_goes_on_is_a_machine_in_time(line):
    line.silence(0.4)
    line.speech(8.0)
    assert line.results() == [("machine", "rhythm")]
    assert line.told[0].at_s - line.told[0].speech_s <= 3.5


def test_words_of_a_machine_decide_at_once(line):
    line.speech(1.5)
    line.heard("You have reached the voicemail")
    assert line.results() == [("machine", "words")]
    assert line.told[0].text == "You have reached the voicemail"


def test_a_long_greeting_of_a_person_is_told_by_its_words(line):
    line.speech(2.9)
    line.heard("Good morning, Smith and Partners, Anna speaking, how may I help you?")
    line.silence(0.6)
    assert line.results() == [("human", "words")]


def test_a_pause_after_hello_does_not_hide_a_machine(line):
    line.speech(0.6)
    line.silence(0.5)
    line.heard("Hello,")
    line.speech(1.2)
    line.heard("Hello, you have reached Anna")
    line.silence(2.0)
    assert line.results() == [("machine", "words")]


def test_utterances_add_up(line):
    line.speech(1.0)
    line.heard("Please leave", 0)
    line.heard("a message", 1)
    assert line.results() == [("machine", "words")]


@pytest.mark.parametrize("hz", [440, 850, 1000, 1400, 2000])
@pytest.mark.parametrize("seconds", [0.2, 0.5, 1.5])
def test_the_beep_is_told_right_after_its_end(line, hz, seconds):
    line.speech(5.0)
    line.silence(0.5)
    line.tone(seconds, hz)
    ended_s = 5.5 + seconds
    line.silence(1.0)
    assert line.results() == [("machine", "rhythm"), ("beep", "tone")]
    beep = line.told[1]
    assert ended_s <= beep.at_s + 0.03
    assert beep.at_s - ended_s <= 0.3
    assert beep.spoken_s == pytest.approx(seconds, abs=0.08)
    assert line.machine.over


def test_a_beep_alone_is_a_machine_and_its_beep(line):
    line.silence(1.0)
    line.tone(0.6)
    line.silence(0.5)
    assert line.results() == [("machine", "tone"), ("beep", "tone")]


def test_clicks_keys_and_long_tones_are_no_beep(line):
    line.speech(5.0)
    line.tone(0.06)
    line.silence(0.3)
    at = np.arange(RATE) / RATE
    line.push(3000 * (np.sin(2 * np.pi * 697 * at) + np.sin(2 * np.pi * 1336 * at)))
    line.silence(0.3)
    line.tone(6.0)
    line.silence(0.3)
    assert line.results() == [("machine", "rhythm")]


def test_a_beep_in_noise_is_heard(line):
    line.speech(5.0)
    at = np.arange(RATE // 2) / RATE
    line.push(4000 * np.sin(2 * np.pi * 1000 * at) + line.rng.standard_normal(len(at)) * 300)
    line.silence(0.5)
    assert ("beep", "tone") in line.results()


def test_silence_is_unknown(line):
    line.silence(6.0)
    assert line.results() == [("unknown", "silence")]
    assert line.told[0].at_s == pytest.approx(5.0, abs=0.05)
    line.speech(1.0)
    line.heard("Hello?")
    assert len(line.told) == 1


def test_bounds_are_the_callers():
    line = Line(Bounds(silence_s=1.0))
    line.silence(1.1)
    assert line.results() == [("unknown", "silence")]
    line = Line(Bounds(beep_s=2.0))
    line.speech(5.0)
    line.silence(2.0)
    assert line.machine.over
    line.tone(0.5)
    line.silence(0.5)
    assert line.results() == [("machine", "rhythm")]


def test_steady_noise_is_no_speech(line):
    line.push(line.rng.standard_normal(RATE * 6) * 60)
    assert line.results() == [("unknown", "silence")]


def test_tone_that_never_ends_is_no_beep_and_the_verdict_comes():
    machine = AnsweringMachine()
    line = 3000.0 * np.sin(2 * np.pi * 1000.0 * np.arange(RATE * 8) / RATE)
    found = [
        answer
        for begin in range(0, len(line), FRAME)
        for answer in machine.push(line[begin : begin + FRAME].astype(np.float32))
    ]
    assert [(one.result, one.reason) for one in found] == [("unknown", "time")]
    assert found[0].at_s < 5.0
    assert machine.over
