"""The inner call of a callee such as a queue: the switch is its client, one end of a local pair its leg."""

from softswitch.call.kind import LegKind
from softswitch.errors import NotNowError, RejectedError
from softswitch.legs.local.pair import LocalPair
from softswitch.switch.conversation.conversation import Conversation
from softswitch.switch.origin import Origin
from softswitch.switch.switch import Switch


async def open_inner_call(
    switch: Switch, kind: LegKind, pair: LocalPair, account: str
) -> Conversation | None:
    """Open the inner call of a leg; the leg is answered when the inner call is.

    Args:
        switch: Opens the call.
        kind: Kind of the inner call.
        pair: The leg of the caller and that of the inner call.
        account: Account of the caller's call; empty: the operator's.

    Returns:
        The inner call; None if the switch cannot have it now: the leg is refused then.
    """
    try:
        inner = await switch.open(None, kind, pair.far, Origin.within(account))
    except (NotNowError, RejectedError) as error:
        pair.near.refuse(503, str(error))
        return None
    pair.far.on_answer = pair.connect
    return inner
