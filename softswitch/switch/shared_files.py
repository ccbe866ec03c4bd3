"""Files being played: each distinct one is in memory once, and counted in `Memory`."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from softswitch.egress import Asker
from softswitch.switch.memory import Hold, Memory

LEAST = 65_536
"""Bytes below which a file is not worth sharing."""

Load = Callable[[Callable[[int], None]], Awaitable[tuple[bytes, str, str]]]
"""Load a file: body, name, content type. The argument reserves bytes; it is called before they are read."""


class File:
    """A file in memory, with the hints to its format."""

    __slots__ = ("_hold", "_users", "body", "content_type", "digest", "name")

    def __init__(self, body: bytes, digest: bytes, name: str, content_type: str, hold: Hold) -> None:
        self.body, self.digest = body, digest
        self.name, self.content_type = name, content_type
        self._hold = hold
        self._users: list[Asker] = []

    def add(self, user: Asker) -> None:
        """Add a user."""
        self._users.append(user)

    def remove(self, user: Asker) -> bool:
        """Remove a user; return whether it was the last. One of the others is charged from now on."""
        self._users.remove(user)
        if self._users:
            self._hold.move(self._users[0].account, self._users[0].call)
            return False
        self._hold.release()
        return True


class _Loading:
    """A file that is being loaded for one or more playbacks of an account."""

    def __init__(self, task: "asyncio.Task[File]") -> None:
        self.task = task
        self.waiting = 0


class SharedFiles:
    """Files by their contents. All methods run on the loop."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._loading: dict[tuple[str, str], _Loading] = {}
        self._files: dict[tuple[bytes, str, str], File] = {}
        self.shared = 0
        """Playbacks that use a file which was in memory already, or was being loaded."""

    def __len__(self) -> int:
        """Return the number of files in memory."""
        return len(self._files)

    @asynccontextmanager
    async def open(self, url: str, asker: Asker, load: Load) -> AsyncIterator[File]:
        """Load a file and keep it in memory for the time of the context.

        Playbacks of one account that want a URL while it is being loaded wait for the same request. A later
        one makes a request of its own, since the file may have changed, and shares the memory if it has not.

        Args:
            url: URL or name.
            asker: account and call of the playback.
            load: loads the file.

        Raises:
            MemoryFullError: The file would exceed a bound.
            Exception: Loading failed.
        """
        file = await self._load(url, asker, load)
        try:
            yield file
        finally:
            if file.remove(asker):
                self._files.pop((file.digest, file.name, file.content_type), None)

    async def _load(self, url: str, asker: Asker, load: Load) -> File:
        key = (asker.account, url)
        loading = self._loading.get(key)
        if loading is None:
            task = asyncio.get_running_loop().create_task(
                self._complete(key, asker, load), name="load a file"
            )
            task.add_done_callback(_retrieve)
            loading = self._loading[key] = _Loading(task)
        else:
            self.shared += 1
        loading.waiting += 1
        try:
            file = await asyncio.shield(loading.task)
        except BaseException:
            loading.waiting -= 1
            if not loading.waiting:
                self._abandon(key, loading)
            raise
        # The task ends in the turn of the loop before this one: it keeps the file for those that wait.
        file.add(asker)
        loading.waiting -= 1
        if not loading.waiting:
            file.remove(_LOADER)
        return file

    def _abandon(self, key: tuple[str, str], loading: _Loading) -> None:
        """Stop loading a file that no playback waits for any more."""
        if self._loading.get(key) is loading:
            del self._loading[key]
        if not loading.task.done():
            loading.task.cancel()
        elif not loading.task.cancelled() and loading.task.exception() is None:
            file = loading.task.result()
            if file.remove(_LOADER):
                self._files.pop((file.digest, file.name, file.content_type), None)

    async def _complete(self, key: tuple[str, str], asker: Asker, load: Load) -> File:
        hold = self._memory.hold(asker.account, asker.call)
        try:
            body, name, content_type = await load(hold.grow)
            digest = await asyncio.get_running_loop().run_in_executor(None, _digest, body)
            known = self._files.get((digest, name, content_type))
            if known is not None:
                self.shared += 1
                hold.release()
                file = known
            else:
                file = File(body, digest, name, content_type, hold)
                if len(body) >= LEAST:
                    self._files[digest, name, content_type] = file
        except BaseException:
            hold.release()
            raise
        finally:
            self._loading.pop(key, None)
        file.add(_LOADER)
        return file


_LOADER = Asker("", "")
"""User of a file between its loading and the playbacks that wait for it."""


def _retrieve(task: "asyncio.Task[File]") -> None:
    """Mark an exception as seen: the playbacks that wait raise it, and there may be none left."""
    if not task.cancelled():
        task.exception()


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()
