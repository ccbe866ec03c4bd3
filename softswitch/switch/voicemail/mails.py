"""Sends messages of voicemail to users by e-mail, again until the server has taken them.

Which ones wait is in the database, so that a restart goes on with them. A message is sent by the machine that
has its recording. It may come twice where a process ends between the server's answer and its note of it: both
have the same Message-ID.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from softswitch.egress import EgressFailed
from softswitch.egress.smtp import MailError, send_mail
from softswitch.errors import UnavailableError
from softswitch.metrics import Reading
from softswitch.settings import User
from softswitch.store.store import WaitingMail
from softswitch.switch.own_work import OwnWork
from softswitch.switch.resources import Resources
from softswitch.switch.rounds import Rounds
from softswitch.switch.voicemail.letter import MOST_ATTACHED, letter
from softswitch.switch.voicemail.mailboxes import Mailboxes, VoiceMessage

logger = logging.getLogger(__name__)

LOOK_S = 60.0
"""Longest time between two looks for mail that waits, seconds."""
PAGE = 100
"""Mails that are read from the database at once."""
LEFT_S = 900.0
"""Time after which the mail of another process is sent here, if it is still waiting, seconds."""
MOST_AGE_S = 3 * 86_400.0
"""Time after which a mail is given up, seconds (RFC 5321 section 4.5.4.1 has four to five days)."""


class Mails:
    """The e-mail of one process."""

    def __init__(
        self,
        resources: Resources,
        mailboxes: Mailboxes,
        *,
        alone: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare.

        Args:
            resources: Settings, store and egress client.
            mailboxes: Have the messages.
            alone: No other process shares the database.
            clock: Epoch seconds.
        """
        self._resources, self._mailboxes, self._alone, self._clock = resources, mailboxes, alone, clock
        self._counts: Counter[str] = Counter()
        self._own = OwnWork()
        """Calls whose mail is sent by this process."""
        self._waiting = 0
        self._rounds = Rounds()
        self._executor: ThreadPoolExecutor | None = None

    def add(self, message: VoiceMessage) -> None:
        """Have a message sent to its user, if the settings name a server and an address."""
        if not self._resources.settings.mail.server or not self._address(message.user):
            return
        self._own.add(message.id)
        now_ms = self._now_ms()
        mail = WaitingMail(call_id=message.id, mailbox=message.user, created_at=now_ms, tried_at=now_ms)
        stored = self._resources.store.save_mail(mail)
        stored.add_done_callback(lambda _: self._rounds.wake())

    def waits(self, call_id: str) -> bool:
        """Return whether the recording of a call is still needed."""
        return call_id in self._own

    def warnings(self) -> list[str]:
        """Return what an operator should hear of."""
        return self._rounds.warnings("mail")

    def figures(self) -> Iterator[Reading]:
        """Yield the figures for /metrics."""
        for name in ("sent", "retried", "failed"):
            yield Reading(f"voicemail_mails_{name}", self._counts[name])
        yield Reading("voicemail_mails_waiting", self._waiting, "gauge")

    async def run(self) -> None:
        """Send until cancelled."""
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="mail")
        try:
            await self._rounds.run(self.send_waiting)
        finally:
            executor, self._executor = self._executor, None
            executor.shutdown(wait=False, cancel_futures=True)

    async def send_waiting(self) -> float:
        """Send what waits, up to the first failure; return the seconds until the next round."""
        try:
            page = await self._resources.store.records.waiting_mails(PAGE)
            self._waiting = len(page)
            for mail in page:
                if self._alone or mail.call_id in self._own or self._age_s(mail.tried_at) >= LEFT_S:
                    await self._send(mail)
        except UnavailableError as error:
            return self._rounds.failed(f"the database cannot be read: {error}")
        except MailError as error:
            # /readyz is open to all: what the server says may hold addresses.
            answer = f"the mail server answered {error.status}" if error.status else str(error)
            return self._rounds.failed(answer)
        except EgressFailed as error:
            return self._rounds.failed(str(error))
        self._rounds.succeeded()
        return LOOK_S

    # --- inside -------------------------------------------------------------------------

    async def _send(self, mail: WaitingMail) -> None:
        settings = self._resources.settings
        address = self._address(mail.mailbox)
        message = await self._mailboxes.get(mail.mailbox, mail.call_id, None)
        path = await self._mailboxes.path(message) if message is not None else None
        if message is None or path is None or not address or not settings.mail.server:
            # Deleted, or of another machine, which has its file: there it is sent.
            if self._alone or mail.call_id in self._own or self._age_s(mail.created_at) > MOST_AGE_S:
                await self._drop(mail)
            return
        recipient, executor = address, self._executor
        if executor is None:
            return
        try:
            body = await self._letter(message, path, recipient)
            await send_mail(self._resources.egress, settings.mail, recipient, body, executor)
        except FileNotFoundError:
            await self._drop(mail)
            return
        except EgressFailed as error:
            await self._not_taken(mail, error)
            return
        self._counts["sent"] += 1
        await self._drop(mail)

    async def _letter(self, message: VoiceMessage, path: Path, recipient: str) -> bytes:
        settings = self._resources.settings
        sound = None
        if settings.voicemail.mail == "attachment":
            sound = await asyncio.to_thread(_read, path)
        return letter(
            message,
            sender=settings.mail.sender,
            recipient=recipient,
            sound=sound,
            page=settings.voicemail.page,
            now_ms=self._now_ms(),
        )

    async def _not_taken(self, mail: WaitingMail, error: EgressFailed) -> None:
        """Give a mail up, or have it tried again later; raises the error in the latter case."""
        final = isinstance(error, MailError) and error.final
        if final or self._age_s(mail.created_at) > MOST_AGE_S:
            self._counts["failed"] += 1
            logger.error("a voice message is not sent", extra={"call": mail.call_id, "reason": str(error)})
            await self._drop(mail)
            return
        self._counts["retried"] += 1
        logger.warning("a voice message is not sent yet", extra={"call": mail.call_id, "reason": str(error)})
        self._own.add(mail.call_id)
        await self._resources.store.save_mail(msgspec.structs.replace(mail, tried_at=self._now_ms()))
        raise error

    async def _drop(self, mail: WaitingMail) -> None:
        self._own.remove(mail.call_id)
        self._waiting = max(0, self._waiting - 1)
        await self._resources.store.delete_mail(mail.call_id)

    def _address(self, name: str) -> str:
        users: tuple[User, ...] = self._resources.settings.user
        return next((user.email for user in users if user.name == name), "")

    def _age_s(self, at_ms: int) -> float:
        return self._clock() - at_ms / 1000

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def _read(path: Path) -> bytes | None:
    """Return a file, None where it is too large for an e-mail."""
    return path.read_bytes() if path.stat().st_size <= MOST_ATTACHED else None
