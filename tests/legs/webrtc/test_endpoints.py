import asyncio
import contextlib
import os
import random
import socket
import statistics
import time

import pytest
import uvloop

from softswitch.call.vocabulary.reports import (
    LegAnswered,
    LegEnded,
    LegFailed,
    LegHeld,
    LegUpdated,
    LegWarned,
)
from softswitch.call.vocabulary.values import Candidate
from softswitch.errors import NotNowError, UnavailableError
from softswitch.legs.webrtc.endpoints import WebRtcEndpoints
from softswitch.media.messages import (
    AddRtpPort,
    ConnectSecure,
    RemovePort,
    SendDigits,
    SetDirection,
    SetHeld,
    UpdateRtp,
)
from softswitch.sdp import parse
from softswitch.settings import Ice
from tests.conftest import data_path
from tests.legs.webrtc.rtc import Bench, FakeEngine, Far, bench
from tests.sdp import offers
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("loopback_client")


async def connected(place: Bench, far: Far, *, codec: str = "", port: int = 1):
    """Set a call up and wait until its port is keyed and media flows."""
    leg, answer = await place.answered(await far.offer(), codec=codec, port=port)
    await far.accept(answer.sdp)
    await until(lambda: bool(place.engine.plain) and far.state == "connected")
    assert far.state == "connected"
    assert place.engine.plain
    return leg, answer


# --- setting up -------------------------------------------------------------------


async def test_leg_answers_connects_and_keys_its_port() -> None:
    async with bench() as place:
        far = place.far()
        leg, answer = await connected(place, far)
        assert (answer.codec, answer.sample_rate, answer.ptime_ms) == ("opus", 48000, 20)
        [opened] = place.engine.of(AddRtpPort)
        assert (opened.port, opened.mix, opened.rtp.send.name) == (1, 100, "opus")
        [keyed] = place.engine.of(ConnectSecure)
        assert keyed.remote_host == "127.0.0.1"
        assert keyed.fd >= 0
        leg.hangup()
        await leg.closed()
        assert place.engine.of(RemovePort) == [RemovePort(1)]
        assert place.endpoints.legs == 0


def test_leg_works_on_uvloop() -> None:
    async def call() -> None:
        async with bench() as place:
            far = place.far()
            await connected(place, far)
            assert os.fstat(place.engine.of(ConnectSecure)[0].fd)
            place.engine.send(rtp(place, 960))
            await until(lambda: received(far) > 0)
            assert received(far) > 0

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(call())


def rtp(place: Bench, number: int = 0) -> bytes:
    """Return a packet of our stream: Opus silence."""
    parameters = place.engine.of(AddRtpPort)[0].rtp
    head = bytes([0x80, parameters.send.payload_type]) + (number & 0xFFFF).to_bytes(2, "big")
    return (
        head
        + (number * 960 & 0xFFFFFFFF).to_bytes(4, "big")
        + parameters.ssrc.to_bytes(4, "big")
        + b"\xf8\xff\xfe"
    )


def received(far: Far) -> int:
    return int(getattr(far.pc.getReceivers()[0].transport, "_RTCDtlsTransport__rx_packets"))  # noqa: B009


async def test_media_leaves_on_the_duplicate_of_the_nominated_socket() -> None:
    async with bench() as place:
        far = place.far()
        await connected(place, far)
        before = received(far)
        for number in range(20):
            place.engine.send(rtp(place, number))
        await until(lambda: received(far) >= before + 20)
        assert received(far) >= before + 20
        await until(lambda: len(far.received) > 0)
        assert far.received


@pytest.mark.parametrize(
    ("codec", "name", "rate"),
    [("opus", "opus", 48000), ("PCMU", "PCMU", 8000), ("pcma", "PCMA", 8000), ("g722", "G722", 16000)],
)
async def test_leg_takes_the_codec_that_was_asked_for(codec: str, name: str, rate: int) -> None:
    async with bench() as place:
        leg = place.leg(offers.CHROME, codec=codec)
        leg.answer()
        answer = await place.report(LegAnswered)
        assert (answer.codec, answer.sample_rate) == (name.lower(), rate)
        [opened] = place.engine.of(AddRtpPort)
        assert opened.rtp.send.name == name
        assert opened.rtp.send_events is not None
        assert opened.rtp.send_events.clock_rate == opened.rtp.send.clock_rate
        assert {item.clock_rate for item in opened.rtp.receive if item.name == "telephone-event"} == {
            48000,
            8000,
        }
        assert opened.rtp.level_extension == 1


