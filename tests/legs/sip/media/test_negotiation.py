import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from softswitch.errors import NotNowError, PeerError, RejectedError
from softswitch.legs.sip.media.negotiation import SipMedia
from softswitch.legs.sip.media.shared import MediaOptions, SipMediaShared
from softswitch.media.messages import (
    AddRtpPort,
    ConnectPlain,
    ConnectSecure,
    Message,
    RemovePort,
    SendDigits,
    SetDirection,
    SetHeld,
    UpdateRtp,
)
from softswitch.sdp import NotAcceptableError, SdpError, crypto_lines, parse
from tests.conftest import data_path
from tests.legs.sip.media.media_pair import Owner, pair, shared_of
from tests.sdp.test_negotiate import EDGE

Kind = TypeVar("Kind")
HEAD = "v=0\r\no=far 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
EVENTS = "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n"
PHONE = HEAD + "m=audio 40000 RTP/AVP 8 0 101\r\n" + EVENTS + "a=ptime:20\r\n"
REACTIONS = EDGE | {"c-per-media": "488"}
"""As of `negotiate`; that one is for IPv6, and these media are IPv4."""

CRYPTO = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{}\r\n"


@dataclass
class StubEngine:
    """Remembers what it is told, and closes the sockets it is given."""

    messages: list[Message] = field(default_factory=list)
    is_full: bool = False

    def post(self, message: Message) -> None:
        if self.is_full and isinstance(message, ConnectPlain):
            raise NotNowError("the media engine does not keep up")
        self.messages.append(message)
        if isinstance(message, ConnectPlain | ConnectSecure):
            os.close(message.fd)
        if isinstance(message, ConnectPlain) and message.rtcp_fd >= 0:
            os.close(message.rtcp_fd)

    def deliver(self, port: int, datagram: bytes) -> None:
        del port, datagram

    def of(self, kind: type[Kind]) -> list[Kind]:
        return [message for message in self.messages if isinstance(message, kind)]


class Leg:
    """A leg's media with a stub behind and an owner before it."""

    def __init__(self, options: MediaOptions, **shared: Any) -> None:
        self.engine = StubEngine()
        self.owner = Owner()
        self.shared: SipMediaShared = shared_of(self.engine, ports=(45200, 45399), **shared)
        self.media = SipMedia(self.shared, 1, 100, options, self.owner)


@asynccontextmanager
async def leg(options: MediaOptions | None = None) -> AsyncIterator[Leg]:
    made = Leg(options or MediaOptions())
    try:
        yield made
    finally:
        made.media.close()
        await made.media.closed()
        assert made.shared.sockets.in_use == 0


def version(sdp: str) -> int:
    return int(parse(sdp).origin.version)


def directed(sdp: str, direction: str) -> str:
    return sdp.replace("a=sendrecv\r\n", "").rstrip() + f"\r\na={direction}\r\n"


# --- answers ---------------------------------------------------------------------------------


async def test_answer_has_one_codec_and_its_events() -> None:
    async with leg() as made:
        answer = await made.media.answer(PHONE)
        assert "RTP/AVP 8 101\r\n" in answer
        assert "a=sendrecv\r\n" in answer
        assert "rtcp-mux" not in answer
        [added] = made.engine.of(AddRtpPort)
        assert (added.port, added.mix, added.rtp.send.name) == (1, 100, "PCMA")
        [connected] = made.engine.of(ConnectPlain)
        assert (connected.remote_host, connected.remote_port) == ("127.0.0.1", 40000)
        assert (connected.rtcp_remote_port, connected.profile) == (40001, "")
        assert made.media.local_sdp == answer
        assert not made.media.pending


async def test_preferred_codec_is_chosen_and_others_are_not() -> None:
    async with leg(MediaOptions(preferred="pcmu")) as made:
        assert "RTP/AVP 0 101\r\n" in await made.media.answer(PHONE)
    async with leg(MediaOptions(codecs=("G722", "PCMU"))) as made:
        assert "RTP/AVP 0 101\r\n" in await made.media.answer(PHONE)
    async with leg(MediaOptions(codecs=("opus",))) as made:
        with pytest.raises(NotAcceptableError, match="opus"):
            await made.media.answer(PHONE)


