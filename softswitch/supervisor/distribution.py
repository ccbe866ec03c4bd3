"""Choice of the worker for a SIP message, from its octets (pure).

A worker puts its mark at the front of every branch and tag that it makes. Responses to its requests carry the
mark in the topmost Via, requests within its dialogs in the To tag, and an INVITE that replaces one of its
dialogs in ``Replaces``. Any other request goes to the worker that had its Call-ID before, else to a new one.
"""

import re
import zlib
from collections import OrderedDict
from collections.abc import Callable, Collection

KEPT_S = 600.0
"""Longest time for which a Call-ID is remembered, in seconds."""
AFTER_FINAL_S = 32.0
"""Time after a final response in which copies of the request, its ACK or a second try with credentials may
come: 64 * T1 (RFC 3261 section 17), in seconds."""
MOST_CALLS = 200_000
"""Call-IDs that are remembered; the oldest is dropped first."""
MOST_HEIRS = 1024
"""Lost workers whose heirs are remembered."""
MOST_HEAD = 16_384
"""Octets of a message in which the choice looks for headers."""

_VIA_MARK = re.compile(rb"branch=z9hG4bKs([0-9a-f]{4})")
_TO_MARK = re.compile(rb"\n(?:to|t)[ \t]*:[^\n]*;[ \t]*tag=s([0-9a-f]{4})", re.IGNORECASE)
_REPLACES_MARK = re.compile(rb"\nreplaces[ \t]*:[^\n]*-tag=s([0-9a-f]{4})", re.IGNORECASE)
_CALL_ID = re.compile(rb"\n(?:call-id|i)[ \t]*:[ \t]*([^\r\n]{1,256})", re.IGNORECASE)


class Distribution:
    """Remembers which worker has which Call-ID, and chooses workers."""

    def __init__(self, least_loaded: Callable[[], int], ready: Callable[[], Collection[int]]) -> None:
        """Start without calls.

        Args:
            least_loaded: Returns the ready worker with the least load, and counts one more call for it; 0
                where no worker is ready.
            ready: Returns the numbers of the workers that take new requests.
        """
        self._least_loaded = least_loaded
        self._ready = ready
        self._calls: OrderedDict[bytes, tuple[int, float]] = OrderedDict()
        self._heirs: OrderedDict[int, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._calls)

    def inherit(self, lost: int, heir: int) -> None:
        """Send the messages for a lost worker to the one that ends its calls."""
        self._heirs[lost] = heir
        if len(self._heirs) > MOST_HEIRS:
            self._heirs.popitem(last=False)

    def choose(self, data: bytes, live: Collection[int], now: float) -> int:
        """Return the number of the worker for a message; 0 where no worker can have it.

        Args:
            data: The message.
            live: Numbers of the workers that run, also of those that take nothing new.
            now: Monotonic seconds.
        """
        head = data if len(data) <= MOST_HEAD else data[:MOST_HEAD]
        if head.startswith(b"SIP/2.0 "):
            found = _VIA_MARK.search(head)
            return self._marked(int(found[1], 16), live) if found is not None else 0
        found = _TO_MARK.search(head)
        if found is not None and (number := self._marked(int(found[1], 16), live)):
            return number
        call = _CALL_ID.search(head)
        call_id = call[1].strip() if call is not None else b""
        known = self._calls.get(call_id)
        if known is not None and known[1] > now and known[0] in live:
            return known[0]
        if head.startswith(b"INVITE "):
            found = _REPLACES_MARK.search(head)
            if found is not None and (number := self._marked(int(found[1], 16), live)):
                return self._remember(call_id, number, now)
            return self._remember(call_id, self._least_loaded(), now)
        # The phone behind a Call-ID meets one worker always, so that the nonces it uses are known there.
        return self._remember(call_id, self._steady(call_id), now)

    def sent(self, data: bytes, now: float) -> None:
        """Note a message that a worker sends: after a final response its Call-ID is forgotten soon."""
        if data[8:9] in (b"2", b"3", b"4", b"5", b"6") and data.startswith(b"SIP/2.0 "):
            call = _CALL_ID.search(data, 0, MOST_HEAD)
            if call is not None and (known := self._calls.get(call[1].strip())) is not None:
                self._calls[call[1].strip()] = known[0], min(known[1], now + AFTER_FINAL_S)

    def sweep(self, now: float) -> None:
        """Forget the Call-IDs that are due; a call every few seconds is enough."""
        for call_id in [call_id for call_id, (_, until) in self._calls.items() if until <= now]:
            del self._calls[call_id]

    def _marked(self, number: int, live: Collection[int]) -> int:
        """Return the worker for a mark: its own, or the heir of one that is lost; 0: none."""
        if number in live:
            return number
        heir = self._heirs.get(number, 0)
        return heir if heir in live else 0

    def _remember(self, call_id: bytes, worker: int, now: float) -> int:
        if worker and call_id:
            self._calls[call_id] = worker, now + KEPT_S
            if len(self._calls) > MOST_CALLS:
                self._calls.popitem(last=False)
        return worker

    def _steady(self, call_id: bytes) -> int:
        """Return the ready worker with the highest hash: another worker changes only its own share."""
        return max(self._ready(), key=lambda number: zlib.crc32(b"%d " % number + call_id), default=0)
