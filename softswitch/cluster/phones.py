"""Phones that are connected with another machine by TCP, TLS or a WebSocket: that machine calls them."""

import logging

from softswitch.bus.bus import Bus
from softswitch.call.interfaces import IncomingCall
from softswitch.call.kind import LegKind
from softswitch.call.vocabulary.commands import Connect
from softswitch.call.vocabulary.rejection import CommandRejected
from softswitch.cluster.peers import Peers
from softswitch.errors import NotNowError
from softswitch.legs.internal import InternalLegs
from softswitch.legs.sip.destinations import FarPhones
from softswitch.log.tasks import Tasks
from softswitch.switch.origin import Origin
from softswitch.switch.switch import Switch

logger = logging.getLogger(__name__)


class ClusterPhones:
    """Calls to the phones of other machines, and calls of other machines to the phones of this one."""

    def __init__(self, switch: Switch, peers: Peers, legs: InternalLegs) -> None:
        """Call by internal legs."""
        self._switch = switch
        self._peers = peers
        self._bus: Bus = peers.bus
        self._legs = legs
        self._tasks = Tasks("cluster")

    def find(self, machine: str, user: str) -> FarPhones | None:
        """Return how a machine is called for the phones of a user; None: none of its nodes is known."""
        nodes = [node for node in self._bus.nodes() if node.rpartition(".")[0] == machine]
        address = next((known for node in nodes if (known := self._peers.sip_of(node))), "")
        host, _, port = address.rpartition(":")
        if not host:
            return None
        return FarPhones(host.strip("[]"), int(port), self._legs.signed(f"user:{user}", ""))

    def take(self, user: str, call: IncomingCall) -> None:
        """Call the phones of this machine for another one."""
        self._tasks.spawn(self._call(user, call), name="call to a phone")

    async def _call(self, user: str, call: IncomingCall) -> None:
        try:
            conversation = await self._switch.open(None, LegKind.LOCAL.value, call.party, Origin())
        except NotNowError:
            call.reject(503, "Service Unavailable")
            return
        conversation.is_internal = True
        conversation.incoming(call)
        try:
            conversation.command(Connect(callee=f"user:{user}", caller=call.caller))
        except CommandRejected as rejected:
            logger.info("a call to a phone was refused", extra={"reason": str(rejected)})
            conversation.end("rejected", "system", sip_code=404)
