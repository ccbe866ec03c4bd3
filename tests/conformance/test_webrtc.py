"""What holds for `/call/webrtc` alone: codecs, candidates, ICE restart, hold, keys."""

import asyncio
import re
import time

import pytest

from tests.conformance.conftest import Switch
from tests.support import sound
from tests.support.webrtc import EVENT_TYPE, RtcClient

RATE = 48000


async def hears_itself(client: RtcClient, hz: float = 700) -> None:
    """Make sure that what the client says comes back."""
    client.voice.say(sound.tone(hz, 6))
    await client.until(
        lambda: sound.share(client.heard()[-RATE // 2 :], hz, RATE) > 0.8,
        what=f"no echo of {hz} Hz, but level {sound.level(client.heard()[-RATE // 2 :])}",
    )


@pytest.mark.row("4:option-codec", "4:callee-echo", "8:answer")
@pytest.mark.parametrize("codec", ["opus", "G722", "PCMU", "PCMA"])
async def test_codec_is_negotiated_and_carries_sound(switch: Switch, codec: str) -> None:
    async with switch.rtc() as client:
        answer = await client.call([codec], callee="echo", vad=False)
        assert re.search(f"a=rtpmap:[0-9]+ {codec}/", answer["sdp"], re.IGNORECASE)
        assert "audio" not in answer
        await hears_itself(client)
        await client.hang_up()


@pytest.mark.row("4:option-codec")
async def test_codec_option_is_a_preference_and_not_a_condition(switch: Switch) -> None:
    async with switch.rtc() as client:
        answer = await client.call(codec="pcma", callee="echo", vad=False)
        line = next(line for line in answer["sdp"].splitlines() if line.startswith("m=audio"))
        assert line.split()[3] == "8", line
        await hears_itself(client)
        await client.hang_up()
    async with switch.rtc() as client:
        answer = await client.call(["opus"], codec="g722", vad=False)
        assert "opus" in answer["sdp"]
        await client.hang_up()


@pytest.mark.row("4:callee-tone")
async def test_tone_is_heard_by_webrtc(switch: Switch) -> None:
    async with switch.rtc() as client:
        await client.call(callee="tone", vad=False)
        await client.hear(0.5)
        heard = await client.hear(1.0)
        assert sound.level(heard) > 300
        await client.hang_up()


@pytest.mark.row("4:tts")
async def test_speech_is_heard_by_webrtc(switch: Switch) -> None:
    async with switch.rtc() as client:
        await client.call(vad=False)
        since = time.monotonic()
        await client.send("tts", text="Hello, can you hear me well?", playId="p", endOfStream=True)
        end = await client.wait("trackEnd", lambda event: event.get("playId") == "p")
        await asyncio.sleep(0.3)
        loud = sound.loud_ms(client.heard(since), RATE)
        assert 0.4 * end["duration"] < loud <= end["duration"] + 100
        await client.hang_up()


@pytest.mark.row("4:candidate")
async def test_offer_without_candidates_connects(switch: Switch) -> None:
    """The peer learns the switch's addresses by its checks."""
    async with switch.rtc() as client:
        await client.accept(
            await client.invite(offer=await client.offer(candidates=False), callee="echo", vad=False)
        )
        await client.connected()
        await hears_itself(client)
        await client.hang_up()


@pytest.mark.row("4:candidate")
async def test_candidates_may_trickle(switch: Switch) -> None:
    async with switch.rtc() as client:
        answer = await client.invite(offer=await client.offer(candidates=False), callee="echo", vad=False)
        await client.send("candidate", candidates=client.candidates())
        await client.accept(answer)
        await client.connected()
        await hears_itself(client)
        assert not client.count("error")
        await client.hang_up()


@pytest.mark.row("4:ice-candidate-spelling", "4:candidate")
@pytest.mark.parametrize("index", ["sdpMLineIndex", "sdpMlineIndex"])
@pytest.mark.parametrize("shape", ["addIceCandidate", "objects", "nested", "flat"])
async def test_candidates_come_in_every_spelling(switch: Switch, index: str, shape: str) -> None:
    async with switch.rtc() as client:
        answer = await client.invite(offer=await client.offer(candidates=False), vad=False)
        for line in client.candidates():
            one = {"candidate": line, "sdpMid": "0", index: 0}
            match shape:
                case "addIceCandidate":
                    await client.send("addIceCandidate", **one)
                case "objects":
                    await client.send("candidate", candidates=[one])
                case "nested":
                    await client.send("addIceCandidate", candidate=one)
                case _:
                    await client.send("candidate", **one)
        await client.send("mark", name="alive")
        await client.wait("mark")
        assert not client.count("error"), client.all("error")
        await client.accept(answer)
        await client.connected()
        await client.hang_up()


@pytest.mark.row("4:candidate")
async def test_bad_candidates_are_an_error_at_most(switch: Switch) -> None:
    async with switch.rtc() as client:
        await client.call(callee="echo", vad=False)
        for line in (
            "nonsense",
            "",
            "candidate:1 1 UDP 2122252543 192.168.1.1 12345 typ host",
            "candidate:1 1 UDP 2122252543 a1b2c3.local 12345 typ host",
            "candidate:1 1 TCP 2122252543 192.168.1.1 9 typ host tcptype active",
            "candidate:1 2 UDP 2122252543 192.168.1.1 12345 typ host",
            "candidate:" + "9" * 500,
        ):
            await client.send("candidate", candidates=[line])
        await hears_itself(client)
        await client.hang_up()


@pytest.mark.row("4:option-offer")
async def test_offer_with_mdns_candidates_is_answered_at_once_and_connects(switch: Switch) -> None:
    async with switch.rtc() as client:
        offer = await client.offer()
        hidden = re.sub(r"(a=candidate:\S+ \d+ \S+ \d+) 127\.0\.0\.1", r"\1 0d1e2f3a-1b2c.local", offer)
        assert ".local" in hidden
        asked = time.monotonic()
        answer = await client.invite(offer=hidden, callee="echo", vad=False)
        assert client.when(answer) - asked < 0.9, "mDNS takes a second to fail"
        await client.accept(answer)
        await client.connected()
        await hears_itself(client)
        await client.hang_up()


@pytest.mark.row("4:option-offer")
async def test_ice_restart_keeps_the_call(switch: Switch) -> None:
    async with switch.rtc() as client:
        await client.call(callee="echo", vad=False)
        await hears_itself(client)
        old = client.peer.localDescription.sdp
        ufrag = re.search(r"a=ice-ufrag:(\S+)", old)
        assert ufrag is not None
        fresh = old.replace(ufrag[1], ufrag[1][::-1] + "x")
        await client.send("offer", offer=fresh)
        answer = await client.wait("answer")
        again = re.search(r"a=ice-ufrag:(\S+)", answer["sdp"])
        first = re.search(r"a=ice-ufrag:(\S+)", client.all("answer")[0]["sdp"])
        assert again is not None
        assert first is not None
        assert again[1] != first[1], "a restart gives new credentials (RFC 8445 section 9)"
        assert not client.count("hangup")
        await client.hang_up()


@pytest.mark.row("8:hold")
async def test_hold_and_its_end_are_told(switch: Switch) -> None:
    async with switch.rtc() as client:
        await client.call(callee="echo", vad=False)
        await hears_itself(client)
        plain = client.peer.localDescription.sdp
        for direction, held in (
            ("sendonly", True),
            ("sendrecv", False),
            ("inactive", True),
            ("sendrecv", False),
        ):
            await client.send("offer", offer=plain.replace("a=sendrecv", f"a={direction}"))
            assert (await client.wait("hold"))["onHold"] is held
        await hears_itself(client)
        await client.hang_up()


@pytest.mark.row("4:option-offer")
async def test_bad_later_offer_is_an_error_and_the_call_lives(switch: Switch) -> None:
    async with switch.rtc() as client:
        await client.call(callee="echo", vad=False)
        await client.send("offer", offer="not SDP")
        await client.wait("error")
        await hears_itself(client)
        await client.hang_up()


@pytest.mark.row("8:dtmf", "6:dtmf-rfc4733")
@pytest.mark.parametrize("ends", [3, 0])
async def test_keys_become_one_event_each(switch: Switch, ends: int) -> None:
    async with switch.rtc() as client:
        answer = await client.call(vad=False)
        assert f"a=rtpmap:{EVENT_TYPE} telephone-event/48000" in answer["sdp"]
        await client.press("1590*#AD", ends=ends)
        await client.until(lambda: client.count("dtmf") >= 8)
        await asyncio.sleep(0.5)
        assert "".join(event["digit"] for event in client.all("dtmf")) == "1590*#AD"
        assert {event["method"] for event in client.all("dtmf")} == {"rfc4733"}
        await client.hang_up()


@pytest.mark.row("6:dtmf-inband")
async def test_keys_as_tones_become_events_where_switched_on(switch: Switch) -> None:
    async with switch.rtc() as client:
        await client.call(inbandDtmf=True, vad=False)
        rows, columns = {"5": 770, "9": 852}, {"5": 1336, "9": 1477}
        for digit in "59":
            mixed = sound.tone(rows[digit], 0.15) // 2 + sound.tone(columns[digit], 0.15) // 2
            await client.speak(sound.join(mixed, sound.silence(0.2)))
        await client.until(lambda: client.count("dtmf") >= 2)
        assert [event["digit"] for event in client.all("dtmf")] == ["5", "9"]
        assert {event["method"] for event in client.all("dtmf")} == {"inband"}
        await client.hang_up()


@pytest.mark.row("4:dtmf")
async def test_digits_are_sent_to_the_browser(switch: Switch) -> None:
    async with switch.rtc() as client:
        await client.call(vad=False)
        await client.send("dtmf", digits="42", requestId="1")
        await client.wait("ack")
        assert not client.count("error")
        await client.hang_up()


async def test_stranger_who_sends_datagrams_harms_no_call(switch: Switch) -> None:
    """An empty datagram, a ClientHello, an alert, noise: from a port that no candidate names."""
    async with switch.rtc() as client:
        answer = await client.call(callee="echo", vad=False)
        port = int(re.findall(r"a=candidate:\S+ 1 \S+ \d+ 127\.0\.0\.1 (\d+)", answer["sdp"])[0])
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=("127.0.0.1", port)
        )
        hello = bytes.fromhex("16feff0000000000000000003a010000") + bytes(60)
        for datagram in (b"", b"\x00", hello, b"\x15\xfe\xfd" + bytes(12), b"\x80" * 40, b"\xff" * 1400) * 10:
            transport.sendto(datagram)
        await hears_itself(client)
        transport.close()
        await client.hang_up()