@pytest.mark.parametrize("name", offers.ALL)
async def test_leg_answers_offers_of_all_known_stacks_at_once(name: str) -> None:
    async with bench() as place:
        _, report = await place.answered(offers.ALL[name])
        answer = parse(report.sdp)
        offer = parse(offers.ALL[name])
        assert [media.kind for media in answer.media] == [media.kind for media in offer.media]
        assert answer.media[0].first("mid") == offer.media[0].first("mid")
        assert answer.media[0].has("candidate")
        assert all(media.port == 0 for media in answer.media[1:])


@pytest.mark.parametrize("setup", ["actpass", "active", "passive"])
async def test_leg_takes_its_part_in_the_handshake(setup: str) -> None:
    async with bench() as place:
        _, report = await place.answered(offers.CHROME.replace("setup:actpass", f"setup:{setup}"))
        assert parse(report.sdp).media[0].first("setup") == ("passive" if setup == "active" else "active")


async def test_leg_connects_when_the_peer_begins_the_handshake() -> None:
    async with bench() as place:
        far = place.far()
        offer = (await far.offer()).replace("setup:actpass", "setup:active")
        _, answer = await place.answered(offer)
        assert "a=setup:passive" in answer.sdp
        await far.accept(answer.sdp)
        await until(lambda: bool(place.engine.plain))
        assert place.engine.plain


async def test_leg_takes_the_lead_where_the_peer_is_lite() -> None:
    async with bench() as place:
        far = place.far()
        offer = await far.offer()
        transport = far.pc.getTransceivers()[0].sender.transport.transport
        transport._connection.ice_controlling, transport._role_set = False, True  # as a lite end is
        leg, answer = await place.answered(offer.replace("t=0 0\r\n", "t=0 0\r\na=ice-lite\r\n"))
        assert leg._link is not None
        assert leg._link.ice.ice_controlling
        await far.accept(answer.sdp)
        await place.heard(3)
        assert len(place.engine.plain) > 3


async def test_leg_connects_over_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda **_: ["::1"])
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this host has no IPv6")
    async with bench(Ice(host_addresses=("::1",))) as place:
        far = place.far()
        await connected(place, far)
        before = received(far)
        place.engine.send(rtp(place))
        await until(lambda: received(far) > before)
        assert received(far) > before
        assert place.engine.of(ConnectSecure)[0].remote_host == "::1"


