"""The queue of recordings to be transcribed."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from softswitch.errors import NotNowError
from softswitch.speech import provider as speech
from softswitch.store.store import CallRecord, Recording
from softswitch.store.transcript import Transcript, decode
from softswitch.switch.transcripts import transcripts as module
from softswitch.switch.transcripts.transcripts import Transcripts
from tests.files.test_sides import stereo
from tests.switch.harness import House
from tests.switch.transcripts.test_listener import Answering


class Desk:
    """A queue with a recording of two seconds, and everything that it makes."""

    def __init__(self, house: House, folder: Path) -> None:
        self.house = house
        self.made: list[tuple[CallRecord, Transcript, str]] = []
        self.queue = Transcripts(house.resources, lambda *made: self.made.append(made))
        self.asked: list[speech.AsrOptions] = []
        self.stream: Any = None
        self.warnings: list[str] = []
        path = stereo(folder / "call.wav", "pcm_s16le")
        store, providers = cast("Any", house.resources.store), cast("Any", house.resources.providers)

        async def recording_path(name: str) -> Path | None:
            return path if name == "call.wav" else None

        async def recordings_of(call_id: str, account: str) -> list[Recording]:
            return [
                Recording(
                    name="call.wav", call_id="c", size=1, duration_ms=1, created_at=3000, container="wav"
                )
            ]

        async def open_asr(names: Any, options: speech.AsrOptions) -> Any:
            self.asked.append(options)
            self.stream = Answering("left", "right")
            return speech.Opened(self.stream, list(self.warnings), "fake")

        store.recording_path, store.records.recordings_of, providers.open_asr = (
            recording_path,
            recordings_of,
            open_asr,
        )

    async def transcript(self) -> Transcript:
        """Return what is made of all that waits."""
        task = asyncio.ensure_future(self.queue.run())
        async with asyncio.timeout(60):
            while not self.made:
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        return self.made[0][1]


def record(**more: Any) -> CallRecord:
    base: dict[str, Any] = {
        "id": "c",
        "kind": "sip",
        "created_at": 1000,
        "answered_at": 2000,
        "ended_at": 9000,
        "recording": "call.wav",
        "account": "one",
    }
    return CallRecord(**{**base, **more})


@pytest.fixture
async def desk(tmp_path: Path) -> Desk:
    return Desk(House(tmp_path), tmp_path)


async def test_recording_becomes_turns_of_both_parties_from_the_answer_on(desk: Desk) -> None:
    desk.queue.add(record(), "fr", "http://x/")
    assert desk.queue.waits("c")
    made = await desk.transcript()
    assert (made.status, made.language) == ("completed", "fr")
    assert [(turn.party, turn.text) for turn in made.turns] == [("caller", "left"), ("callee", "right")]
    assert all(turn.start_ms >= 1000 for turn in made.turns), "the recording began a second after the answer"
    [(stored, _, url)] = desk.made
    assert decode(stored.transcript_json) == made
    assert url == "http://x/"
    assert (desk.asked[0].language, desk.asked[0].account) == ("fr", "one")
    assert desk.stream.closed
    assert desk.house.resources.recognitions == 0
    assert not desk.queue.waits("c")


async def test_party_of_a_call_that_the_switch_placed_is_the_callee(desk: Desk) -> None:
    desk.queue.add(record(direction="outbound"))
    assert [turn.party for turn in (await desk.transcript()).turns] == ["callee", "caller"]


@pytest.mark.parametrize(
    ("more", "warning", "error"),
    [({"recording": "gone.wav"}, "", "gone"), ({}, "language: it knows English", "English")],
)
async def test_what_cannot_be_transcribed_has_failed(
    desk: Desk, more: dict[str, str], warning: str, error: str
) -> None:
    desk.warnings = [warning] if warning else []
    desk.queue.add(record(**more))
    made = await desk.transcript()
    assert made.status == "failed"
    assert error in made.error


async def test_failure_leaves_the_transcript_that_is_there(desk: Desk) -> None:
    before = '{"id":"old","status":"completed","made_at":1}'
    desk.queue.add(record(recording="gone.wav", transcript_json=before))
    await desk.transcript()
    assert desk.made[0][0].transcript_json == before


async def test_queue_is_bounded_by_account_and_in_all(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_OF_ACCOUNT", 1)
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    desk.queue.add(record())
    with pytest.raises(NotNowError):
        desk.queue.add(record())
    desk.queue.add(record(account="two"))
    desk.queue.ended(record(account="three"))
    assert [transcript.status for _, transcript, _ in desk.made] == ["failed"]
    assert len(desk.queue) == 2


async def test_what_waits_when_the_switch_goes_down_has_failed(desk: Desk) -> None:
    task = asyncio.ensure_future(desk.queue.run())
    await asyncio.sleep(0)
    desk.house.resources.recognitions = desk.house.resources.settings.limits.speech_streams
    desk.queue.add(record())
    desk.queue.add(record(id="d"))
    await asyncio.sleep(0.05)
    assert desk.queue.waits("c")
    task.cancel()
    await asyncio.wait([task])
    assert [(one.id, transcript.error) for one, transcript, _ in desk.made] == [
        ("c", "the switch went down"),
        ("d", "the switch went down"),
    ]