@pytest.mark.parametrize("name", EDGE)
async def test_edge_cases_are_answered_or_refused_as_asked(name: str) -> None:
    text = data_path("sdp", "edge", f"{name}.sdp").read_bytes().decode("latin-1")
    async with leg() as made:
        if (expected := REACTIONS[name]).isdigit():
            with pytest.raises(PeerError) as refused:
                await made.media.answer(text)
            assert str(refused.value.code) == expected
            assert made.media.agreement is None
            assert made.engine.messages == []
        else:
            answer = await made.media.answer(text)
            assert made.media.agreement is not None
            assert made.media.agreement.codec.name == expected
            assert len(parse(answer).media) == len(parse(text).media)


async def test_second_section_serves_where_the_first_cannot() -> None:
    section = "m=audio 40002 RTP/SAVP 0\r\n" + CRYPTO.format("A" * 40)
    async with leg(MediaOptions(srtp="off")) as made:
        answer = parse(await made.media.answer(HEAD + section + "m=audio 40004 RTP/AVP 0\r\n"))
        assert [bool(media.port) for media in answer.media] == [False, True]
    async with leg(MediaOptions(srtp="sdes")) as made:
        answer = parse(await made.media.answer(HEAD + "m=audio 40004 RTP/AVP 0\r\n" + section))
        assert [bool(media.port) for media in answer.media] == [False, True]


async def test_what_is_wished_of_encryption_decides_who_is_answered() -> None:
    secure = HEAD + "m=audio 40002 RTP/SAVP 0\r\n" + CRYPTO.format("A" * 40)
    async with leg(MediaOptions(srtp="off")) as made:
        with pytest.raises(NotAcceptableError, match="keys"):
            await made.media.answer(secure)
    for srtp in ("sdes", "dtls"):
        async with leg(MediaOptions(srtp=srtp)) as made:
            with pytest.raises(NotAcceptableError, match="keys"):
                await made.media.answer(PHONE)
            assert "RTP/SAVP 0\r\n" in await made.media.answer(secure)


async def test_optional_keys_are_used() -> None:
    async with leg() as made:
        answer = await made.media.answer(PHONE + CRYPTO.format("A" * 40))
        assert "RTP/AVP 8 101\r\n" in answer
        [line] = crypto_lines(parse(answer).media[0])
        [connected] = made.engine.of(ConnectPlain)
        assert (connected.send_key, connected.receive_key) == (line.key, bytes(30))


async def test_ip_6_peer_is_refused_where_our_media_are_ip_4() -> None:
    async with leg() as made:
        with pytest.raises(NotAcceptableError, match="IPv6"):
            await made.media.answer(PHONE.replace("c=IN IP4 127.0.0.1", "c=IN IP6 2001:db8::1"))


async def test_announced_address_is_ours_that_of_the_router_or_that_wished() -> None:
    async with leg() as made:
        assert "c=IN IP4 127.0.0.1\r\n" in await made.media.answer(PHONE)
        made.shared.address_toward = {"": "203.0.113.5", "10.0.0.9": "192.0.2.8"}.__getitem__
        other = SipMedia(made.shared, 2, 100, MediaOptions(), made.owner)
        assert "c=IN IP4 203.0.113.5\r\n" in await other.answer(PHONE)
        third = SipMedia(made.shared, 3, 100, MediaOptions(remote="10.0.0.9"), made.owner)
        text = await third.answer(PHONE)
        assert "c=IN IP4 192.0.2.8\r\n" in text
        assert " IN IP4 192.0.2.8\r\n" in text.split("\r\n")[1] + "\r\n"
        for item in (other, third):
            item.close()
            await item.closed()


@pytest.mark.parametrize("host", ["::1", "::"])
async def test_media_may_be_of_ip_6(host: str) -> None:
    require_ip_6()
    options = MediaOptions(srtp="dtls", codecs=("PCMU",), remote="::1")
    for srtp in ("allowed", "dtls"):
        async with pair(replace(options, srtp=srtp), host=host) as both:
            offer, _ = await both.connect()
            assert "c=IN IP6 ::1\r\n" in offer
            await both.talk()
    if host == "::":
        async with pair(replace(options, remote="127.0.0.1"), host=host) as both:
            offer, _ = await both.connect()
            assert "c=IN IP4 127.0.0.1\r\n" in offer
            await both.talk()