async def test_leg_names_its_faults_without_an_offer_or_with_a_bad_one() -> None:
    for offer, word, code in [
        ("", "offer", 400),
        ("rubbish", "v=0", 400),
        (offers.CHROME.replace("a=ice-ufrag:F7gI\n", ""), "ice-ufrag", 400),
        (offers.CHROME.replace("sha-256", "sha-1"), "fingerprint", 400),
        (offers.CHROME.replace("m=audio", "m=video"), "audio", 488),
        (offers.CHROME.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"), "audio", 488),
        (offers.CHROME.replace("a=setup:actpass", "a=setup:foo"), "setup", 400),
    ]:
        async with bench() as place:
            leg = place.leg(offer)
            leg.answer()
            failed = await place.report(LegFailed)
            assert (failed.sender, failed.code) == ("invite", code)
            assert word in failed.error
            await leg.closed()
            assert place.engine.messages == []
            assert len(place.reports) == 1


async def test_no_edge_case_does_more_than_fail_its_leg() -> None:
    for path in sorted(data_path("sdp", "edge").glob("*.sdp")):
        async with bench() as place:
            leg = place.leg(path.read_bytes().decode("latin-1"))
            leg.answer()
            failed = await place.report(LegFailed)
            assert failed.sender == "invite", path.name
            await leg.closed()


async def test_answer_is_quick_with_host_candidates() -> None:
    times = []
    async with bench() as place:
        for port in range(1, 12):
            began = time.thread_time()
            leg = place.leg(offers.CHROME, port=port)
            leg.answer()
            await place.report(LegAnswered, port)
            times.append(time.thread_time() - began)
    # CPU, since others may use this machine; 3 ms of both when it is idle, where 60 ms are the goal.
    assert statistics.median(times) < 0.03


async def test_leg_fails_where_no_socket_can_be_opened() -> None:
    async with bench(Ice(host_addresses=("192.0.2.77",))) as place:
        leg = place.leg(offers.CHROME)
        leg.answer()
        failed = await place.report(LegFailed)
        assert failed.sender == "ice"
        await leg.closed()
        assert place.engine.messages == []


async def test_leg_takes_ports_of_the_range_and_names_the_outer_address() -> None:
    async with bench(Ice(), ports=(30100, 30300), external_ips=("203.0.113.9",), loopback=False) as place:
        place.endpoints._shared._options = place.endpoints._shared._options.__class__(
            ("127.0.0.1", "127.0.0.2"), True, (30100, 30300)
        )
        _, answer = await place.answered(offers.CHROME)
        audio = parse(answer.sdp).media[0]
        ports = [int(value.split()[5]) for value in audio.all("candidate")]
        assert all(30100 <= port <= 30300 for port in ports)
        assert len(ports) == 2
        assert "203.0.113.9" not in answer.sdp  # a loopback socket is not behind any NAT


def test_endpoints_refuse_unknown_releases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("softswitch.legs.webrtc.aiortc_private.version", lambda _: "9.9.9")
    with pytest.raises(UnavailableError, match=r"aiortc 9\.9\.9"):
        WebRtcEndpoints(FakeEngine(), Ice())


def test_endpoints_refuse_malformed_server_urls() -> None:
    with pytest.raises(ValueError, match="http://x"):
        WebRtcEndpoints(FakeEngine(), Ice(stun=("http://x",)))


# --- candidates ----------------------------------------------------------------------


def without_candidates(sdp: str) -> tuple[str, list[str]]:
    lines = sdp.splitlines()
    found = [line for line in lines if line.startswith("a=candidate:")]
    kept = [line for line in lines if not line.startswith(("a=candidate:", "a=end-of-candidates"))]
    return "\r\n".join(kept) + "\r\n", found


async def test_leg_connects_although_the_offer_has_no_candidates() -> None:
    async with bench() as place:
        far = place.far()
        offer, _ = without_candidates(await far.offer())
        _, answer = await place.answered(offer)
        await far.accept(answer.sdp)
        await until(lambda: bool(place.engine.plain))
        assert place.engine.plain  # learned from its own checks


async def test_leg_never_waits_for_mdns_candidates() -> None:
    async with bench() as place:
        far = place.far()
        offer, _ = without_candidates(await far.offer())
        began = time.perf_counter()
        offer += (
            "a=candidate:1 1 udp 2113937151 3f0b0e6a-0000-4000-8000-000000000000.local 54321 typ host\r\n"
        )
        _, answer = await place.answered(offer + "a=end-of-candidates\r\n")
        assert time.perf_counter() - began < 0.5  # to resolve one takes 1.03 s
        assert place.endpoints.numbers()["candidates"] == 1
        await far.accept(answer.sdp)
        await until(lambda: bool(place.engine.plain))
        assert place.engine.plain


@pytest.mark.parametrize("prefix", ["", "a="])
async def test_leg_takes_trickled_candidates(prefix: str) -> None:
    async with bench() as place:
        far = place.far()
        offer, candidates = without_candidates(await far.offer())
        leg = place.leg(offer)
        mid = parse(offer).media[0].first("mid")
        texts = [prefix + line.removeprefix("a=") for line in candidates]
        leg.candidates([Candidate(text, mid, 0) for text in texts])  # may come before the answer
        leg.answer()
        answer = await place.report(LegAnswered)
        leg.candidates([Candidate(""), Candidate(texts[0].removeprefix("candidate:"))])
        # Only checks of the switch arrive: those of the peer are never sent.
        stripped, _ = without_candidates(answer.sdp)
        await far.accept(stripped)
        await until(lambda: bool(place.engine.plain))
        assert place.engine.plain
        assert place.of(LegWarned) == []


async def test_leg_warns_of_bad_candidates_and_lives_on() -> None:
    async with bench() as place:
        leg, _ = await place.answered(offers.CHROME + "a=candidate:1\n")
        assert len(place.of(LegWarned)) == 1
        leg.candidates(
            [Candidate("nonsense"), Candidate("1 1 udp 1 1.2.3.4 70000 typ host"), Candidate("", "0")]
        )
        leg.candidates([Candidate("1 1 udp 1 192.0.2.1 5000 typ host", "other")])
        await until(lambda: len(place.of(LegWarned)) == 4)
        assert [item.sender for item in place.of(LegWarned)] == ["candidate"] * 4
        assert not place.of(LegFailed)


async def test_leg_does_not_send_checks_where_none_should_go() -> None:
    async with bench() as place:
        leg, _ = await place.answered(offers.CHROME)
        texts = [
            "1 1 tcp 1 192.0.2.1 5000 typ host tcptype passive",
            "1 2 udp 1 192.0.2.1 5000 typ host",
            "1 1 udp 1 192.0.2.1 53 typ host",
            "1 1 udp 1 224.0.0.1 5000 typ host",
            "1 1 udp 1 255.255.255.255 5000 typ host",
            "1 1 udp 1 0.0.0.0 5000 typ host",
            "1 1 udp 1 name.example 5000 typ host",
        ]
        leg.candidates([Candidate(text) for text in texts])
        leg.candidates([Candidate("1 1 udp 1 192.0.2.1 5000 typ host ufrag other")])
        leg.candidates([Candidate(f"1 1 udp 1 127.0.0.1 {port} typ host") for port in range(20000, 20063)])
        leg.candidates([Candidate(f"1 1 udp 1 127.0.0.1 {port} typ host") for port in range(21000, 21063)])
        await until(lambda: place.endpoints.numbers()["candidates"] >= len(texts) + 60)
        assert leg._link is not None
        connection = leg._link._ice
        assert connection is not None
        assert len(connection._check_list) == 64 - len(texts)


async def test_leg_does_not_flood_its_own_queue_of_verbs() -> None:
    async with bench() as place:
        leg = place.leg(offers.CHROME)
        for _ in range(100):
            leg.candidates([])
        assert {item.code for item in place.of(LegWarned)} == {429}
        leg.hangup()


# --- later offers -----------------------------------------------------------------------


async def test_hold_is_told_to_the_call_and_to_the_engine() -> None:
    async with bench() as place:
        leg, first = await place.answered(offers.CHROME)
        leg.offer(offers.CHROME.replace("a=sendrecv", "a=sendonly"))
        updated = await place.report(LegUpdated)
        assert "a=recvonly" in updated.sdp
        leg.offer(offers.CHROME.replace("a=sendrecv", "a=inactive"))
        leg.offer(offers.CHROME)
        last = await place.report(LegUpdated, 3)
        assert [item.held for item in place.of(LegHeld)] == [True, False]
        assert [item.held for item in place.engine.of(SetHeld)] == [True, False]
        flows = [(item.sends, item.receives) for item in place.engine.of(SetDirection)]
        assert flows == [(False, True), (False, False), (True, True)]
        assert place.engine.of(UpdateRtp) == []
        before, after = parse(first.sdp), parse(last.sdp)
        assert before.origin.session == after.origin.session
        assert (before.origin.version, after.origin.version) == ("1", "4")
        assert before.media == after.media


async def test_a_first_offer_that_only_listens_is_not_a_hold() -> None:
    async with bench() as place:
        await place.answered(offers.CHROME.replace("a=sendrecv", "a=recvonly"))
        assert place.of(LegHeld) == []
        assert [item.held for item in place.engine.of(SetHeld)] == [True]
        assert place.engine.of(SetDirection) == [SetDirection(1, sends=True, receives=False)]


@pytest.mark.parametrize(
    ("offered", "sends", "receives"), [("sendonly", False, True), ("inactive", False, False)]
)
async def test_media_flow_as_the_first_answer_says(offered: str, sends: bool, receives: bool) -> None:
    async with bench() as place:
        await place.answered(offers.CHROME.replace("a=sendrecv", f"a={offered}"))
        assert place.engine.of(SetDirection) == [SetDirection(1, sends=sends, receives=receives)]


async def test_another_codec_is_told_to_the_engine() -> None:
    async with bench() as place:
        leg, _ = await place.answered(offers.CHROME)
        leg.offer(offers.CHROME.replace("SAVPF 111 63 9 0 8", "SAVPF 0 8"))
        await place.report(LegUpdated)
        [update] = place.engine.of(UpdateRtp)
        [opened] = place.engine.of(AddRtpPort)
        assert update.rtp.send.name == "PCMU"
        assert update.rtp.ssrc == opened.rtp.ssrc


async def test_a_bad_later_offer_is_a_warning() -> None:
    async with bench() as place:
        leg, _ = await place.answered(offers.CHROME)
        leg.offer("rubbish")
        leg.offer("")
        leg.offer(offers.CHROME.replace("m=audio 9", "m=audio 0"))
        warned = await place.report(LegWarned, 3)
        assert [item.sender for item in place.of(LegWarned)] == ["offer"] * 3
        assert warned.code == 488
        assert not place.of(LegUpdated)


async def test_an_ice_restart_moves_the_call_without_new_keys() -> None:
    async with bench() as place:
        far = place.far()
        leg, answer = await connected(place, far)
        [first] = place.engine.of(ConnectSecure)
        # aiortc cannot restart ICE: a second session of the peer takes its DTLS association over.
        moved = place.far()
        fresh = parse(await moved.offer()).media[0]
        offer = str(far.pc.localDescription.sdp)
        old = parse(offer).media[0]
        for name in ("ice-ufrag", "ice-pwd"):
            offer = offer.replace(f"a={name}:{old.first(name)}", f"a={name}:{fresh.first(name)}")
        offer, _ = without_candidates(offer)
        leg.offer(offer + "".join(f"a=candidate:{value}\r\n" for value in fresh.all("candidate")))
        updated = await place.report(LegUpdated)
        new = parse(updated.sdp).media[0]
        assert new.first("ice-ufrag") != parse(answer.sdp).media[0].first("ice-ufrag")
        assert new.first("fingerprint") == parse(answer.sdp).media[0].first("fingerprint")
        await move(far, moved, updated.sdp)
        await until(lambda: len(place.engine.of(ConnectSecure)) > 1)
        second = place.engine.of(ConnectSecure)[-1]
        assert second.send_key == first.send_key
        assert second.remote_port != first.remote_port
        count = len(place.engine.plain)
        await until(lambda: len(place.engine.plain) > count + 5)
        assert len(place.engine.plain) > count + 5
        assert not place.of(LegEnded)


async def move(far: Far, moved: Far, answer: str) -> None:
    """Put the ICE session of `moved` under the DTLS transport of `far`."""
    ice = moved.pc.getTransceivers()[0].sender.transport.transport._connection
    media = parse(answer).media[0]
    ice.remote_username, ice.remote_password = media.first("ice-ufrag"), media.first("ice-pwd")
    ice.ice_controlling = True
    await ice.connect()
    transport = far.pc.getTransceivers()[0].sender.transport.transport
    transport._send, transport._recv = ice.send, ice.recv


async def test_a_restart_that_leads_nowhere_is_a_warning() -> None:
    async with bench(connect_s=0.3) as place:
        far = place.far()
        leg, _ = await connected(place, far)
        offer = str(far.pc.localDescription.sdp)
        pwd = parse(offer).media[0].first("ice-pwd")
        offer, _ = without_candidates(offer.replace(f"a=ice-pwd:{pwd}", "a=ice-pwd:" + "z" * 24))
        leg.offer(offer)
        warned = await place.report(LegWarned)
        assert warned.sender == "ice"
        count = len(place.engine.plain)
        await until(lambda: len(place.engine.plain) > count + 5)
        assert len(place.engine.plain) > count + 5


# --- the end ---------------------------------------------------------------------------------


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


async def test_nothing_is_left_of_closed_legs() -> None:
    async with bench() as place:
        await far_and_back(place, 1)
        files, tasks = open_files(), len(asyncio.all_tasks())
        for port in range(2, 6):
            await far_and_back(place, port)
        # The peer lets go of its own a moment later.
        await until(lambda: open_files() <= files and len(asyncio.all_tasks()) <= tasks)
        assert len(asyncio.all_tasks()) == tasks
        assert place.endpoints.legs == 0


async def far_and_back(place: Bench, port: int) -> None:
    place.engine.plain.clear()
    far = place.far()
    leg, _ = await connected(place, far, port=port)
    leg.hangup()
    leg.hangup()
    await leg.closed()
    await far.close()
    place.engine.close()


@pytest.mark.parametrize("turns", [0, 1, 3, 10])
async def test_hangup_in_the_middle_of_setting_up_leaves_nothing(turns: int) -> None:
    async with bench() as place:
        files = open_files()
        leg = place.leg(offers.CHROME)
        leg.answer()
        for _ in range(turns):
            await asyncio.sleep(0)
        leg.hangup()
        await leg.closed()
        await until(lambda: open_files() <= files)  # a thread that loads libraries opens files, too
        assert not place.of(LegFailed)
        assert len(place.engine.of(AddRtpPort)) == len(place.engine.of(RemovePort))


async def test_hangup_before_the_answer_is_quiet() -> None:
    async with bench() as place:
        leg = place.leg(offers.CHROME)
        leg.hangup()
        leg.answer()
        leg.offer(offers.CHROME)
        await leg.closed()
        assert place.reports == []
        assert place.endpoints.legs == 0


async def test_the_peer_closing_its_dtls_ends_the_leg() -> None:
    async with bench() as place:
        far = place.far()
        leg, _ = await connected(place, far)
        await far.close()
        ended = await place.report(LegEnded)
        assert (ended.reason, ended.initiator) == ("caller", "caller")
        await leg.closed()
        assert place.engine.of(RemovePort) == [RemovePort(1)]


async def test_a_peer_that_may_return_has_time_for_a_new_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("softswitch.legs.webrtc.leg.RETURN_S", 1.0)
    async with bench() as place:
        far, again = place.far(), place.far()
        leg, answer = await place.answered(await far.offer(), may_return=True)
        await far.accept(answer.sdp)
        await until(lambda: bool(place.engine.plain) and far.state == "connected")
        await far.close()
        leg.offer(await again.offer())
        updated = await place.report(LegUpdated)
        await again.accept(updated.sdp)
        await until(lambda: again.state == "connected" and len(place.engine.of(ConnectSecure)) > 1)
        assert place.of(LegEnded) == []
        await again.close()
        ended = await place.report(LegEnded)
        assert (ended.reason, ended.initiator) == ("caller", "caller")


async def test_a_peer_whose_return_overtakes_the_look_for_it_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("softswitch.legs.webrtc.leg.RETURN_S", 0.05)
    async with bench() as place:
        far = place.far()
        leg, answer = await place.answered(await far.offer(), may_return=True)
        await far.accept(answer.sdp)
        await until(lambda: bool(place.engine.plain) and far.state == "connected")
        link = leg._link
        assert link is not None
        leg.link_ended("caller")
        link._generation += 1  # the new handshake begins before the leg has begun to wait
        await asyncio.sleep(0.2)
        assert place.of(LegEnded) == []


async def test_a_link_that_ends_after_its_leg_awaits_no_return() -> None:
    async with bench() as place:
        far = place.far()
        leg, answer = await place.answered(await far.offer(), may_return=True)
        await far.accept(answer.sdp)
        await until(lambda: bool(place.engine.plain) and far.state == "connected")
        leg.hangup()
        await leg.closed()
        leg.link_ended("caller")  # the peer's own end of the link was under way
        assert place.of(LegEnded) == []
        await far.close()


async def test_a_peer_that_vanishes_ends_the_leg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("softswitch.legs.webrtc.aiortc_private.consent.CHECK_S", 0.05)
    monkeypatch.setattr("softswitch.legs.webrtc.aiortc_private.consent.EXPIRES_S", 0.2)
    async with bench() as place:
        far = place.far()
        leg, _ = await connected(place, far)
        for protocol in far.pc.getTransceivers()[0].sender.transport.transport._connection._protocols:
            monkeypatch.setattr(protocol, "datagram_received", lambda *_: None)
        ended = await place.report(LegEnded)
        assert (ended.reason, ended.initiator) == ("media_timeout", "system")
        await leg.closed()


async def test_a_peer_that_never_connects_fails_the_leg() -> None:
    async with bench(connect_s=0.2) as place:
        leg, _ = await place.answered(offers.CHROME)
        failed = await place.report(LegFailed)
        assert failed.sender == "ice"
        await leg.closed()
        assert place.engine.of(RemovePort) == [RemovePort(1)]


async def test_another_certificate_than_announced_fails_the_leg() -> None:
    async with bench() as place:
        far = place.far()
        offer = await far.offer()
        found = parse(offer).media[0].first("fingerprint") or ""
        lines = [line for line in offer.splitlines() if not line.startswith("a=fingerprint:")]
        forged = "sha-256 " + offers.FINGERPRINT
        assert found
        offer = "\r\n".join(lines).replace("a=setup", f"a=fingerprint:{forged}\r\na=setup") + "\r\n"
        _, answer = await place.answered(offer)
        await far.accept(answer.sdp)
        failed = await place.report(LegFailed)
        assert failed.sender == "dtls"
        assert place.engine.of(ConnectSecure) == []


async def test_an_engine_that_takes_nothing_fails_the_leg_and_keeps_no_descriptor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with bench() as place:
        far = place.far()
        leg, answer = await place.answered(await far.offer())
        files = open_files()

        def refuse(message: object) -> None:
            if isinstance(message, ConnectSecure):
                raise NotNowError("the media engine does not keep up")

        monkeypatch.setattr(place.engine, "post", refuse)
        await far.accept(answer.sdp)
        failed = await place.report(LegFailed)
        assert (failed.sender, failed.code) == ("media", 503)
        await leg.closed()
        assert open_files() < files


async def test_a_fault_of_ours_ends_its_leg_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench() as place:
        monkeypatch.setattr("softswitch.legs.webrtc.leg.negotiate", lambda *_, **__: 1 / 0)
        leg = place.leg(offers.CHROME)
        leg.answer()
        failed = await place.report(LegFailed)
        assert (failed.sender, failed.error, failed.code) == ("webrtc", "internal error", 500)
        await leg.closed()


async def test_digits_go_to_the_engine_once_there_is_a_port() -> None:
    async with bench() as place:
        leg = place.leg(offers.CHROME)
        leg.dtmf("1")
        leg.ring()
        leg.answer()
        await place.report(LegAnswered)
        leg.dtmf("25#")
        assert place.engine.of(SendDigits) == [SendDigits(1, "25#")]


# --- strangers --------------------------------------------------------------------------------


CLIENT_HELLO = bytes([22, 254, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 60, 1, 0, 0, 48]) + bytes(56)
ALERT = bytes([21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 40])
BINDING = b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12)
SPRAY = [
    b"",
    CLIENT_HELLO,
    ALERT,
    b"\x80\x00" + bytes(20),
    BINDING,
    b"\x00",
    b"\xff" * 40,
    b"\x40\x00\x00\x00",
]


