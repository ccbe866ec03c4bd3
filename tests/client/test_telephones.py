"""Telephone calls, against a pretended switch."""

import json

import pytest

from softswitch import client
from softswitch.client import CallEndedError, Hangup, Reject, TransferRequest
from softswitch.dialects.rustpbx import parse

INCOMING = {"caller": "200", "callee": "100", "sdp": "v=0", "headers": {"X-A": "1"}}


async def test_dial_says_who_calls_whom_and_how(pretence):
    switch, url = pretence
    async with client.dial(
        url, "+4930", caller="100", username="u", password="p", headers={"X-A": "1"}, option={"codec": "pcma"}
    ) as call:
        assert call.answer is not None
    assert switch.commands[0]["option"] == {
        "codec": "pcma",
        "caller": "100",
        "callee": "+4930",
        "sip": {"username": "u", "password": "p", "headers": {"X-A": "1"}},
    }


async def test_dial_that_is_refused_says_why(pretence):
    switch, url = pretence
    switch.first_events = [
        ("ringing", {"earlyMedia": True}),
        ("reject", {"code": 486, "reason": "Busy Here"}),
        ("hangup", {"reason": "busy"}),
    ]
    with pytest.raises(CallEndedError, match="486 Busy Here"):
        async with client.dial(url, "100"):
            pass


async def test_take_shows_who_calls_and_lets_the_application_decide(pretence):
    switch, url = pretence
    switch.greeting = [("incoming", INCOMING)]
    async with client.take(url, "dialog-1") as call:
        assert call.incoming is not None
        assert (call.incoming.caller, call.incoming.headers) == ("200", {"X-A": "1"})
        await call.ring(ringtone="http://x/tone.wav", recorder={"recorderFile": "a.wav"})
        await call.accept()
        await call.answered(5)
        await call.transfer("sip:bob@x", options={"autoHangup": False})
        await call.hangup(headers={"X-Why": "done"})
    assert switch.queries == [{"id": "dialog-1"}]
    assert [command["command"] for command in switch.commands] == ["ringing", "accept", "refer", "hangup"]
    assert switch.sent("refer")[0]["method"] == "refer"
    assert switch.sent("hangup")[0]["headers"] == {"X-Why": "done"}
    for command in switch.commands:
        parse(json.dumps(command))


async def test_take_of_nothing_does_not_wait_for_ever(pretence):
    _, url = pretence
    with pytest.raises(TimeoutError):
        async with client.take(url, "dialog-1", incoming_timeout_s=0.1):
            pass


async def test_reject_ends_the_call(pretence):
    switch, url = pretence
    switch.greeting = [("incoming", INCOMING)]
    switch.script["reject"] = [
        (
            "hangup",
            {
                "reason": "rejected",
                "from": "200",
                "to": {"username": "100", "realm": "example.org", "source": "sip:100@example.org"},
            },
        )
    ]
    async with client.take(url, "dialog-1") as call:
        await call.reject(code=603, reason="Decline")
        end = await call.wait(Hangup, 5)
        assert end.caller is not None
        assert end.callee is not None
        assert (end.caller.username, end.callee.username, end.callee.realm) == ("200", "100", "example.org")
    assert switch.sent("reject") == [{"command": "reject", "code": 603, "reason": "Decline"}]


async def test_events_of_transfers_are_typed(pretence):
    switch, url = pretence
    switch.script["tts"] = [
        ("transferRequest", {"referTo": "sip:bob@x", "referredBy": "sip:a@x"}),
        ("reject", {"trackId": "second", "code": 404, "reason": "not found"}),
    ]
    async with client.connect(url) as call:
        await call.say("hello")
        assert (await call.wait(TransferRequest, 5)).refer_to == "sip:bob@x"
        assert (await call.wait(Reject, 5)).code == 404