def require_ip_6() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")


# --- later offers ----------------------------------------------------------------------------


async def test_same_offer_again_changes_nothing() -> None:
    async with leg() as made:
        answer = await made.media.answer(PHONE)
        before = list(made.engine.messages)
        assert await made.media.answer(PHONE) == answer
        assert made.engine.messages == before


@pytest.mark.parametrize(
    ("hold", "answered", "sends", "receives"),
    [
        (directed(PHONE, "sendonly"), "recvonly", False, True),
        (directed(PHONE, "inactive"), "inactive", False, False),
        (PHONE.replace("c=IN IP4 127.0.0.1", "c=IN IP4 0.0.0.0"), "recvonly", False, True),
        (
            directed(PHONE, "inactive").replace("c=IN IP4 127.0.0.1", "c=IN IP4 0.0.0.0"),
            "inactive",
            False,
            False,
        ),
        (HEAD + "a=sendonly\r\nm=audio 40000 RTP/AVP 8\r\n", "recvonly", False, True),
    ],
)
async def test_hold_is_answered_right_and_ends(hold: str, answered: str, sends: bool, receives: bool) -> None:
    async with leg() as made:
        first = await made.media.answer(PHONE)
        answer = await made.media.answer(hold)
        assert f"a={answered}\r\n" in answer
        assert version(answer) == version(first) + 1
        assert made.media.on_hold
        assert made.owner.held == [True]
        assert made.engine.of(SetHeld)[-1].held
        flow = made.engine.of(SetDirection)[-1]
        assert (flow.sends, flow.receives) == (sends, receives)
        resumed = await made.media.answer(PHONE)
        assert "a=sendrecv\r\n" in resumed
        assert version(resumed) == version(answer) + 1
        assert made.owner.held == [True, False]
        assert not made.engine.of(SetHeld)[-1].held
        flow = made.engine.of(SetDirection)[-1]
        assert (flow.sends, flow.receives) == (True, True)
        assert len(made.engine.of(ConnectPlain)) == 1


async def test_first_offer_of_one_direction_is_not_a_hold() -> None:
    async with leg() as made:
        assert "a=recvonly\r\n" in await made.media.answer(directed(PHONE, "sendonly"))
        assert not made.media.on_hold
        assert made.engine.of(SetHeld) == []
        assert made.owner.held == []


async def test_first_offer_without_an_address_is_connected_by_the_next() -> None:
    async with leg() as made:
        await made.media.answer(PHONE.replace("c=IN IP4 127.0.0.1", "c=IN IP4 0.0.0.0"))
        assert made.engine.of(ConnectPlain) == []
        await made.media.answer(PHONE)
        assert len(made.engine.of(ConnectPlain)) == 1


async def test_new_address_connects_anew_and_new_codec_updates() -> None:
    async with leg() as made:
        await made.media.answer(PHONE)
        await made.media.answer(PHONE.replace("audio 40000", "audio 40010"))
        assert [order.remote_port for order in made.engine.of(ConnectPlain)] == [40000, 40010]
        assert made.engine.of(UpdateRtp) == []
        answer = await made.media.answer(PHONE.replace("RTP/AVP 8 0", "RTP/AVP 0 8"))
        assert "RTP/AVP 0 101\r\n" in answer
        [update] = made.engine.of(UpdateRtp)
        assert update.rtp.send.name == "PCMU"
        assert update.rtp.ssrc == made.engine.of(AddRtpPort)[0].rtp.ssrc


async def test_refused_offer_leaves_all_as_it_was() -> None:
    async with leg() as made:
        await made.media.answer(PHONE)
        before, agreement = list(made.engine.messages), made.media.agreement
        for offer, error in [
            ("v=1", SdpError),
            (HEAD + "m=audio 40000 RTP/AVP 3\r\n", NotAcceptableError),
            (PHONE.replace("audio 40000", "audio 22"), NotAcceptableError),
            (HEAD + "m=audio 0 RTP/AVP 8\r\n", NotAcceptableError),
        ]:
            with pytest.raises(error):
                await made.media.answer(offer)
        assert made.engine.messages == before
        assert made.media.agreement is agreement


