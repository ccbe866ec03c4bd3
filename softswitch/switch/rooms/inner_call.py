"""The inner call of a room participant that is a call of its own.

An outside call and an inner call share a pair of ports: the outside call is controlled by an application, the
inner call is the participant. So a stream, a file or a text in the outside call is heard in the room.
"""

import asyncio

from softswitch.call.kind import LegKind
from softswitch.call.vocabulary.commands import CallOption, Invite, VadOption
from softswitch.call.vocabulary.events import Event, HungUp, Rejected
from softswitch.call.vocabulary.rejection import CommandRejected
from softswitch.legs.local.pair import LocalPair, PairEnd
from softswitch.switch.conversation.conversation import Conversation
from softswitch.switch.origin import Origin
from softswitch.switch.switch import Switch


class _Inside:
    """Follows the inner call until it is known whether the room admits it (a subscriber)."""

    def __init__(self, conversation: Conversation, near: PairEnd) -> None:
        self._conversation = conversation
        self._near = near
        self._known = False
        conversation.subscribe(self)

    def event(self, event: Event, seq: int) -> None:
        """Pass a refusal of the room on to the outside call."""
        if isinstance(event, Rejected):
            self._known = True
            self._near.refuse(event.code, event.reason)
            # The call is in the middle of publishing this event.
            asyncio.get_running_loop().call_soon(self._conversation.end, "rejected", "system")
        elif isinstance(event, HungUp):
            self._known = True

    def audio(self, side: int, pcm: bytes) -> None:
        """Ignore audio."""

    def close(self, code: int, reason: str) -> None:
        """Do nothing: the pair of ports ends the outside call."""

    def seated(self) -> None:
        """Answer the outside call unless the room has refused."""
        if not self._known:
            self._near.connect()


async def call_room(switch: Switch, origin: Origin, caller: str, room: str) -> PairEnd:
    """Open the inner call and return the party of the outside call.

    Args:
        switch: Table of calls.
        origin: Opens the outside call.
        caller: Name that the room shows.
        room: ``room:<id>``.

    Raises:
        NotNowError: The switch is going down or full.
        CommandRejected: The room is not there for the client.
    """
    resources = switch.resources
    refused = resources.refuse_callee(room, origin.principal)
    if refused is not None:
        code, reason = refused
        raise CommandRejected(reason, code, field="callee")
    pair = LocalPair(resources.engine, resources.routes.frames)
    inside = await switch.open(None, LegKind.LOCAL, pair.far, origin)
    following = _Inside(inside, pair.near)
    option = CallOption(caller=caller, callee=room, vad=VadOption(off=True), inband_dtmf=False)

    def enter() -> None:
        try:
            inside.order(Invite(option=option), origin.principal)
        except CommandRejected:
            # The room was closed since.
            inside.end("rejected", "system")
            raise
        pair.far.connect()
        asyncio.get_running_loop().call_soon(following.seated)

    pair.near.on_answer = enter
    return pair.near