async def spray(answer: str, stop: asyncio.Event, seed: int) -> int:
    """Send whatever ends a careless call to a port of the answer; return how often anything came back."""
    chance = random.Random(seed)
    candidate = parse(answer).media[0].first("candidate") or ""
    target = ("127.0.0.1", int(candidate.split()[5]))
    answers = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.setblocking(False)
        while not stop.is_set():
            for _ in range(10):
                stranger.sendto(chance.choice([*SPRAY, chance.randbytes(chance.randrange(80))]), target)
            await asyncio.sleep(0.002)
            with contextlib.suppress(BlockingIOError):
                stranger.recv(2048)
                answers += 1
    return answers


CALLS = int(os.environ.get("SOFTSWITCH_TEST_SPRAY_CALLS", "10"))


async def test_calls_survive_a_spray_of_strangers_while_they_are_set_up_and_later() -> None:
    survived = 0
    for seed in range(CALLS):
        async with bench() as place:
            far = place.far()
            _, answer = await place.answered(await far.offer())
            stop = asyncio.Event()
            attack = asyncio.create_task(spray(answer.sdp, stop, seed))
            await asyncio.sleep(0.02)
            await far.accept(answer.sdp)
            await place.heard(3)
            count = len(place.engine.plain)
            await place.heard(count + 10)
            survived += len(place.engine.plain) > count + 10 and not place.of(LegEnded)
            stop.set()
            assert await attack == 0
            drops = place.endpoints.numbers()
            assert drops["empty"] > 0
            assert drops["stranger"] > 0
            assert drops["stun_stranger"] > 0
    assert survived == CALLS
