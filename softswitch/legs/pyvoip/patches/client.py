"""pyVoIP's SIP client with its faults mended: see the table in this package's docstring."""

import logging
import queue
import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from secrets import token_hex
from typing import TYPE_CHECKING, cast
from uuid import uuid4

from pyVoIP import SIP

from softswitch.errors import NotNowError
from softswitch.legs.pyvoip.account import Account, Address
from softswitch.legs.pyvoip.dialog import tag_of
from softswitch.legs.pyvoip.patches.proofs import Proofs
from softswitch.legs.pyvoip.patches.requests import take_request
from softswitch.legs.pyvoip.patches.roles import PhoneRole
from softswitch.legs.pyvoip.patches.wire import (
    T1,
    T2,
    TIMEOUT_S,
    Exchange,
    Exchanges,
    OnAnswer,
    branch_of,
    key_of,
)
from softswitch.legs.pyvoip.registration import Registration
from softswitch.sip.syntax import message
from softswitch.sip.syntax.message import Request, Response

if TYPE_CHECKING:
    from pyVoIP.VoIP import VoIPPhone

logger = logging.getLogger(__name__)

ALLOW = "INVITE, ACK, BYE, CANCEL, OPTIONS, INFO"
_BURST = 64
"""Datagrams read in a row before timers and commands have their turn."""
_MOST_TASKS = 1000
_WAIT_S = 0.5
_FAREWELL_S = 2.0
"""Longest wait for the responses to BYE and un-REGISTER at shutdown, in seconds."""


