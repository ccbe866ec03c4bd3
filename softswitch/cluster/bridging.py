"""Bridges to calls of other nodes, by an internal leg on each side."""

import asyncio
import logging
from typing import Any

import msgspec

from softswitch.bus.bus import BusError
from softswitch.call.authority import Principal, Target, denial
from softswitch.call.interfaces import Endpoint, IncomingCall, LegRequest
from softswitch.call.state import State
from softswitch.call.vocabulary import reports as r
from softswitch.call.vocabulary.rejection import CommandRejected, Reason, Rejection
from softswitch.cluster.owned import CallEntry, Owned
from softswitch.cluster.peers import Peers
from softswitch.legs.internal import InternalLegs
from softswitch.log.tasks import Tasks
from softswitch.media import messages as m
from softswitch.signals import DigitReceived
from softswitch.switch.conversation.bridges import Dialog, Far
from softswitch.switch.conversation.conversation import Conversation
from softswitch.switch.routes import Routes
from softswitch.switch.switch import Switch

logger = logging.getLogger(__name__)

DIALOG = b"dialog:"
"""Begins a request for the call of a dialog: Call-ID, local tag and remote tag as JSON follow."""
LEG = "bridge"
"""Name of the leg to the other node, in its own call."""


class Said(msgspec.Struct, frozen=True):
    """What a node says with an internal leg."""

    call: str
    """Id of the call that the leg comes from."""
    account: str = ""
    dialog: Dialog | None = None
    """Dialog that the bridge replaces, for an attended transfer; None: a client asked for the bridge."""


class _Side:
    """One end of a bridge: the internal leg in the mix of its call."""

    def __init__(
        self, bridges: "FarBridges", conversation: Conversation, other: str, transferring: str = ""
    ) -> None:
        """Prepare.

        Args:
            bridges: All bridges of this node.
            conversation: The call of this end.
            other: Id of the call of the other end.
            transferring: Leg that asked for an attended transfer, and leaves; empty: no leg leaves here.
        """
        self._bridges = bridges
        self.transferring = transferring
        self.is_alone = bool(transferring)
        """Whether the call ends with the bridge: the party that it had here has left."""
        self.conversation = conversation
        self.other = other
        self.endpoint: Endpoint | None = None
        self.is_up = False
        self.request = LegRequest("", LEG, 0, 0)
        self._routes: Routes | None = None
        self._over = False

    def listen(self, switch: Switch) -> None:
        """Make the leg's request, whose port stands in the mix of the call, and pass digits on."""
        conversation, self._routes = self.conversation, switch.resources.routes
        self.request = LegRequest(
            call=conversation.id,
            leg=LEG,
            port=next(switch.resources.ids),
            mix=conversation.executor.mix,
            codec=conversation.call.codec,
            account=conversation.owner,
        )
        self._routes.reports(self.request.port, self._take)

    def _take(self, report: m.Report) -> None:
        if isinstance(report, DigitReceived):
            self.conversation.report(r.DigitsPassed(report.digit))
        elif isinstance(report, m.PortClosed) and self._routes is not None:
            self._routes.remove(report.port)

    def report(self, report: r.Report) -> None:
        """Follow the leg."""
        match report:
            case r.LegAnswered() if not self.is_up:
                self.is_up = True
                self.conversation.bridged_with = self.other
                if self.transferring:
                    self.conversation.report(r.DialogJoined(self.transferring))
                self.conversation.report(r.Bridged(self.other, self.is_alone))
            case r.LegRejected() | r.LegFailed() | r.LegEnded():
                self.end()

    def end(self) -> None:
        """End this side: hang up, and tell the call."""
        if self._over:
            return
        self._over = True
        self._bridges.forget(self)
        if self.endpoint is not None:
            self.endpoint.hangup()
        if self.is_up:
            self.conversation.bridged_with = None
            self.conversation.report(r.Unbridged(self.other))
        elif self.transferring:
            self.conversation.report(r.DialogForeign(self.transferring))
        else:
            self.conversation.report(r.Refused("command", code=404, rejection=_unknown(self.other)))