async def test_key_of_ours_stays_with_theirs_and_changes_with_it() -> None:
    offer = HEAD + "m=audio 40000 RTP/SAVP 0\r\n" + CRYPTO
    async with leg() as made:
        first = await made.media.answer(offer.format("A" * 40))
        assert await made.media.answer(offer.format("A" * 40)) == first
        second = await made.media.answer(offer.format("B" * 40))
        keys = [crypto_lines(parse(text).media[0])[0].key for text in (first, second)]
        assert keys[0] != keys[1]
        assert [order.send_key for order in made.engine.of(ConnectPlain)] == keys


async def test_peer_may_begin_to_encrypt() -> None:
    async with leg() as made:
        await made.media.answer(PHONE)
        await made.media.answer(HEAD + "m=audio 40000 RTP/SAVP 8\r\n" + CRYPTO.format("A" * 40))
        assert [order.profile for order in made.engine.of(ConnectPlain)] == ["", "AES128_CM_SHA1_80"]
        assert made.shared.sockets.in_use == 1


# --- outgoing offers ----------------------------------------------------------------------------


async def test_offer_has_our_codecs_in_order_and_the_preferred_one_first() -> None:
    async with leg(MediaOptions(codecs=("G722", "PCMA"))) as made:
        assert "RTP/AVP 9 8 101\r\n" in await made.media.offer()
        assert made.media.pending
        assert made.engine.messages == []
    async with leg(MediaOptions(preferred="PCMU", ptime_ms=30)) as made:
        offer = await made.media.offer()
        assert "RTP/AVP 0 96 9 8 101 97\r\n" in offer
        assert "a=ptime:30\r\n" in offer


async def test_answer_is_taken_early_and_again() -> None:
    async with leg() as made:
        await made.media.offer()
        agreement = await made.media.take_answer(PHONE)
        assert not made.media.pending
        before = list(made.engine.messages)
        assert await made.media.take_answer(PHONE) is agreement
        assert made.engine.messages == before
        await made.media.take_answer(PHONE.replace("audio 40000", "audio 40020"))
        assert [order.remote_port for order in made.engine.of(ConnectPlain)] == [40000, 40020]
        [added] = made.engine.of(AddRtpPort)
        assert {item.name for item in added.rtp.receive} == {"PCMA", "PCMU", "telephone-event"}


async def test_answer_to_nothing_is_refused() -> None:
    async with leg() as made:
        with pytest.raises(RejectedError):
            await made.media.take_answer(PHONE)
        with pytest.raises(RejectedError):
            made.media.reoffer()
        await made.media.offer()
        await made.media.withdraw()
        with pytest.raises(RejectedError):
            await made.media.take_answer(PHONE)


async def test_answer_in_the_clear_to_an_encrypted_offer_is_refused() -> None:
    for srtp in ("sdes", "dtls"):
        async with leg(MediaOptions(srtp=srtp)) as made:
            await made.media.offer()
            with pytest.raises(NotAcceptableError):
                await made.media.take_answer(PHONE)
            secure = PHONE.replace("RTP/AVP", "RTP/SAVP" if srtp == "sdes" else "UDP/TLS/RTP/SAVP")
            with pytest.raises(NotAcceptableError, match="keys"):
                await made.media.take_answer(secure)
            assert made.media.agreement is None


async def test_reoffer_has_what_was_agreed_on_and_a_new_version_only_if_it_differs() -> None:
    async with leg() as made:
        first = await made.media.answer(PHONE + "m=video 40002 RTP/AVP 96\r\n")
        refresh = made.media.reoffer()
        assert parse(refresh).media[0].formats == ("8", "101")
        assert [media.port != 0 for media in parse(refresh).media] == [True, False]
        await made.media.take_answer(PHONE + "m=video 0 RTP/AVP 96\r\n")
        assert version(made.media.reoffer()) == version(refresh) >= version(first)
        assert version(made.media.reoffer("sendonly")) == version(refresh) + 1


