"""Translation of the answer to an announcement: what an application decides about an incoming call."""

from typing import Annotated, Any, assert_never

import msgspec
from msgspec import Meta

from softswitch.call.vocabulary.commands import Strategy, StreamOption
from softswitch.dialects.rustpbx import options, tolerance
from softswitch.errors import MalformedError
from softswitch.protocol import call_commands as w
from softswitch.settings import Route
from softswitch.switch.notify.decision import MOST_TARGETS, Answer, Decision, Forward, TurnAway


class _Target(msgspec.Struct, frozen=True):
    to: str
    number: Annotated[str, Meta(max_length=128)] = ""


class _Forward(msgspec.Struct, frozen=True, tag_field="action", tag="forward"):
    targets: Annotated[list[str | _Target], Meta(min_length=1, max_length=MOST_TARGETS)]
    strategy: Strategy = "sequential"
    record: bool = False
    timeout: Annotated[float, Meta(ge=1, le=600)] = 60.0


class _Reject(msgspec.Struct, frozen=True, tag_field="action", tag="reject"):
    code: Annotated[int, Meta(ge=300, le=699)] = 486
    reason: Annotated[str, Meta(max_length=128)] = ""


class _Stream(msgspec.Struct, frozen=True):
    url: Annotated[str, Meta(pattern="^wss?://", max_length=2048)]
    protocol: str = "wavix"


class _Answer(msgspec.Struct, frozen=True, tag_field="action", tag="answer"):
    option: dict[str, Any] = {}
    stream: _Stream | None = None
    agent: Annotated[str, Meta(pattern="^(agent:)?[A-Za-z0-9_.+*#-]{1,64}$")] = ""


def parse_decision(body: bytes) -> Decision | None:
    """Return the decision of a body; None where it has none (empty, or no JSON object with an `action`).

    Raises:
        MalformedError: The decision is wrong; the text names the field.
    """
    try:
        given = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None  # Servers answer 2xx with a page or a word.
    if not isinstance(given, dict) or "action" not in given:
        return None
    try:
        wire: _Forward | _Reject | _Answer = msgspec.convert(given, _Forward | _Reject | _Answer)
        match wire:
            case _Forward():
                named = [_Target(one) if isinstance(one, str) else one for one in wire.targets]
                return Forward(tuple(map(_route, named)), wire.strategy, wire.record, wire.timeout)
            case _Reject():
                return TurnAway(wire.code, wire.reason)
            case _Answer():
                return _answer(wire)
            case _:
                assert_never(wire)
    except (msgspec.ValidationError, ValueError) as error:
        raise MalformedError(f"decision: {error}", field="decision") from None


def _route(target: _Target) -> Route:
    if target.to.startswith(("webhook", "stream:")):
        raise ValueError(f"targets: {target.to[:80]!r} cannot be forwarded to; a stream is `answer`")
    return Route(match=".*", to=target.to, number=target.number.replace("\\", ""))


def _answer(wire: _Answer) -> Answer:
    message = {"command": "accept", "option": wire.option}
    read, faults = tolerance.read(message, w.Accept)
    option = options.call_option(read.option, message, faults)
    if wire.stream is not None and wire.agent:
        raise ValueError("agent: a call is answered by a stream or an agent, not by both")
    if wire.stream is None:
        return Answer(option, agent=wire.agent.removeprefix("agent:"))
    stream = StreamOption(wire.stream.url, two_way=True, hangup_on_close=True, protocol=wire.stream.protocol)
    return Answer(option, stream)