class FarBridges(Far):
    """The bridges of this node with calls of other nodes."""

    def __init__(self, switch: Switch, owned: Owned, peers: Peers, legs: InternalLegs) -> None:
        """Take over the bridges of a switch that it cannot make itself."""
        self._switch = switch
        self._owned = owned
        self._peers = peers
        self._legs = legs
        self._sides: dict[str, _Side] = {}
        self._tasks = Tasks("cluster")
        switch.bridges.far = self

    def __len__(self) -> int:
        """Return the number of bridges."""
        return len(self._sides)

    # --- asked for here (`Far`) ----------------------------------------------------------------

    def join(self, conversation: Any, other: str, by: Principal, request_id: str | None) -> None:
        """Bridge a call with one of another node, if there is one; its outcome is reported."""
        self._tasks.spawn(
            self._join(conversation, other, by, request_id), name="bridge", call=conversation.id
        )

    def part(self, conversation: Any) -> bool:
        """End the bridge of a call; False where it has none with another node."""
        side = self._sides.get(conversation.id)
        if side is None:
            return False
        side.end()
        return True

    def pass_digits(self, conversation: Any, digits: str) -> bool:
        """Send digits to the other call; False where there is no such bridge."""
        side = self._sides.get(conversation.id)
        if side is None or side.endpoint is None:
            return False
        side.endpoint.dtmf(digits)
        return True

    def join_dialog(self, conversation: Any, leg: str, dialog: Dialog) -> None:
        """Bridge a call with that of a dialog, for an attended transfer; its outcome is reported."""
        self._tasks.spawn(
            self._join_dialog(conversation, leg, dialog), name="attended transfer", call=conversation.id
        )

    async def _join_dialog(self, conversation: Conversation, leg: str, dialog: Dialog) -> None:
        node, other = await self._with_dialog(dialog)
        try:
            address = (await self._peers.view(node)).sip if node else ""
        except BusError:
            address = ""
        if not address or conversation.id in self._sides or conversation.over:
            conversation.report(r.DialogForeign(leg))
            return
        side = self._sides[conversation.id] = _Side(self, conversation, other, transferring=leg)
        said = msgspec.json.encode(Said(conversation.id, conversation.owner, dialog)).hex()
        side.listen(self._switch)
        side.endpoint = self._legs.dial(node, address, f"call:{other}", said, side.request, side.report)
        side.endpoint.answer()

    async def _with_dialog(self, dialog: Dialog) -> tuple[str, str]:
        """Return the other node whose call has a dialog, and the id of the call; empty: none has."""
        question = DIALOG + msgspec.json.encode(dialog)

        async def ask(node: str) -> tuple[str, str]:
            try:
                return node, (await self._peers.bus.request(node, question)).decode()
            except (BusError, ValueError):
                return node, ""

        answers = await asyncio.gather(*(ask(node) for node in self._peers.others()))
        return next((answer for answer in answers if answer[1]), ("", ""))

    def answer(self, question: bytes) -> bytes:
        """Return the id of the call that has a dialog which may be replaced; empty: no call has it."""
        found = self._switch.bridges.replaceable(_dialog(question.removeprefix(DIALOG)))
        return found[0].id.encode() if found is not None else b""

    async def _join(
        self, conversation: Conversation, other: str, by: Principal, request_id: str | None
    ) -> None:
        try:
            node = await self._owned.owner(f"call:{other}")
            entry = await self._peers.bus.get(f"call:{other}") if node else None
            address = (await self._peers.view(node)).sip if node else ""
        except BusError:
            entry, address = None, ""
        account = msgspec.msgpack.decode(entry.value, type=CallEntry).account if entry is not None else ""
        if (
            entry is None
            or not address
            or denial(by, "Bridge", Target(account)) is not None
            or account != conversation.owner
            or conversation.id in self._sides
            or conversation.over
        ):
            conversation.report(
                r.Refused("command", code=404, request_id=request_id, rejection=_unknown(other))
            )
            return
        side = self._sides[conversation.id] = _Side(self, conversation, other)
        said = msgspec.json.encode(Said(conversation.id, conversation.owner)).hex()
        side.listen(self._switch)
        side.endpoint = self._legs.dial(node, address, f"call:{other}", said, side.request, side.report)
        side.endpoint.answer()

    # --- asked for elsewhere -------------------------------------------------------------------

    def take(self, call_id: str, said: str, call: IncomingCall) -> None:
        """Take an internal leg to a call of this node."""
        conversation = self._switch.find(call_id)
        try:
            told = msgspec.json.decode(bytes.fromhex(said), type=Said)
        except (ValueError, msgspec.MsgspecError):
            call.reject(400, "Bad Request")
            return
        replaced = self._switch.bridges.replaceable(told.dialog) if told.dialog is not None else None
        if (
            conversation is None
            or conversation.call.state is not State.UP
            or (conversation.owner != told.account if told.dialog is None else replaced is None)
            or conversation.bridged_with is not None
            or call_id in self._sides
        ):
            call.reject(404, "Not Found")
            return
        side = self._sides[call_id] = _Side(self, conversation, told.call)
        side.listen(self._switch)
        if replaced is not None:
            side.is_alone = True
            conversation.report(r.LegReplaced(replaced[1]))
        side.endpoint = call.party(side.request, side.report)
        side.endpoint.answer()

    def forget(self, side: _Side) -> None:
        """Remove an end of a bridge."""
        if self._sides.get(side.conversation.id) is side:
            del self._sides[side.conversation.id]


def _dialog(text: bytes) -> Dialog:
    call_id, local, remote = msgspec.json.decode(text, type=tuple[str, str, str])
    return call_id, local, remote


def _unknown(other: str) -> Rejection:
    return CommandRejected(Reason.UNKNOWN_CALL, 404, field="other", value=other).rejection
