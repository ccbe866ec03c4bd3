"""Keeps a certificate valid: orders it, renews it in time, and tries again after a failure."""

import asyncio
import contextlib
import logging
import random
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from softswitch.errors import SoftswitchError
from softswitch.metrics import Metrics
from softswitch.settings.acme import Acme
from softswitch.tls.folder import CertificateFolder, Standing

logger = logging.getLogger(__name__)

LOOK_S = 3600.0
"""Time between two looks at a certificate that is good, seconds."""
FIRST_PAUSE_S = 60.0
"""Pause after a failed order; it doubles up to a day. Authorities limit failed orders to a few an hour."""
LONGEST_PAUSE_S = 86_400.0
WARN_DAYS = 7.0
HOOK_S = 60.0
"""Longest time that the hook may take, seconds."""


class OrderError(SoftswitchError):
    """The authority gave no certificate."""


class Publisher(Protocol):
    """Has proofs answered where the authority asks for them; called in a thread."""

    def add(self, domain: str, token: str, proof: str) -> None:
        """Have a proof answered; raises OSError and OrderError."""

    def remove(self, domain: str, token: str, proof: str) -> None:
        """Have it answered no longer."""


class Orders(Protocol):
    """Gives certificates (`softswitch.tls.authority.Authority`)."""

    async def order(self, publisher: Publisher) -> tuple[bytes, bytes]:
        """Return a chain and its key; raises OrderError, UnavailableError and OSError."""


class ProofPublisher:
    """Puts proofs into the folder, which the listeners answer from, and calls the hook."""

    def __init__(self, folder: CertificateFolder, hook: str = "") -> None:
        """Prepare.

        Args:
            folder: Folder of the certificate.
            hook: Program that is called, too; empty: none.
        """
        self._folder, self._hook = folder, hook

    def add(self, domain: str, token: str, proof: str) -> None:
        """Have a proof answered; raises OSError and OrderError."""
        try:
            self._folder.publish(token, proof)
        except ValueError as error:
            raise OrderError(str(error)) from None
        self._call("add", domain, token, proof)

    def remove(self, domain: str, token: str, proof: str) -> None:
        """Have it answered no longer; a hook that fails is logged."""
        self._folder.withdraw(token)
        try:
            self._call("remove", domain, token, proof)
        except OrderError as error:
            logger.warning("a proof may not be withdrawn", extra={"reason": str(error)})

    def _call(self, *arguments: str) -> None:
        if not self._hook:
            return
        try:
            done = subprocess.run(  # noqa: S603 - the operator names the program; no shell reads the arguments
                (self._hook, *arguments), timeout=HOOK_S, capture_output=True, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise OrderError(f"[acme] hook: {error}") from None
        if done.returncode:
            said = done.stderr[-200:].decode(errors="replace").strip()
            raise OrderError(f"[acme] hook ended with {done.returncode}: {said}")


class Renewal:
    """Keeps one certificate valid; several processes of a machine leave it to one of them."""

    def __init__(
        self,
        settings: Acme,
        folder: CertificateFolder,
        orders: Orders,
        metrics: Metrics,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Prepare.

        Args:
            settings: Names, and when to renew.
            folder: Where the certificate is.
            orders: Gives certificates.
            metrics: Counts orders.
            clock: Tells the time.
        """
        self._settings, self._folder, self._orders, self._metrics = settings, folder, orders, metrics
        self._clock = clock
        self._publisher = ProofPublisher(folder, settings.hook)
        self._failures = 0
        self._error = ""

    def warnings(self) -> list[str]:
        """Return what an operator should hear of."""
        standing = self._folder.standing()
        if standing is None:
            return ["certificate: it cannot be read"]
        why = f" ({self._error})" if self._error else ""
        if standing.is_placeholder:
            return [f"certificate: the authority has given none yet{why}"]
        days = (standing.ends - self._clock()).total_seconds() / 86_400
        if days < min(WARN_DAYS, self._renew_before(standing).total_seconds() / 86_400):
            return [f"certificate: it ends in {max(days, 0.0):.1f} days{why}"]
        return []

    def seconds_left(self) -> float:
        """Return how long the certificate is valid yet; 0 for one that is signed by itself."""
        standing = self._folder.standing()
        if standing is None or standing.is_placeholder:
            return 0.0
        return (standing.ends - self._clock()).total_seconds()

    async def run(self, serve: Callable[[], contextlib.AbstractAsyncContextManager[None]]) -> None:
        """Renew until cancelled.

        Args:
            serve: Listens for the authority during an order; raises SoftswitchError where it cannot.
        """
        while True:
            with self._folder.alone() as alone:
                if alone:
                    await self._keep(serve)
            # Another process cares for it. It may end.
            await asyncio.sleep(FIRST_PAUSE_S)

    async def _keep(self, serve: Callable[[], contextlib.AbstractAsyncContextManager[None]]) -> None:
        while True:
            pause = await self.renew_if_due(serve)
            await asyncio.sleep(pause)

    async def renew_if_due(self, serve: Callable[[], contextlib.AbstractAsyncContextManager[None]]) -> float:
        """Renew the certificate if it is time; return the seconds until the next look."""
        if not self._is_due():
            return LOOK_S
        try:
            async with serve():
                chain, key = await self._orders.order(self._publisher)
            await asyncio.to_thread(self._folder.install, chain, key)
        except (SoftswitchError, OSError) as error:
            self._failures += 1
            self._error = str(error)
            self._metrics.certificate_orders.labels("failed").inc()
            logger.error("no certificate", extra={"reason": self._error, "failures": self._failures})
            pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self._failures - 1, 12))
            return pause * random.uniform(0.75, 1.25)  # noqa: S311 - spreads the tries of many switches
        self._failures, self._error = 0, ""
        self._metrics.certificate_orders.labels("given").inc()
        logger.info("a new certificate", extra={"names": list(self._settings.domains)})
        return LOOK_S

    def _is_due(self) -> bool:
        standing = self._folder.standing()
        if standing is None or standing.is_placeholder:
            return True
        if set(standing.names) != {domain.lower() for domain in self._settings.domains}:
            return True
        return self._clock() >= standing.ends - self._renew_before(standing)

    def _renew_before(self, standing: Standing) -> timedelta:
        """Return how long before the end a certificate is renewed."""
        return min(timedelta(days=self._settings.renew_days), (standing.ends - standing.begins) / 3)
