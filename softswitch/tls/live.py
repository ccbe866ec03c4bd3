"""TLS contexts of listeners that load a renewed certificate by themselves."""

import logging
import os
import ssl
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

LOOK_S = 1.0
"""Shortest time between two looks at the files, seconds."""


def server_context(certificate: str, key: str, clock: Callable[[], float] = time.monotonic) -> ssl.SSLContext:
    """Return a context for a listener; handshakes notice when its files have changed.

    The first handshake after a change loads the files into the context and still shows the certificate of
    before; the following ones show the new one. Files that cannot be loaded leave the present one in use.

    Args:
        certificate: File with the chain (PEM).
        key: File with its key (PEM); may be the same one.
        clock: Monotonic seconds.

    Raises:
        OSError: A file cannot be read (`ssl.SSLError` where it is wrong).
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    context.sni_callback = _Follower(context, certificate, key, clock)
    return context


class _Follower:
    """Called at each handshake, with a server name or without one."""

    def __init__(
        self, context: ssl.SSLContext, certificate: str, key: str, clock: Callable[[], float]
    ) -> None:
        self._context, self._files, self._clock = context, (certificate, key), clock
        self._state = self._look()
        self._looked = clock()

    def __call__(self, connection: object, name: str | None, context: ssl.SSLContext) -> None:
        """Load the files if they have changed."""
        now = self._clock()
        if now - self._looked < LOOK_S:
            return
        self._looked = now
        state = self._look()
        if state == self._state or state is None:
            return
        self._state = state
        try:
            self._context.load_cert_chain(*self._files)
        except OSError as error:
            logger.error("a changed certificate cannot be loaded", extra={"reason": str(error)})
        else:
            logger.info("a changed certificate is in use", extra={"file": self._files[0]})

    def _look(self) -> tuple[tuple[int, int, int], ...] | None:
        try:
            found = [os.stat(file) for file in self._files]  # noqa: PTH116 - the callback is not async
        except OSError:
            return None
        return tuple((one.st_ino, one.st_size, one.st_mtime_ns) for one in found)
