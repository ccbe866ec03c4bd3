"""Consent freshness of an ICE session (RFC 7675): a peer that answers no check for 30 s is sent nothing more.

The checks of aioice wait half a second for an answer, so that a path with a longer round trip loses its
consent, and give up after six of them, which takes up to 39 s.
"""

import asyncio
from random import Random
from typing import Any, Protocol

from aioice.ice import CandidatePair
from aioice.stun import Message, Transaction, TransactionError

CHECK_S = 5.0
"""Mean time between two checks, in seconds (section 5.1)."""
EXPIRES_S = 30.0
"""Time after the last answer at which the consent ends, in seconds (section 5.1)."""


class Session(Protocol):
    """What the checks need of their ICE session."""

    remote_password: Any

    def selected(self) -> CandidatePair | None:
        """Return the nominated pair; None without one."""

    def build_request(self, pair: CandidatePair, nominate: bool) -> Message:
        """Return a check of a pair, without integrity."""


class Consent:
    """The checks of one session."""

    def __init__(self, session: Session, random: Random) -> None:
        """Prepare; `expired` checks.

        Args:
            session: the session.
            random: spreads the checks.
        """
        self._session, self._random = session, random
        self._loop = asyncio.get_running_loop()
        self._heard = 0.0
        self._asked: set[asyncio.Task[None]] = set()

    async def expired(self) -> None:
        """Check until the consent has ended."""
        self._heard = self._loop.time()
        try:
            while (left := self._heard + EXPIRES_S - self._loop.time()) > 0:
                await asyncio.sleep(min(left, CHECK_S * self._random.uniform(0.8, 1.2)))
                pair = self._session.selected()
                if pair is not None:
                    task = self._loop.create_task(self._check(pair))
                    self._asked.add(task)
                    task.add_done_callback(self._asked.discard)
        finally:
            for task in self._asked:
                task.cancel()

    async def _check(self, pair: CandidatePair) -> None:
        """Send one check, which is never repeated: each has a transaction of its own (section 5.1)."""
        request = self._session.build_request(pair, nominate=False)
        key = str(self._session.remote_password).encode()
        request.add_message_integrity(key)
        transaction = Transaction(
            request, pair.remote_addr, pair.protocol, retransmissions=0, integrity_key=key
        )
        patience: Any = transaction
        patience._Transaction__timeout_delay = EXPIRES_S  # noqa: SLF001  (a contract of this package)
        pair.protocol.transactions[request.transaction_id] = transaction
        try:
            await transaction.run()
        except (TransactionError, OSError):
            return
        finally:
            del pair.protocol.transactions[request.transaction_id]
        self._heard = self._loop.time()
