"""Two local legs that are the remote party of each other."""

from collections.abc import Callable

import pytest

from softswitch.call.interfaces import LegRequest
from softswitch.call.vocabulary.reports import LegAnswered, LegEnded, LegRejected, Report
from softswitch.legs.local.pair import LocalPair
from softswitch.media import messages as m


class Setting:
    def __init__(self) -> None:
        self.posted: list[m.Message] = []
        self.fed: list[tuple[int, bytes]] = []
        self.heard: dict[int, Callable[[bytes], None]] = {}
        self.pair = LocalPair(self, self.heard.__setitem__)
        self.told: dict[str, list[Report]] = {"near": [], "far": []}
        self.near = self.pair.near(LegRequest("a", "party", 1, 10), self.told["near"].append)
        self.far = self.pair.far(LegRequest("b", "party", 2, 20), self.told["far"].append)

    def post(self, message: m.Message) -> None:
        self.posted.append(message)

    def feed(self, port: int, data: bytes) -> None:
        self.fed.append((port, data))


@pytest.fixture
def setting() -> Setting:
    made = Setting()
    made.near.answer()
    made.far.answer()
    return made


def test_what_one_hears_the_other_says(setting):
    setting.heard[1](b"from near")
    setting.heard[2](b"from far")
    assert setting.fed == [(2, b"from near"), (1, b"from far")]


def test_answer_and_refusal_are_told_when_they_are_known(setting):
    assert setting.told == {"near": [], "far": []}
    setting.pair.near.connect()
    setting.pair.far.refuse(404, "no room")
    assert isinstance(setting.told["near"][0], LegAnswered)
    assert setting.told["far"] == [LegRejected("party", 404, "no room")]


def test_end_of_one_is_told_to_the_other_once_and_both_ports_go(setting):
    setting.near.hangup()
    assert setting.told == {"near": [], "far": [LegEnded("party", "callee", "callee")]}
    setting.far.hangup()
    setting.far.hangup()
    assert [order.port for order in setting.posted if isinstance(order, m.RemovePort)] == [1, 2]
    assert setting.told["near"] == []
    setting.heard[2](b"late")
    assert setting.fed == []


def test_digits_are_sent_as_tones(setting):
    setting.near.dtmf("5")
    assert m.SendDigits(1, "5") in setting.posted


def test_end_that_was_never_asked_for_says_nothing():
    pair = LocalPair(Setting(), lambda port, to: None)
    pair.near.answer()
    pair.near.connect()
    pair.near.refuse(404, "")
    pair.near.hangup()
