"""The two sides of a live call: which is the agent's, and which ports of the engine it has."""

from softswitch.call.vocabulary.values import AgentSide
from softswitch.switch.conversation.conversation import Conversation


def agent_side(call: Conversation, bridged: Conversation | None) -> AgentSide:
    """Return the side of the agent where a supervisor names none.

    The agent is the one that is not reached over a trunk: the first party of a call that goes out over one,
    otherwise the second side.

    Args:
        call: The supervised call.
        bridged: The call that it is bridged with; None without one.
    """
    second = call.call.second
    outside = second is not None and call.call.over_trunk(second.leg)
    outside |= bridged is not None and _is_outside(bridged)
    return "first" if outside and not _is_outside(call) else "second"


def _is_outside(call: Conversation) -> bool:
    """Whether the first party of a call is reached over a trunk."""
    return bool(call.source.trunk) or call.call.over_trunk(call.call.party)


def agent_ports(call: Conversation, bridged: Conversation | None, side: AgentSide) -> tuple[int, ...]:
    """Return the ports of the agent's side, in order; empty where the machine alone speaks there.

    Args:
        call: The supervised call.
        bridged: The call that it is bridged with; None without one.
        side: The side of the agent.
    """
    first = call.executor.legs.port_of(call.call.party)
    if side == "first":
        return (first,) if first is not None else ()
    others = [port for port in call.executor.legs.ports() if port != first]
    others += bridged.executor.legs.ports() if bridged is not None else []
    return tuple(sorted(others))
