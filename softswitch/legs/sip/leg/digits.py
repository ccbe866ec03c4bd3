"""DTMF digits of one SIP leg: sent as RFC 4733 events, by INFO or as tones; received by INFO."""

import asyncio
import time
import weakref

from softswitch.call.vocabulary.reports import DigitReceived
from softswitch.legs.sip.leg.dtmf_info import TYPES, read_digit, write_digit
from softswitch.legs.sip.leg.leg_shared import LegCore
from softswitch.log.tasks import Tasks
from softswitch.rtp.telephone_event import PAUSE, PAUSE_MS
from softswitch.sip.events import InfoReceived

GAP_S = 0.25
"""Pause between two digits sent by INFO, in seconds: the peer plays each of them."""
MAX_WAITING = 64
"""Digits that may wait for their INFO."""


class Digits:
    """Sender and receiver of one leg's digits."""

    def __init__(self, leg: LegCore) -> None:
        """Prepare without digits; `leg` is referenced weakly."""
        self._leg: LegCore = weakref.proxy(leg)
        self._waiting: list[str] = []
        self._tasks = Tasks("legs", "sip digits")

    def send(self, digits: str) -> None:
        """Send digits: as RFC 4733 events where the peer supports them, else by INFO, else as tones."""
        media, agent = self._leg.media, self._leg.shared.driver.agent
        if media is None or self._leg.is_over or media.send_digits(digits):
            return
        if not agent.allows(self._leg.session, "INFO"):
            media.send_tones(digits)
            return
        if len(self._waiting) + len(digits) > MAX_WAITING:
            self._leg.warn("dtmf", f"digits: more than {MAX_WAITING} wait to be sent", 429)
            return
        self._waiting += digits.upper()
        if not len(self._tasks):
            self._tasks.spawn(self._send_waiting(), name="sip digits", call=self._leg.request.call)

    def on_info(self, received: InfoReceived) -> None:
        """Report the digit of an INFO request, if it carries one."""
        if digit := read_digit(received.body, received.content_type):
            now = time.monotonic()
            self._leg.report(DigitReceived(self._leg.request.leg, now, *digit, method="info"))

    def stop(self) -> None:
        """Drop the digits that wait."""
        self._tasks.cancel()

    async def _send_waiting(self) -> None:
        driver = self._leg.shared.driver
        while self._waiting:
            digit = self._waiting.pop(0)
            if digit == PAUSE:
                await asyncio.sleep(PAUSE_MS / 1000)
                continue
            if not driver.agent.info(self._leg.session, write_digit(digit), TYPES[0], driver.now()):
                self._waiting.clear()
                self._leg.warn("dtmf", "digits: the dialog takes no INFO request now", 409)
                return
            driver.pump()
            await asyncio.sleep(GAP_S)
