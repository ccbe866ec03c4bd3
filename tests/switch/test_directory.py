"""The directory of calls: handles, snapshots, what other accounts see."""

from pathlib import Path

import msgspec
import pytest

from softswitch.call.authority import OPERATOR, Principal
from softswitch.call.state import State
from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary import events as e
from softswitch.call.vocabulary.commands import CallOption
from softswitch.call.vocabulary.rejection import CommandRejected
from softswitch.call.vocabulary.values import SECOND_PARTY, party_of
from softswitch.errors import ForbiddenError
from softswitch.switch.directory import CallHandle, CallSnapshot
from softswitch.switch.origin import Origin, Source
from tests.switch.harness import Caller, House, settle

ME = Principal("me", frozenset({"call"}), "me")
YOU = Principal("you", frozenset({"call"}), "you")
MINE = Origin("me", "192.0.2.1", Source("outbound"), ME)


class Listener:
    """A subscriber that remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[int, e.Event]] = []
        self.closed: list[int] = []

    def event(self, event: e.Event, seq: int) -> None:
        self.events.append((seq, event))

    def audio(self, side: int, pcm: bytes) -> None:
        pass

    def close(self, code: int, reason: str) -> None:
        self.closed.append(code)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


async def up(house: House, call_id: str = "a", **option: object) -> CallHandle:
    call, _ = await house.calls.open("websocket", MINE, house.endpoint, call_id=call_id, tag="t")
    await call.command(c.Invite(option=CallOption(**option)), ME)  # type: ignore[arg-type]
    await settle()
    return call


async def test_snapshot_tells_how_far_a_call_has_come(house: House) -> None:
    call, token = await house.calls.open("websocket", MINE, house.endpoint, call_id="a")
    assert token == ""
    before = await call.snapshot()
    assert (before.state, before.answered_ms, before.duration_ms) == (State.NEW, None, 0)
    await call.command(c.Invite(option=CallOption(caller="1", callee="2", subscribe=True)), ME)
    await settle()
    now = await call.snapshot()
    assert (now.id, now.kind, now.state, now.account) == ("a", "websocket", State.UP, "me")
    assert (now.caller, now.callee, now.source.direction, now.shares_audio) == ("1", "2", "outbound", True)
    assert now.answered_ms is not None
    assert now.seq > 0


async def test_snapshot_is_a_value_that_can_cross_a_process_boundary(house: House) -> None:
    call = await up(house, shown={"caller": "1"})
    before = await call.snapshot()
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(before), type=CallSnapshot) == before


async def test_snapshot_after_the_end_is_the_last_one(house: House) -> None:
    call = await up(house)
    await call.command(c.Hangup(), ME)
    assert (await call.snapshot()).state is State.OVER
    assert await house.calls.find("a", ME) is None
    assert not house.calls._progress, "nothing is kept of a call that has ended"


async def test_ringing_of_the_called_party_is_noted(house: House) -> None:
    call = await up(house)
    conversation = house.switch.find("a")
    assert conversation is not None
    conversation.publish(e.Ringing(timestamp=0.005, subject=SECOND_PARTY, early_media=False))
    assert (await call.snapshot()).ringing_ms is None
    conversation.publish(e.Ringing(timestamp=0.007, subject=party_of("a"), early_media=True))
    now = await call.snapshot()
    assert (now.ringing_ms, now.early_media) == (7, True)


async def test_calls_of_other_accounts_are_not_there(house: House) -> None:
    await up(house)
    assert await house.calls.find("a", YOU) is None
    assert await house.calls.list(YOU) == []
    assert [call.id for call in await house.calls.list(ME)] == ["a"]
    assert [call.id for call in await house.calls.list(OPERATOR)] == ["a"]
    assert await house.calls.find("a", ME, "kill a call") is None, "an act that it may not do"
    assert not await house.calls.kill("a", ME)
    assert await house.calls.kill("a", OPERATOR)


async def test_authority_is_checked_where_a_command_is_carried_out(house: House) -> None:
    call = await up(house)
    with pytest.raises(CommandRejected) as rejected:
        await call.command(c.Say(text="x"), YOU)
    assert rejected.value.code == 404
    with pytest.raises(ForbiddenError):
        await call.write_tag("x", Principal("me", frozenset({"rooms"}), "me"))
    await call.write_tag("mine", ME)
    assert (await call.snapshot()).tag == "mine"


async def test_subscription_ends_when_it_is_closed(house: House) -> None:
    call, kept, left = await up(house), Listener(), Listener()
    await call.subscribe(kept)
    subscription = await call.subscribe(left)
    subscription.close()
    subscription.close()
    await call.reject(CommandRejected("no such thing", 422, request_id="7"))
    assert left.events == []
    ((_, error),) = kept.events
    assert isinstance(error, e.Error)
    assert (str(error.rejection), error.code, error.request_id) == ("no such thing", 422, "7")
    call.end("killed", "system")
    assert (left.closed, kept.closed) == ([], [1000])


async def test_client_that_comes_back_gets_the_call_and_the_next_token(house: House) -> None:
    call, token = await house.calls.open("websocket", MINE, house.endpoint, call_id="a", resumable=True)
    await call.command(c.Invite(), ME)
    again, following = await house.calls.reattach("a", token, MINE)
    assert (again.id, bool(following), following != token) == ("a", True, True)
    await house.calls.reattach("a", following, MINE)
    with pytest.raises(ForbiddenError):
        await house.calls.reattach("a", token, MINE)


async def test_call_that_waits_is_taken_once(house: House) -> None:
    conversation = await house.switch.open("w", "sip", Caller(house).party, Origin(), keep_events=True)
    conversation.awaits_client = True
    conversation.incoming(Caller(house).call)
    call = await house.calls.take("w", MINE)
    assert call is not None
    assert (await call.snapshot()).account == "me"
    assert await house.calls.take("w", MINE) is None
    assert await house.calls.take(None, MINE) is None
