"""What was understood in one call while it ran, for its record, where the settings keep it."""

import time
import uuid

from softswitch.call.vocabulary.events import AsrFinal
from softswitch.store.transcript import Party, Transcript, Turn, encode

MAX_CHARACTERS = 262_144
"""Longest transcript of a call; what is said later is left out."""


class LiveTranscript:
    """The utterances of one call."""

    def __init__(self) -> None:
        """Begin without utterances."""
        self._said: list[AsrFinal] = []
        self._room = MAX_CHARACTERS

    def add(self, said: AsrFinal) -> None:
        """Add an utterance."""
        self._room -= len(said.text)
        if said.text.strip() and self._room >= 0:
            self._said.append(said)

    def encoded(self, direction: str, answered: float | None) -> str:
        """Return the transcript as its record keeps it; empty where nothing was understood.

        Args:
            direction: inbound: the first party called; outbound: it was called.
            answered: Time of the answer, epoch seconds.
        """
        if not self._said:
            return ""
        first: Party = "caller" if direction == "inbound" else "callee"
        second: Party = "callee" if direction == "inbound" else "caller"
        begin = answered if answered is not None else self._said[0].start_time
        turns = tuple(
            Turn(
                first if one.subject.kind == "party" else second,
                max(0, round((one.start_time - begin) * 1000)),
                max(0, round((one.end_time - begin) * 1000)),
                " ".join(one.text.split()),
            )
            for one in self._said
        )
        made_at = int(time.time() * 1000)
        return encode(Transcript(id=str(uuid.uuid4()), status="completed", made_at=made_at, turns=turns))
