"""A plain aiortc peer, from its first offer to its end: the switch itself has no `RTCPeerConnection`."""

import pytest
from aiortc import RTCSessionDescription

from tests.conformance.conftest import Switch
from tests.support import sound


@pytest.mark.row("4:option-offer", "4:candidate", "4:dtmf", "8:hold")
async def test_plain_peer_offers_trickles_talks_presses_offers_again_and_closes(switch: Switch) -> None:
    async with switch.rtc() as client:
        # The offer has no candidates: they trickle behind it.
        answer = await client.invite(offer=await client.offer(candidates=False), callee="echo", vad=False)
        await client.send("candidate", candidates=client.candidates())
        await client.accept(answer)
        await client.connected()

        async def both_ways() -> None:
            client.voice.say(sound.tone(440, 1.5))
            heard = await client.hear(2.0)
            assert sound.share(heard, 440, 48000) > 0.5

        await both_ways()
        # A later offer of aiortc's own, first to hold the call, then as before: the same connection goes on.
        peer = client.peer
        for direction, held in (("sendonly", True), ("sendrecv", False)):
            peer.getTransceivers()[0].direction = direction
            await client.send("offer", offer=await client.offer())
            assert (await client.wait("hold"))["onHold"] is held
            later = await client.wait("answer")
            await peer.setRemoteDescription(RTCSessionDescription(later["sdp"], "answer"))
        await both_ways()
        await client.press("42#")
        await client.until(lambda: client.count("dtmf") >= 3)
        assert "".join(event["digit"] for event in client.all("dtmf")) == "42#"
        # The peer goes without a word on the socket: DTLS tells that it has closed.
        await peer.close()
        hangup = await client.wait("hangup")
        assert hangup["reason"] in ("caller", "callee", "media_timeout"), hangup
        assert not client.count("error"), client.all("error")
