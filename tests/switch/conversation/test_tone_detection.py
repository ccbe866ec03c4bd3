"""Early media of a leg on its way to the detector of tones, and back as reports."""

from pathlib import Path

from softswitch.audio import pcm as pcm16
from softswitch.audio.tone import BUSY_US
from softswitch.call.vocabulary import reports as r
from softswitch.media import messages as m
from softswitch.speech.progress_tones import RATE
from softswitch.switch.conversation.tone_detection import ToneDetection
from tests.switch.harness import House


async def test_busy_tone_is_reported_once_until_the_leg_is_answered(tmp_path: Path) -> None:
    house = House(tmp_path)
    found: list[r.Report] = []
    detection = ToneDetection(house.resources)
    detection.begin("party", 5, found.append)
    detection.begin("party", 5, found.append)
    (added,) = house.engine.told(m.AddTap)
    assert (added.port, added.direction, added.sample_rate) == (5, "inbound", RATE)
    data = pcm16.to_bytes(BUSY_US.render(0, 4 * RATE, RATE))
    frames = [(added.tap, data[begin : begin + 640]) for begin in range(0, len(data), 640)]
    house.resources.routes.deliver(m.Output(frames=frames))
    (report,) = found
    assert isinstance(report, r.ToneHeard)
    assert (report.leg, report.tone) == ("party", "busy")
    detection.end("party")
    detection.release()
    assert [removed.tap for removed in house.engine.told(m.RemoveTap)] == [added.tap]
    house.resources.routes.deliver(m.Output(frames=frames))
    assert len(found) == 1