class Client(SIP.SIPClient):
    """One UDP socket and the one thread that owns it, its calls and its registration.

    pyVoIP lets every thread read the socket under a lock that is not reentrant: two calls at once wait for
    each other endlessly, and an unexpected response keeps `call()` waiting. Here no thread waits: other
    threads :meth:`post` their commands.
    """

    def __init__(
        self, telephone: PhoneRole, account: Account, admit: Callable[[Address], str | None]
    ) -> None:
        """Prepare; `start` comes next.

        Args:
            telephone: telephone of the client.
            account: identity and servers.
            admit: returns the trunk of an address, None for strangers, which get no response.
        """
        server = account.servers[0] if account.servers else ("", 0)
        super().__init__(
            account.domain, server[1], account.username, account.password,
            phone=cast("VoIPPhone", telephone), myIP=account.own_host, myPort=account.bind[1],
        )  # fmt: skip
        # Reentrant: remaining code of pyVoIP may take it twice in one thread.
        self.recvLock = threading.RLock()  # type: ignore[assignment]
        self.telephone = telephone
        self.account = account
        self.admit = admit
        self.exchanges = Exchanges(self.send)
        self.proofs = Proofs(account)
        self.registration = Registration(self)
        self.counters = dict.fromkeys(
            (
                "messages_received", "messages_malformed", "messages_sent", "sends_failed", "strangers",
                "strays", "failures",
            ), 0,
        )  # fmt: skip
        self._tasks: queue.Queue[Callable[[], None]] = queue.Queue(_MOST_TASKS)
        self._thread = threading.Thread(target=self.recv_loop, name="SIP Recieve", daemon=True)
        self._farewell = 0.0
        self._datagram: tuple[bytes, Address] = (b"", ("", 0))

    # --- start and stop ---------------------------------------------------------------------

    def start(self) -> None:
        """Bind the socket and start the thread; pyVoIP would register first, and wait for that.

        Raises:
            OSError: the address is in use.
        """
        self.s = self.out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.s.bind(self.account.bind)
        except OSError:
            self.s.close()
            raise
        self.s.setblocking(False)
        self.myPort = self.s.getsockname()[1]
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self.NSD = True
        if self.account.register:
            self.registration.begin()
        self._thread.start()

    def post(self, task: Callable[[], None]) -> None:
        """Run a function in the thread; callable in any thread.

        Raises:
            NotNowError: too many functions wait.
        """
        try:
            self._tasks.put_nowait(task)
        except queue.Full:
            raise NotNowError("pyVoIP: too many commands wait for its thread") from None
        with suppress(OSError):
            # A full pipe wakes the thread all the same; a closed one belongs to a thread that has ended.
            self._wake_out.send(b"\0")

    def stop(self) -> None:
        """End all calls and the registration, then the thread; callable in any thread, once."""
        self.post(self._say_farewell)

    def join(self) -> None:
        """Wait until the thread has ended and everything is closed; after :meth:`stop`."""
        self._thread.join(_FAREWELL_S + 2 * _WAIT_S)

    def recv_loop(self) -> None:
        """Serve socket, commands and timers until stopped."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.s, selectors.EVENT_READ)
            selector.register(self._wake_in, selectors.EVENT_READ)
            while not self._is_done():
                selector.select(self._patience())
                self._attempt(self._drain)
                for _ in range(self._tasks.qsize()):
                    self._attempt(self._tasks.get_nowait())
                self._attempt(lambda: self.exchanges.elapse(time.monotonic()))
                self._attempt(lambda: self.registration.elapse(time.monotonic()))
        for call in list(self.telephone.by_id.values()):
            call.over()
        self.NSD = False
        for one in (self.s, self._wake_in, self._wake_out):
            one.close()

    def _patience(self) -> float:
        due = min(self.exchanges.deadline(), self.registration.due, time.monotonic() + _WAIT_S)
        return max(due - time.monotonic(), 0.0)

    def _is_done(self) -> bool:
        now = time.monotonic()
        return self._farewell > 0 and (now > self._farewell or not len(self.exchanges))

    def _say_farewell(self) -> None:
        self._farewell = time.monotonic() + _FAREWELL_S
        for call in list(self.telephone.by_id.values()):
            call.hang_up({})
        self.registration.end()

    def _attempt(self, task: Callable[[], None]) -> None:
        try:
            task()
        except Exception:
            # One message or command must not end the thread of all calls.
            self.counters["failures"] += 1
            logger.exception("pyVoIP failed", extra={"trunk": self.account.name})

    # --- in -----------------------------------------------------------------------

    def _drain(self) -> None:
        with suppress(BlockingIOError):
            self._wake_in.recv(4096)
        for _ in range(_BURST):
            try:
                self._datagram = self.s.recvfrom(65535)
            except BlockingIOError:
                return
            except OSError:
                # An ICMP error of a datagram that was sent.
                self.counters["sends_failed"] += 1
            else:
                self._attempt(self.recv)

    def recv(self) -> None:
        """Handle the datagram that was read."""
        data, source = self._datagram
        if self.admit(source) is None:
            self.counters["strangers"] += 1
            return
        if not data.strip(b"\r\n\0 "):
            return  # A keep-alive of a NAT binding.
        try:
            wire = message.parse(data)
        except message.MalformedError as error:
            self.counters["messages_malformed"] += 1
            if isinstance(error.reply, Response):
                message.stamp_source(error.reply, *source)
                self.send(bytes(error.reply), source)
            return
        self.counters["messages_received"] += 1
        # pyVoIP's own parser sees rewritten messages only (`messages.Message`).
        if isinstance(wire, Request):
            take_request(self, wire, source)
        else:
            self._take_response(wire, source)

    def _take_response(self, response: Response, source: Address) -> None:
        branch, method = branch_of(response), response.cseq.method
        exchange = self.exchanges.get(("sent", branch, method))
        if exchange is None:
            self._take_late(response, branch, source)
            return
        if response.code >= 200:
            self.exchanges.end(("sent", branch, method))
        if exchange.answered is not None:
            exchange.answered(response, source)

    def _take_late(self, response: Response, branch: str, source: Address) -> None:
        """Handle a repeated final response, or one of another branch of a fork."""
        if response.cseq.method != "INVITE" or response.code < 200:
            self.counters["strays"] += 1
            return
        if self.exchanges.repeat(("ack", branch, tag_of(response.to_address))):
            return
        call = self.telephone.by_id.get(response.call_id)
        if call is not None and response.code < 300:
            call.fork(response, source)
        else:
            self.counters["strays"] += 1

    # --- out ----------------------------------------------------------------------

    def send(self, data: bytes, to: Address) -> None:
        """Send a datagram."""
        try:
            self.s.sendto(data, to)
        except OSError:
            self.counters["sends_failed"] += 1
        else:
            self.counters["messages_sent"] += 1

    def ask(self, request: Request, to: Address, answered: OnAnswer, given_up: Callable[[], None]) -> str:
        """Send a request until it is answered; return its branch.

        Args:
            request: the request, without Via.
            to: address to send it to.
            answered: called with every response.
            given_up: called when none came within 32 s.
        """
        branch = str(self.gen_branch())
        request.headers.set("Via", f"SIP/2.0/UDP {self.myIP}:{self.myPort};branch={branch};rport")
        request.headers.set("User-Agent", "softswitch (pyVoIP)")
        now = time.monotonic()
        most = TIMEOUT_S if request.method == "INVITE" else T2
        self.exchanges.begin(
            ("sent", branch, request.method),
            Exchange(bytes(request), to, now, now + TIMEOUT_S, given_up, answered, T1, most),
        )
        return branch

    def cancel(self, request: Request, to: Address) -> None:
        """Send a CANCEL, with the Via of its INVITE, until it is answered."""
        now = time.monotonic()
        exchange = Exchange(bytes(request), to, now, now + TIMEOUT_S, lambda: None)
        self.exchanges.begin(("sent", branch_of(request), "CANCEL"), exchange)

    def acknowledge(self, ack: Request, invite: Request, response: Response, to: Address) -> None:
        """Send the ACK of a final response, and again whenever that response is repeated.

        Args:
            ack: the ACK; without Via where it is a request of its own (after 2xx).
            invite: the answered INVITE.
            response: the final response.
            to: address to send it to.
        """
        if "Via" not in ack.headers:
            ack.headers.set("Via", f"SIP/2.0/UDP {self.myIP}:{self.myPort};branch={self.gen_branch()};rport")
        data = bytes(ack)
        self.exchanges.remember(("ack", branch_of(invite), tag_of(response.to_address)), data, to)
        self.send(data, to)

    def reply(self, response: Response, request: Request, source: Address) -> None:
        """Send a response, and again whenever the request is repeated."""
        data, to = self._sealed(response, request, source)
        self.send(data, to)

    def send_reply(self, response: Response, request: Request, source: Address) -> None:
        """Send a response once."""
        message.stamp_source(response, *source)
        self.send(bytes(response), reply_address(request, source))

    def reply_surely(
        self, response: Response, request: Request, source: Address, given_up: Callable[[], None]
    ) -> None:
        """Send a final response to an INVITE until its ACK comes (§13.3.1.4, §17.2.1)."""
        data, to = self._sealed(response, request, source)
        now = time.monotonic()
        exchange = Exchange(data, to, now, now + TIMEOUT_S, given_up)
        self.exchanges.begin(("wait", request.call_id, str(request.cseq.sequence)), exchange)

    def _sealed(self, response: Response, request: Request, source: Address) -> tuple[bytes, Address]:
        message.stamp_source(response, *source)
        response.headers.set("User-Agent", "softswitch (pyVoIP)")
        response.headers.set("Allow", ALLOW)
        data, to = bytes(response), reply_address(request, source)
        self.exchanges.remember(key_of(request), data, to)
        return data, to

    def prove(self, request: Request, response: Response) -> Request | None:
        """Return a challenged request with credentials; None where the challenge cannot be met."""
        return self.proofs.proven(request, response)

    # --- identifiers --------------------------------------------------------------------

    def gen_tag(self) -> str:
        """Return a random tag; pyVoIP hashes a number of 32 bits, and keeps every tag."""
        return token_hex(8)

    def gen_call_id(self) -> str:
        """Return a unique Call-ID; pyVoIP counts from 1 after each start."""
        return f"{uuid4().hex}@{self.myIP}"

    def move(self, account: Account) -> None:
        """Use the local address of an account that has changed, and register with it."""
        self.account = account
        self.myIP = account.own_host
        self.registration.renew()

    def contact(self) -> str:
        """Return the local address for Contact headers."""
        return f"<sip:{self.username}@{self.myIP}:{self.myPort}>"


def reply_address(request: Request, source: Address) -> Address:
    """Return the address for responses: the source, with the port of the Via where it has no `rport`."""
    via = request.via[0]
    return source if "rport" in via.parameters else (source[0], via.port or 5060)
