"""The client against the switch itself."""

import asyncio
from typing import Any

import numpy as np
import pytest

from softswitch import client
from softswitch.client import CommandFailedError, ConnectionFailedError, Mark, State, TrackEnd, TrackStart
from tests.support.switch import SwitchThread


@pytest.fixture(scope="module")
def switch(tmp_path_factory):
    with SwitchThread(tmp_path_factory.mktemp("client") / "data") as running:
        yield running


async def test_party_hears_what_is_said(switch):
    async with client.connect(switch.socket_url("/call"), id="client-hears") as call:
        assert call.id == "client-hears"
        await call.say("Hello there.", play_id="greeting")
        await call.mark("said")
        await call.wait(TrackEnd, 30, play_id="greeting")
        assert (await call.wait(Mark, 10)).mark == "said"
        await call.hangup()
        heard = np.frombuffer(b"".join([data async for data in call.audio()]), "<i2")
    assert call.state is State.DISCONNECTED
    assert call.end is not None
    assert call.end.reason == "user_requested"
    assert np.abs(heard).max() > 1000


async def test_echo_comes_back(switch):
    tone = (8000 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)).astype("<i2").tobytes()
    async with client.connect(switch.socket_url("/call"), option={"callee": "echo"}) as call:
        listening = asyncio.create_task(_take(call, 16000))
        await call.stream(tone)
        heard = np.frombuffer(await listening, "<i2")
    spectrum = np.abs(np.fft.rfft(heard[-8000:]))
    assert np.argmax(spectrum) * 2 == pytest.approx(440, abs=4)


async def _take(call, octets):
    taken = b""
    async with asyncio.timeout(60):
        async for data in call.audio():
            taken += data if taken or any(data) else b""
            if len(taken) >= octets:
                break
    return taken


async def test_refused_command_names_its_field(switch):
    async with client.connect(switch.socket_url("/call")) as call:
        with pytest.raises(CommandFailedError, match="digits"):
            await call.dtmf("hello")
        with pytest.raises(CommandFailedError, match="unknown"):
            await call.command("dance")
        await call.pause()


async def test_call_survives_its_socket(switch):
    async with client.connect(switch.socket_url("/call"), resume_s=20) as call:
        await call.say("This goes on while no client listens, and a little longer than that.", play_id="long")
        await call.wait(TrackStart, 30, play_id="long")
        link: Any = call._link
        socket = link._socket
        socket._response.connection.transport.abort()
        await call.wait(TrackEnd, 30, play_id="long")
        await call.mark("still here")
        assert (await call.wait(Mark, 10)).mark == "still here"
    states = [state async for state in call.states()]
    assert states == ["connecting", "connected", "reconnecting", "connected", "disconnected"]
    numbers = [event.seq or 0 async for event in call.events() if event.name != "resumed"]
    assert numbers == sorted(set(numbers))


async def test_an_id_that_is_taken_is_refused(switch):
    async with client.connect(switch.socket_url("/call"), id="taken"):
        with pytest.raises(ConnectionFailedError) as failed:
            async with client.connect(switch.socket_url("/call"), id="taken"):
                pass
        assert failed.value.status == 409


async def test_webrtc_offer_is_answered(switch):
    offer = "\r\n".join([
        "v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0",
        "m=audio 9 UDP/TLS/RTP/SAVPF 0", "c=IN IP4 0.0.0.0", "a=mid:0", "a=sendrecv", "a=rtcp-mux",
        "a=ice-ufrag:abcd", "a=ice-pwd:abcdefghijklmnopqrstuvwx", "a=setup:actpass",
        "a=fingerprint:sha-256 " + ":".join(["AB"] * 32), "a=rtpmap:0 PCMU/8000", "",
    ])  # fmt: skip
    async with client.connect(switch.socket_url("/call/webrtc"), option={"offer": offer}) as call:
        assert call.answer is not None
        assert call.answer.sdp.startswith("v=0")
        assert "PCMU/8000" in call.answer.sdp
        await call.candidates(["candidate:1 1 UDP 2122252543 127.0.0.1 9 typ host"])


async def test_call_over_sip_is_dialled_and_answered(switch):
    async with client.dial(switch.socket_url("/call/sip"), "echo", option={"vad": False}) as call:
        assert call.answer is not None
    with pytest.raises(client.CallEndedError, match="404"):
        async with client.dial(switch.socket_url("/call/sip"), "+4930123"):
            pass
