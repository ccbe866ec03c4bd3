"""Call control: a call into a room. Whoever controls it speaks there through a stream, a file or a text."""

import asyncio

from softswitch.call.commands import CallOption, Invite, VadOption
from softswitch.call.events import Event, HungUp, Rejected
from softswitch.endpoints.local_pair import LocalPair, PairEnd
from softswitch.switch.conversation import Conversation
from softswitch.switch.switch import Origin, Switch
from softswitch.switch.webhooks import INNER


class _Inside:
    """Follows the call in the room until it is known whether there is a seat (a subscriber)."""

    def __init__(self, conversation: Conversation, near: PairEnd) -> None:
        self._conversation = conversation
        self._near = near
        self._known = False
        conversation.subscribe(self)

    def event(self, event: Event, seq: int) -> None:
        """Note a refusal."""
        if isinstance(event, Rejected):
            self._known = True
            self._near.refuse(event.code, event.reason)
            # The call is in the middle of telling this event.
            asyncio.get_running_loop().call_soon(self._conversation.end, "rejected", "system")
        elif isinstance(event, HungUp):
            self._known = True

    def audio(self, side: int, pcm: bytes) -> None:
        """Leave audio out."""

    def close(self, code: int, reason: str) -> None:
        """Forget it."""

    def seated(self) -> None:
        """Take no refusal for a seat."""
        if not self._known:
            self._near.connect()


async def call_room(switch: Switch, origin: Origin, caller: str, room: str) -> PairEnd:
    """Put a call into a room and return the party through which another call is there.

    Args:
        switch: Where the calls are.
        origin: Who calls.
        caller: Who the room is told has come.
        room: ``room:<id>``.

    Raises:
        NotNowError: the switch is going down or full.
    """
    resources = switch.resources
    pair = LocalPair(resources.engine, resources.routes.frames)
    inside = await switch.open(None, INNER, pair.far, origin)
    following = _Inside(inside, pair.near)
    option = CallOption(caller=caller, callee=room, vad=VadOption(off=True), inband_dtmf=False)
    pair.near.on_answer = lambda: _enter(inside, pair.far, following, option)
    return pair.near


def _enter(inside: Conversation, far: PairEnd, following: _Inside, option: CallOption) -> None:
    inside.command(Invite(option=option))
    far.connect()
    asyncio.get_running_loop().call_soon(following.seated)
