"""Calls that come in, with telephones that do what the test says."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from softswitch.call.interfaces import IncomingCall, OutsideStream, StreamEar, StreamRequest
from softswitch.call.vocabulary import reports as r
from softswitch.call.vocabulary.commands import Accept, Reject, Ring
from softswitch.dialects.rustpbx.notifier import RustpbxNotifier
from softswitch.egress.signature import HEADER
from softswitch.errors import MalformedError
from softswitch.media import messages as m
from softswitch.settings import Route, Settings, Trunk, User, Webhook
from softswitch.switch.conversation.conversation import Conversation
from softswitch.switch.incoming.incoming import Incoming
from softswitch.switch.notify import webhook_sender
from softswitch.switch.notify.notifier import Notifier
from softswitch.switch.notify.webhook_sender import OPERATOR, WebhookSender, WebhookTerms
from softswitch.switch.origin import Origin
from tests.support.control import Hooks
from tests.switch.harness import Caller, FakeTelephone, House, settle

USERS = (User("alice", "secret", caller_id="+4930"), User("bob", "secret"))
TRUNKS = (Trunk("carrier", ("192.0.2.1",)), Trunk("other", ("192.0.2.2",)))


@pytest.fixture
async def hooks() -> AsyncIterator[Hooks]:
    async with Hooks() as server:
        yield server


class Told:
    """An announcer that says what the test wants."""

    def __init__(self, failure: str = "") -> None:
        self.failure = failure
        self.calls: list[tuple[IncomingCall, Conversation]] = []

    def wanted(self) -> bool:
        return True

    async def announce(self, call: IncomingCall, conversation: Conversation) -> str:
        self.calls.append((call, conversation))
        return self.failure


def house(tmp_path: Path, *routes: Route, **more: object) -> House:
    settings = Settings(user=USERS, trunk=TRUNKS, route=routes, **more)  # type: ignore[arg-type]
    return House(tmp_path, settings)


def incoming_of(
    house: House, *announcers: Told, notifier: Notifier | None = None, **terms: object
) -> Incoming:
    sender = WebhookSender(house.resources.egress, WebhookTerms(**terms))  # type: ignore[arg-type]
    return Incoming(house.switch, sender, notifier or RustpbxNotifier(), announcers)


async def call(house: House, caller: Caller, *announcers: Told) -> None:
    incoming_of(house, *announcers)(caller.call)
    await settle()


def live(home: House) -> Conversation:
    conversation = home.switch.find("dialog-1")
    assert conversation is not None
    return conversation


def waiting(home: House) -> Conversation:
    conversation = home.switch.pending("dialog-1")
    assert conversation is not None
    return conversation


def answered(leg: FakeTelephone, codec: str = "pcma") -> None:
    leg.says(r.LegAnswered, codec=codec)


# --- rules ----------------------------------------------------------------------------


async def test_rule_to_echo_answers_at_once(tmp_path):
    home = house(tmp_path, Route("9.*", "echo"))
    caller = Caller(home, "9000")
    await call(home, caller)
    assert caller.leg.verbs() == ["answer"]
    answered(caller.leg)
    await settle()
    assert live(home).call.state == "up"
    assert not home.engine.told(m.SetVad), "a call without an application runs no detector"
    assert not home.engine.told(m.SetInbandDtmf)


async def test_rule_to_a_stream_speaks_its_protocol(tmp_path):
    home = house(tmp_path, Route("9.*", "stream:ws://bot.example/", protocol="twilio"))
    requests: list[StreamRequest] = []

    def refuse(request: StreamRequest, ear: StreamEar) -> OutsideStream:
        requests.append(request)
        raise MalformedError("this test has no service")

    home.resources.streams = refuse
    caller = Caller(home, "9000")
    await call(home, caller)
    answered(caller.leg)
    await settle()
    [request] = requests
    assert (request.url, request.protocol, request.two_way) == ("ws://bot.example/", "twilio", True)


async def test_rule_rings_the_callee_before_it_answers_the_caller(tmp_path):
    home = house(tmp_path, Route("1..", "user:alice"))
    caller = Caller(home, "100")
    await call(home, caller)
    (callee,) = home.telephones.legs
    assert (callee.request.callee, callee.request.caller, callee.request.offer) == ("alice", "+491", "")
    callee.says(r.LegRinging)
    await settle()
    assert caller.leg.did == [("ring", False)]
    callee.says(r.LegRinging, early_media=True)
    await settle()
    assert caller.leg.did == [("ring", False), ("ring", True)]
    answered(callee, "opus")
    await settle()
    assert caller.leg.did[-1] == ("answer",)
    assert caller.leg.request.codec == "opus", "what the callee speaks needs no conversion"
    assert caller.leg.request.mix == callee.request.mix
    answered(caller.leg, "opus")
    callee.says(r.LegEnded, "callee", "callee", headers={"X-Why": "done"})
    await settle()
    assert caller.leg.did[-1] == ("hangup", "callee", {"X-Why": "done"})
    assert len(home.switch) == 0
    (record,) = home.store.ended
    assert (record.direction, record.kind, record.reason, record.callee) == (
        "inbound",
        "sip",
        "callee",
        "100",
    )


@pytest.mark.parametrize(("code", "reason"), [(486, "busy"), (404, "rejected"), (480, "no_answer")])
async def test_rule_passes_the_code_of_a_refusal_back(tmp_path, code, reason):
    home = house(tmp_path, Route("1..", "user:alice"))
    caller = Caller(home, "100")
    await call(home, caller)
    home.telephones.legs[0].says(r.LegRejected, code, "Because", True)
    await settle()
    assert ("reject", code, "Because") in caller.leg.did
    assert home.store.ended[0].reason == reason


async def test_caller_who_gives_up_stops_the_ringing(tmp_path):
    home = house(tmp_path, Route("1..", "user:alice"))
    caller = Caller(home, "100")
    await call(home, caller)
    caller.leg.says(r.LegEnded, "caller", "caller")
    await settle()
    assert home.telephones.legs[0].verbs() == ["answer", "hangup"]
    assert "reject" not in caller.leg.verbs()


async def test_rule_to_a_trunk_names_it_and_shows_the_users_number(tmp_path):
    home = house(tmp_path, Route(r"0(\d+)", "trunk:carrier", number=r"+49\1"))
    caller = Caller(home, "030123", source="user", name="alice")
    await call(home, caller)
    request = home.telephones.legs[0].request
    assert (request.callee, request.trunk, request.caller) == ("+4930123", "carrier", "+4930")


async def test_call_from_a_trunk_goes_to_a_trunk_only_where_the_rule_names_it(tmp_path):
    home = house(tmp_path, Route("0.*", "trunk:carrier"))
    caller = Caller(home, "030", source="trunk", name="other")
    await call(home, caller)
    assert caller.rejected == [(404, "Not Found")]
    home = house(tmp_path, Route("0.*", "trunk:carrier", trunk="other"))
    caller = Caller(home, "030", source="trunk", name="other")
    await call(home, caller)
    assert home.telephones.legs[0].request.trunk == "carrier"
    assert live(home).source.trunk == "other"


@pytest.mark.parametrize(
    ("callee", "rejected"),
    [("blocked", (403, "Forbidden")), ("alice", (480, "Temporarily Unavailable")), ("x", (404, "Not Found"))],
)
async def test_call_for_nobody_is_refused_before_anything_is_made(tmp_path, callee, rejected):
    home = house(tmp_path, Route("blocked", "reject:403"))
    caller = Caller(home, callee)
    await call(home, caller)
    assert caller.rejected == [rejected]
    assert not caller.made
    assert len(home.switch) == 0


async def test_room_that_nobody_can_dial_yet_is_not_found(tmp_path):
    home = house(tmp_path, Route("7.*", "room:lobby"))
    caller = Caller(home, "700")
    await call(home, caller)
    assert caller.leg.did[0][:2] == ("reject", 404)


async def test_registered_user_is_rung_without_a_rule(tmp_path):
    home = house(tmp_path)
    home.telephones.there.add("bob")
    caller = Caller(home, "bob", source="user", name="alice")
    await call(home, caller)
    assert home.telephones.legs[0].request.callee == "bob"
    assert live(home).source.user == "alice"


async def test_call_beyond_the_limits_is_refused(tmp_path):
    home = House(tmp_path, Settings(route=(Route(".*", "echo"),)), calls=1)
    first, second = Caller(home), Caller(home, id="dialog-2")
    await call(home, first)
    await call(home, second)
    assert second.rejected == [(503, "Service Unavailable")]


async def test_call_id_that_is_taken_gets_another_one(tmp_path):
    home = house(tmp_path, Route(".*", "echo"))
    await call(home, Caller(home))
    await call(home, Caller(home))
    assert len(home.switch) == 2


# --- applications ---------------------------------------------------------------------


async def test_announced_call_waits_to_be_accepted(tmp_path):
    home, told = house(tmp_path), Told()
    caller = Caller(home)
    await call(home, caller, told)
    assert caller.leg.did == []
    conversation = waiting(home)
    home.switch.take(conversation, Origin("key", "10.0.0.1"))
    assert home.switch.pending("dialog-1") is None, "no second application can take it"
    conversation.command(Ring(early_media=True))
    assert caller.leg.did == [("ring", True)]
    conversation.command(Accept())
    assert caller.leg.did == [("ring", True), ("answer",)]
    answered(caller.leg)
    await settle()
    assert conversation.call.state == "up"
    assert home.engine.told(m.SetVad), "an application gets the event that the caller speaks"


async def test_announced_call_is_rejected_with_code_and_reason(tmp_path):
    home, told = house(tmp_path), Told()
    caller = Caller(home)
    await call(home, caller, told)
    waiting(home).command(Reject(code=603, reason="Not today"))
    await settle()
    assert ("reject", 603, "Not today") in caller.leg.did
    assert home.store.ended[0].reason == "rejected"


async def test_announcement_that_all_fail_is_answered_with_503_at_once(tmp_path):
    home = house(tmp_path)
    caller = Caller(home)
    await call(home, caller, Told("down"), Told("gone"))
    assert caller.leg.did[0][:2] == ("reject", 503)


async def test_one_announcement_that_arrives_is_enough(tmp_path):
    home = house(tmp_path)
    caller = Caller(home)
    await call(home, caller, Told("down"), Told())
    assert caller.leg.did == []
    assert home.switch.pending("dialog-1")


async def test_webhook_that_is_unreachable_is_a_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(webhook_sender, "PAUSES_SOON_S", (0.01,))
    home = house(tmp_path, webhook=Webhook(url="http://127.0.0.1:9/"))
    caller = Caller(home)
    incoming = incoming_of(home)
    incoming(caller.call)
    await settle()
    async with asyncio.timeout(5):
        await caller.leg.rejected.wait()
    assert caller.leg.did[0][:2] == ("reject", 503)


async def test_webhook_that_loses_one_post_does_not_cost_the_caller(tmp_path, hooks, monkeypatch):
    monkeypatch.setattr(webhook_sender, "PAUSES_SOON_S", (0.01,))
    home = house(tmp_path, webhook=Webhook(url=hooks.url()))
    statuses = iter((500, 204))
    hooks.answer = lambda body: _status(next(statuses))
    caller = Caller(home)
    incoming_of(home, secrets={OPERATOR: "s"})(caller.call)
    await hooks.until(lambda: len(hooks.requests) == 2)
    await settle()
    assert caller.leg.did == []
    assert waiting(home).id == "dialog-1"
    (_, first, _), (_, second, _) = hooks.requests
    assert HEADER in first, "the webhook of the settings is signed"
    assert first["X-Softswitch-Event-Id"] == second["X-Softswitch-Event-Id"]
    assert hooks.bodies[0]["dialogId"] == "dialog-1"


async def test_webhook_that_is_silent_costs_the_caller_three_seconds_at_most(tmp_path, hooks, monkeypatch):
    assert webhook_sender.ANNOUNCE_S == 3.0
    monkeypatch.setattr("softswitch.switch.incoming.announcing.ANNOUNCE_S", 0.2)
    silent = asyncio.Event()

    async def hang(body):
        await silent.wait()
        return 204

    home = house(tmp_path, webhook=Webhook(url=hooks.url()))
    hooks.answer = hang
    caller = Caller(home)
    incoming_of(home, timeout_s=60.0)(caller.call)
    await settle()
    async with asyncio.timeout(20):
        await caller.leg.rejected.wait()
    assert caller.leg.did[0][:2] == ("reject", 503)
    silent.set()


async def test_webhook_that_says_not_found_is_not_asked_again(tmp_path, hooks):
    home = house(tmp_path, webhook=Webhook(url=hooks.url()))
    hooks.answer = lambda body: _status(404)
    caller = Caller(home)
    incoming_of(home)(caller.call)
    await settle()
    async with asyncio.timeout(5):
        await caller.leg.rejected.wait()
    assert caller.leg.did[0][:2] == ("reject", 503)
    assert len(hooks.requests) == 1


async def test_status_of_a_call_by_a_rule_is_posted_signed_and_again(tmp_path, hooks, monkeypatch):
    monkeypatch.setattr(webhook_sender, "PAUSES_S", (0.01,))
    home = house(tmp_path, Route("9.*", "echo", status_callback=hooks.url()))
    statuses = iter((503, 200, 200))
    hooks.answer = lambda body: _status(next(statuses))
    caller = Caller(home, "9000")
    incoming_of(home, secrets={OPERATOR: "s"})(caller.call)
    await settle()
    answered(caller.leg)
    caller.leg.says(r.LegEnded, "caller", "caller")
    await hooks.until(lambda: len(hooks.requests) == 3)
    assert [body["event"] for body in hooks.bodies] == ["answer", "answer", "hangup"]
    assert {body["dialogId"] for body in hooks.bodies} == {"dialog-1"}
    assert all(HEADER in headers for _, headers, _ in hooks.requests)


async def _status(status: int) -> int:
    return status


# --- transfers ------------------------------------------------------------------------


async def connected(home: House, **more: object) -> tuple[Caller, FakeTelephone]:
    """Connect a caller with alice by a rule."""
    home.telephones.there.add("bob")
    caller = Caller(home, "100", **more)
    await call(home, caller)
    callee = home.telephones.legs[-1]
    answered(callee)
    await settle()
    answered(caller.leg)
    await settle()
    return caller, callee


@pytest.mark.parametrize("asker", ["caller", "callee"])
async def test_blind_transfer_puts_the_new_party_in_the_askers_place(tmp_path, asker):
    home = house(tmp_path, Route("1..", "user:alice"))
    caller, callee = await connected(home)
    asks, stays = (caller.leg, callee) if asker == "caller" else (callee, caller.leg)
    asks.says(r.TransferRequested, "sip:bob@127.0.0.1", "sip:x@127.0.0.1")
    await settle()
    assert asks.verbs()[-1] == "accept_transfer"
    new = home.telephones.legs[-1]
    assert new.request.callee == "bob"
    assert new.request.headers == {"Referred-By": "sip:x@127.0.0.1"}
    new.says(r.LegRinging)
    answered(new)
    await settle()
    assert asks.did[-3:] == [
        ("transfer_progress", 180),
        ("transfer_progress", 200),
        ("hangup", "transferred", {}),
    ]
    assert "hangup" not in stays.verbs()
    new.says(r.DigitReceived, 100.0, "5", method="info")
    await settle()
    assert stays.did[-1] == ("dtmf", "5")
    new.says(r.LegEnded, "callee", "callee")
    await settle()
    assert stays.verbs()[-1] == "hangup"
    assert len(home.switch) == 0


async def test_blind_transfer_goes_on_when_the_asker_hangs_up_at_once(tmp_path):
    home = house(tmp_path, Route("1..", "user:alice"))
    caller, callee = await connected(home)
    callee.says(r.TransferRequested, "sip:bob@127.0.0.1", "")
    await settle()
    callee.says(r.LegEnded, "callee", "callee")
    await settle()
    assert "hangup" not in caller.leg.verbs()
    answered(home.telephones.legs[-1])
    await settle()
    caller.leg.says(r.LegEnded, "caller", "caller")
    await settle()
    assert home.telephones.legs[-1].verbs()[-1] == "hangup"


async def test_transfer_that_fails_leaves_both_where_they_were(tmp_path):
    home = house(tmp_path, Route("1..", "user:alice"))
    caller, callee = await connected(home)
    callee.says(r.TransferRequested, "sip:bob@127.0.0.1", "")
    await settle()
    home.telephones.legs[-1].says(r.LegRejected, 486, "Busy Here")
    await settle()
    assert callee.did[-1] == ("transfer_progress", 486)
    assert len(home.switch) == 1
    assert "hangup" not in caller.leg.verbs()


async def test_attended_transfer_joins_the_two_far_ends(tmp_path):
    home = house(tmp_path, Route("1..", "user:alice"))
    first, alice = await connected(home)
    alice_calls, bob = await connected(home, id="dialog-2", source="user", name="alice")
    alice.says(r.TransferRequested, "sip:bob@127.0.0.1", "", replaces=alice_calls.leg.dialog)
    await settle()
    assert alice.did[-2:] == [("transfer_progress", 200), ("hangup", "transferred", {})]
    assert alice_calls.leg.verbs()[-1] == "hangup"
    mixes = {join.port: join.mix for join in home.engine.told(m.JoinMix)}
    assert mixes[bob.request.port] == first.leg.request.mix
    bob.says(r.DigitReceived, 100.0, "9", method="info")
    await settle()
    assert first.leg.did[-1] == ("dtmf", "9")
    bob.says(r.LegEnded, "callee", "callee")
    await settle()
    assert first.leg.verbs()[-1] == "hangup"
    assert len(home.switch) == 0


async def test_attended_transfer_to_a_strange_dialog_dials_with_replaces(tmp_path):
    home = house(tmp_path, Route("1..", "user:alice"))
    _, alice = await connected(home)
    alice.says(r.TransferRequested, "sip:bob@127.0.0.1", "", replaces=("id", "to", "from"))
    await settle()
    assert home.telephones.legs[-1].request.headers == {"Replaces": "id;to-tag=to;from-tag=from"}


async def test_second_transfer_is_refused_while_one_is_under_way(tmp_path):
    home = house(tmp_path, Route("1..", "user:alice"))
    caller, callee = await connected(home)
    callee.says(r.TransferRequested, "sip:bob@127.0.0.1", "")
    caller.leg.says(r.TransferRequested, "sip:bob@127.0.0.1", "")
    await settle()
    assert caller.leg.did[-1] == ("transfer_progress", 491)


async def test_keys_and_texts_cross_a_connected_call(tmp_path):
    home = house(tmp_path, Route("1..", "user:alice"))
    caller, callee = await connected(home)
    caller.leg.says(r.DigitReceived, 100.0, "1", method="info")
    caller.leg.says(r.DigitReceived, 100.0, "2", crossed=True)
    callee.says(r.DigitReceived, 100.0, "3")
    caller.leg.says(r.TextReceived, "hello", "text/plain")
    callee.says(r.TextReceived, "there", "text/plain")
    await settle()
    assert callee.did[-2:] == [("dtmf", "1"), ("message", "hello", "text/plain")]
    assert caller.leg.did[-2:] == [("dtmf", "3"), ("message", "there", "text/plain")]


@pytest.mark.parametrize(
    ("target", "callee", "trunk"),
    [
        ("sip:7@127.0.0.1", "echo", ""),
        ("sip:0123@127.0.0.1", "+49123", "carrier"),
        ("sip:x@192.0.2.9", "sip:x@192.0.2.9", ""),
    ],
)
async def test_transfer_goes_by_the_rules(tmp_path, target, callee, trunk):
    home = house(
        tmp_path,
        Route("1..", "user:alice"),
        Route("7", "echo"),
        Route(r"0(\d+)", "trunk:carrier", number=r"+49\1"),
    )
    _, alice = await connected(home)
    alice.says(r.TransferRequested, target, "")
    await settle()
    request = home.endpoints[-1].request if callee == "echo" else home.telephones.legs[-1].request
    assert (request.callee, request.trunk) == (callee, trunk)


async def test_transfer_to_nobody_is_told_so(tmp_path):
    home = house(tmp_path, Route("1..", "user:alice"))
    _, alice = await connected(home)
    alice.says(r.TransferRequested, "sip:0123@127.0.0.1", "")
    await settle()
    assert alice.did[-1] == ("transfer_progress", 404)


async def test_stranger_behind_a_trunk_cannot_make_us_dial(tmp_path):
    home = house(tmp_path, Route("1..", "user:alice"), Route("0.*", "trunk:carrier"))
    caller, _ = await connected(home, source="trunk", name="other")
    caller.leg.says(r.TransferRequested, "sip:0900@127.0.0.1", "")
    await settle()
    assert caller.leg.did[-1] == ("transfer_progress", 603)
    assert "accept_transfer" not in caller.leg.verbs()

    user = Caller(home, "030", id="dialog-2", source="user", name="alice")
    await call(home, user)
    outside = home.telephones.legs[-1]
    outside.says(r.LegAnswered, codec="pcma", trunk="carrier")
    answered(user.leg)
    outside.says(r.TransferRequested, "sip:0900@127.0.0.1", "")
    await settle()
    assert outside.did[-1] == ("transfer_progress", 603)
    user.leg.says(r.LegEnded, "caller", "caller")
    await settle()
    assert home.store.ended[-1].trunk == "carrier"
