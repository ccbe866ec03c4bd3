"""Resolver of host names for all outgoing connections: no threads, a deadline, limits per account and call.

The egress client, SIP and ICE use it. A name server that does not respond delays only the accounts that use
its names (docs/adr/0017).
"""

import asyncio
import ipaddress
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Generic, Protocol, TypeVar

from softswitch.egress.hosts import HostsFile
from softswitch.egress.lookup import LOOKUP_S, Addresses, DnsLookup, Services, UnresolvedError

PER_CALL = 4
"""Simultaneous DNS queries of one call; further ones wait."""
PER_ACCOUNT = 16
"""Simultaneous DNS queries of one account; further ones wait."""
AT_ONCE = 256
"""Simultaneous DNS queries in all, with two sockets each; further ones fail at once."""
MAX_NAMES = 4096
"""Responses remembered; the oldest is dropped for a new one."""
MIN_TTL_S = 1.0
MAX_TTL_S = 300.0

_LOCALHOST = ("127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Asker:
    """Account and call that a name is resolved for."""

    account: str = ""
    """Account of the call; "" for names in the settings."""
    call: str = ""
    """Id of the call, "" for none."""


SWITCH = Asker()
"""The switch itself, for names in the settings."""


class Lookup(Protocol):
    """Interface of a DNS client; a name without such records gives an empty result."""

    async def addresses(self, name: str) -> Addresses:
        """Return the addresses of a name."""

    async def services(self, name: str) -> Services:
        """Return the SRV records of a name."""


@dataclass(slots=True)
class Counters:
    """Counts of name resolutions by result."""

    asked: int = 0
    """DNS queries sent."""
    remembered: int = 0
    """Names answered from memory."""
    unanswered: int = 0
    """Names without a DNS response in time."""
    refused: int = 0
    """Names refused because too many queries were under way."""


Answer = TypeVar("Answer", Addresses, Services)


class _TooManyError(UnresolvedError):
    """Too many queries are under way."""


class _Question(Generic[Answer]):
    """A query under way, shared by its waiters and cancelled when the last of them is."""

    def __init__(
        self, work: Coroutine[Any, Any, Answer], give_up: Callable[["_Question[Answer]"], None]
    ) -> None:
        self.task: asyncio.Task[Answer] = asyncio.get_running_loop().create_task(work, name="dns")
        self._give_up: Callable[[_Question[Answer]], None] = give_up
        self._waiting = 0

    async def answer(self) -> Answer:
        self._waiting += 1
        try:
            # Awaiting the task itself would cancel it, for all waiters, when one of them is cancelled.
            await asyncio.wait([self.task])
            return self.task.result()
        finally:
            self._waiting -= 1
            if not self._waiting and not self.task.done():
                self._give_up(self)


class _Turns:
    """Semaphores by key, which exist only while they are used."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._gates: dict[Hashable, asyncio.Semaphore] = {}
        self._users: Counter[Hashable] = Counter()

    def __len__(self) -> int:
        return len(self._gates)

    @asynccontextmanager
    async def turn(self, key: Hashable) -> AsyncIterator[None]:
        gate = self._gates.setdefault(key, asyncio.Semaphore(self._most))
        self._users[key] += 1
        try:
            async with gate:
                yield
        finally:
            self._users[key] -= 1
            if not self._users[key]:
                del self._users[key], self._gates[key]


class Names:
    """Resolver with memory; simultaneous requests for one name share a query."""

    def __init__(
        self,
        lookup: Lookup | None = None,
        hosts: HostsFile | None = None,
        *,
        deadline_s: float = LOOKUP_S,
        per_call: int = PER_CALL,
        per_account: int = PER_ACCOUNT,
        at_once: int = AT_ONCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create a resolver.

        Args:
            lookup: DNS client.
            hosts: hosts file, read before DNS.
            deadline_s: longest time for one name, waiting for a turn included, in seconds.
            per_call: simultaneous queries of one call.
            per_account: simultaneous queries of one account.
            at_once: simultaneous queries in all.
            clock: monotonic seconds.
        """
        self._lookup = lookup or DnsLookup(deadline_s)
        self._hosts = hosts or HostsFile()
        self._deadline_s = deadline_s
        self._at_once = at_once
        self._clock = clock
        self._calls = _Turns(per_call)
        self._accounts = _Turns(per_account)
        self._addresses: _Table[Addresses] = _Table(clock)
        self._services: _Table[Services] = _Table(clock)
        self.counters = Counters()

    async def __call__(self, host: str, asker: Asker = SWITCH) -> tuple[str, ...]:
        """Return the addresses of a host, IPv4 first; an address is returned as it is.

        Raises:
            UnresolvedError: The name has no address, or DNS does not respond in time.
        """
        if is_address(host):
            return (host,)
        found = (await self.addresses(host, asker)).found
        if not found:
            raise UnresolvedError(f"{host}: DNS knows no address of this name")
        return found

    async def addresses(self, name: str, asker: Asker = SWITCH) -> Addresses:
        """Return the addresses of a name, from the hosts file or from DNS.

        Raises:
            UnresolvedError: DNS does not respond in time.
        """
        if known := self._hosts.addresses(name):
            return Addresses(known)
        plain = name.lower().rstrip(".")
        if plain == "localhost" or plain.endswith(".localhost"):
            return Addresses(_LOCALHOST)  # RFC 6761 section 6.3: DNS is never asked
        return await self._find(self._addresses, name, self._lookup.addresses, asker)

    async def services(self, name: str, asker: Asker = SWITCH) -> Services:
        """Return the SRV records of a name.

        Raises:
            UnresolvedError: DNS does not respond in time.
        """
        return await self._find(self._services, name, self._lookup.services, asker)

    @property
    def asking(self) -> int:
        """Number of DNS queries under way."""
        return len(self._addresses.running) + len(self._services.running)

    @property
    def parties(self) -> int:
        """Number of accounts and calls with a query under way or waiting."""
        return len(self._accounts) + len(self._calls)

    async def _find(
        self,
        table: "_Table[Answer]",
        name: str,
        ask: Callable[[str], Coroutine[Any, Any, Answer]],
        asker: Asker,
    ) -> Answer:
        key = name.lower()
        if (kept := table.kept(key)) is not None:
            self.counters.remembered += 1
            return kept
        try:
            async with asyncio.timeout(self._deadline_s):
                return await self._ask(table, key, ask, asker)
        except TimeoutError as error:
            self.counters.unanswered += 1
            raise UnresolvedError(f"{name}: DNS gives no answer within {self._deadline_s:g} s") from error
        except _TooManyError:
            self.counters.refused += 1
            raise
        except UnresolvedError:
            self.counters.unanswered += 1
            raise

    async def _ask(
        self,
        table: "_Table[Answer]",
        key: str,
        ask: Callable[[str], Coroutine[Any, Any, Answer]],
        asker: Asker,
    ) -> Answer:
        if question := table.running.get(key):
            return await question.answer()
        async with self._turn(asker):
            # Another call may have asked for the same name meanwhile.
            if (kept := table.kept(key)) is not None:
                self.counters.remembered += 1
                return kept
            question = table.running.get(key)
            if question is None:
                if self.asking >= self._at_once:
                    raise _TooManyError(f"{key}: too many names are being looked up; try again later")
                self.counters.asked += 1
                question = table.begin(key, ask(key))
            return await question.answer()

    @asynccontextmanager
    async def _turn(self, asker: Asker) -> AsyncIterator[None]:
        # Without API keys, all calls have the account "": the switch's own queries must not wait for them.
        account = asker.account, bool(asker.call)
        async with AsyncExitStack() as stack:
            # The call's semaphore comes first, so that a waiting call holds no permit of its account.
            if asker.call:
                await stack.enter_async_context(self._calls.turn((asker.account, asker.call)))
            await stack.enter_async_context(self._accounts.turn(account))
            yield


class _Table(Generic[Answer]):
    """Responses of one record type, and the queries under way."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.running: dict[str, _Question[Answer]] = {}
        self._clock = clock
        self._kept: dict[str, tuple[float, Answer]] = {}

    def kept(self, key: str) -> Answer | None:
        """Return an unexpired response with its remaining lifetime, else None."""
        found = self._kept.get(key)
        if found is None:
            return None
        left_s = found[0] - self._clock()
        if left_s <= 0:
            del self._kept[key]
            return None
        return replace(found[1], ttl_s=left_s)

    def begin(self, key: str, work: Coroutine[Any, Any, Answer]) -> _Question[Answer]:
        """Start a query; remember its response."""

        def give_up(question: _Question[Answer]) -> None:
            # Removed before it is cancelled, so that a new request does not wait for a query that ends.
            self._forget(key, question)
            question.task.cancel()

        question = self.running[key] = _Question(work, give_up)
        question.task.add_done_callback(lambda task: self._end(key, question, task))
        return question

    def _forget(self, key: str, question: _Question[Answer]) -> None:
        if self.running.get(key) is question:
            del self.running[key]

    def _end(self, key: str, question: _Question[Answer], task: "asyncio.Task[Answer]") -> None:
        self._forget(key, question)
        if task.cancelled() or task.exception() is not None:
            return
        answer = task.result()
        if len(self._kept) >= MAX_NAMES:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = self._clock() + min(max(answer.ttl_s, MIN_TTL_S), MAX_TTL_S), answer


@lru_cache(1024)
def is_address(host: str) -> bool:
    """Return whether a host is an IP address rather than a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
