"""The keys of one leg: digits sent by events, by INFO or as tones, and digits that come by INFO."""

import asyncio
import weakref

from softswitch.call.reports import DigitReceived
from softswitch.endpoints.sip.dtmf_info import TYPES, read_digit, write_digit
from softswitch.endpoints.sip.leg_shared import LegCore
from softswitch.sip.happenings import InfoReceived

GAP_S = 0.25
"""Pause between two digits sent by INFO: a far end plays each of them."""
MAX_WAITING = 64
"""Digits that may wait for their INFO."""


class Keys:
    """Sends and takes digits."""

    def __init__(self, leg: LegCore) -> None:
        """Begin with none."""
        self._leg: LegCore = weakref.proxy(leg)
        self._waiting: list[str] = []
        self._task: asyncio.Task[None] | None = None

    def send(self, digits: str) -> None:
        """Send digits: as RFC 4733 events where the far end takes them, else by INFO, else as tones."""
        media, agent = self._leg.media, self._leg.shared.driver.agent
        if media is None or self._leg.over or media.dtmf(digits):
            return
        if not agent.allows(self._leg.session, "INFO"):
            media.tones(digits)
            return
        if len(self._waiting) + len(digits) > MAX_WAITING:
            self._leg.warn("dtmf", "too many digits are waiting", 429)
            return
        self._waiting += digits.upper()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._work_off(), name="sip digits")

    def take(self, received: InfoReceived) -> None:
        """Report a digit that came by INFO."""
        if digit := read_digit(received.body, received.content_type):
            self._leg.tell(DigitReceived(self._leg.request.leg, *digit, method="info"))

    def stop(self) -> None:
        """Send nothing any more."""
        if self._task is not None:
            self._task.cancel()

    async def _work_off(self) -> None:
        driver = self._leg.shared.driver
        while self._waiting:
            digit = self._waiting.pop(0)
            if not driver.agent.info(self._leg.session, write_digit(digit), TYPES[0], driver.now()):
                self._waiting.clear()
                self._leg.warn("dtmf", "the far end takes no digits now", 409)
                return
            driver.pump()
            await asyncio.sleep(GAP_S)
