"""Tones of the network on the legs that are not answered yet: their audio goes in, tones come as reports."""

import time
from collections.abc import Callable

from softswitch.audio import pcm as pcm16
from softswitch.call.vocabulary import reports
from softswitch.media import messages as m
from softswitch.speech.progress_tones import RATE, TICK_S, ProgressTones
from softswitch.switch.resources import Resources


class ToneDetection:
    """Listens to the early media of the legs of one call."""

    def __init__(self, resources: Resources) -> None:
        """Begin without legs, with the engine and identifiers of the switch."""
        self._resources = resources
        self._taps: dict[str, int] = {}

    def begin(self, leg: str, port: int, report: Callable[[reports.Report], None]) -> None:
        """Listen to a leg, unless that is done already: each provisional response may ask for it.

        Args:
            leg: Name of the leg.
            port: Its port in the engine.
            report: Takes reports to the call. It is kept only while the leg is listened to, so that an ended
                call is freed without the garbage collector.
        """
        if leg in self._taps:
            return
        resources, tones, began = self._resources, ProgressTones(), time.monotonic()
        tap = self._taps[leg] = next(resources.ids)
        frames = 0

        def hear(frame: bytes) -> None:
            nonlocal frames
            frames += 1
            tone = tones.push(pcm16.from_bytes(frame))
            if tone is not None:
                at = began + frames * TICK_S
                report(reports.ToneHeard(leg, tone.kind, tone.frequencies, at))

        resources.routes.frames(tap, hear)
        resources.engine.post(m.AddTap(tap, port, "inbound", RATE))

    def end(self, leg: str) -> None:
        """Listen to a leg no longer."""
        tap = self._taps.pop(leg, None)
        if tap is not None:
            self._resources.engine.post(m.RemoveTap(tap))
            self._resources.routes.remove(tap)

    def release(self) -> None:
        """Listen to nothing any longer."""
        for leg in list(self._taps):
            self.end(leg)