async def test_hold_by_us_is_not_reported_and_lasts_over_their_refresh() -> None:
    async with leg() as made:
        await made.media.answer(PHONE)
        assert "a=inactive\r\n" in made.media.reoffer("inactive")
        await made.media.take_answer(directed(PHONE, "inactive"))
        assert (made.media.on_hold, made.owner.held) == (False, [])
        flow = made.engine.of(SetDirection)[-1]
        assert (flow.sends, flow.receives) == (False, False)
        assert "a=inactive\r\n" in await made.media.answer(PHONE)
        assert "a=inactive\r\n" in await made.media.offer()
        await made.media.withdraw()
        made.media.reoffer("sendrecv")
        await made.media.take_answer(PHONE)
        flow = made.engine.of(SetDirection)[-1]
        assert (flow.sends, flow.receives) == (True, True)
        assert "a=sendrecv\r\n" in await made.media.answer(PHONE)


async def test_peer_on_hold_stays_so_over_our_refresh() -> None:
    async with leg() as made:
        await made.media.answer(PHONE)
        await made.media.answer(directed(PHONE, "sendonly"))
        made.media.reoffer()
        await made.media.take_answer(directed(PHONE, "sendonly"))
        assert made.owner.held == [True]
        made.media.reoffer()
        await made.media.take_answer(PHONE)
        assert made.owner.held == [True, False]


# --- digits --------------------------------------------------------------------------------------


async def test_digits_wait_for_an_agreement_and_for_a_peer_that_knows_them() -> None:
    async with leg() as made:
        assert not made.media.send_digits("1")
        made.media.send_tones("1")
        await made.media.answer(HEAD + "m=audio 40000 RTP/AVP 0\r\n")
        assert not made.media.send_digits("2")
        made.media.send_tones("3")
        await made.media.answer(PHONE)
        assert made.media.send_digits("4")
        assert [order.digits for order in made.engine.of(SendDigits)] == ["3", "4"]


async def test_events_at_another_clock_than_the_codec_are_sent_all_the_same() -> None:
    offer = (
        "m=audio 40000 RTP/AVP 111 101\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\n"
    )
    async with leg() as made:
        await made.media.answer(HEAD + offer)
        assert made.media.send_digits("1")
        events = made.engine.of(AddRtpPort)[0].rtp.send_events
        assert events is not None
        assert events.payload_type == 101


# --- the end -------------------------------------------------------------------------------------


async def test_close_removes_the_port_once_and_ends_everything() -> None:
    async with leg() as made:
        await made.media.answer(PHONE)
        made.media.close()
        made.media.close()
        await made.media.closed()
        assert len(made.engine.of(RemovePort)) == 1
        assert made.shared.sockets.in_use == 0
        with pytest.raises(RejectedError):
            await made.media.offer()


async def test_media_that_were_never_opened_leave_nothing() -> None:
    async with leg() as made:
        await made.media.offer()
        made.media.close()
        await made.media.closed()
        assert made.engine.messages == []
        assert made.shared.sockets.in_use == 0


async def test_no_free_port_is_told() -> None:
    made = Leg(MediaOptions())
    made.shared.sockets._free.clear()
    with pytest.raises(NotNowError):
        await made.media.offer()
    with pytest.raises(NotNowError):
        await made.media.answer(PHONE)
    made.media.close()
    await made.media.closed()


async def test_engine_that_does_not_keep_up_leaks_no_descriptor() -> None:
    async with leg() as made:
        await made.media.answer(PHONE.replace("c=IN IP4 127.0.0.1", "c=IN IP4 0.0.0.0"))
        made.engine.is_full = True
        before = len(list(Path("/proc/self/fd").iterdir()))
        with pytest.raises(NotNowError):
            await made.media.answer(PHONE)
        assert len(list(Path("/proc/self/fd").iterdir())) == before


async def test_media_closed_while_they_open_leave_nothing() -> None:
    made = Leg(MediaOptions(is_browser=True))
    opening = asyncio.create_task(made.media.offer())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    made.media.close()
    with pytest.raises((RejectedError, asyncio.CancelledError)):
        await opening
    await made.media.closed()
    assert made.engine.messages == []
