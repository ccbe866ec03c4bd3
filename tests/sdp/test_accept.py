import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.errors import PeerError
from softswitch.sdp import (
    CODECS,
    PLAIN_PROFILES,
    SUITES,
    Agreement,
    CryptoLine,
    Direction,
    Layout,
    NotAcceptableError,
    OwnAudio,
    OwnTransport,
    accept,
    accepted_keys,
    can_receive,
    can_send,
    layout_of,
    narrowed,
    negotiate,
    offered_formats,
    own_description,
    parse,
)

DIRECTIONS: tuple[Direction, ...] = ("sendrecv", "sendonly", "recvonly", "inactive")
HEAD = "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\n"


def offer(direction: Direction = "sendrecv", codecs: tuple[str, ...] = CODECS, ptime_ms: int = 20) -> str:
    own = OwnAudio(
        OwnTransport("RTP/AVP", "192.0.2.9", 20000),
        offered_formats(codecs),
        ssrc=1,
        cname="abc",
        direction=direction,
        ptime_ms=ptime_ms,
    )
    return own_description(own, Layout(), 7, 1).text()


def taken(section: str, **changed) -> Agreement:
    return accept(parse(offer(**changed)), parse(HEAD + section))


def test_first_codec_of_the_answer_is_sent_and_all_may_arrive() -> None:
    agreement = taken(
        "m=audio 5004 RTP/AVP 8 0 101\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-16\na=ptime:30\n"
    )
    assert (agreement.codec.name, agreement.codec.number, agreement.ptime_ms) == ("PCMA", 8, 30)
    assert agreement.send_events is not None
    assert [item.number for item in agreement.receive] == [8, 0, 101]


def test_answer_with_other_numbers_is_sent_to_with_them_and_heard_with_ours() -> None:
    agreement = taken(
        "m=audio 5004 RTP/AVP 111 120\na=rtpmap:111 opus/48000/2\na=rtpmap:120 telephone-event/48000\n"
    )
    assert (agreement.codec.number, agreement.send_events and agreement.send_events.number) == (111, 120)
    assert [(item.number, item.name) for item in agreement.receive] == [
        (96, "opus"),
        (97, "telephone-event"),
        (111, "opus"),
        (120, "telephone-event"),
    ]


def test_events_at_another_clock_than_the_codec_are_heard_but_not_sent() -> None:
    agreement = taken(
        "m=audio 5004 RTP/AVP 96 101\na=rtpmap:96 opus/48000/2\na=rtpmap:101 telephone-event/8000\n"
    )
    assert agreement.send_events is None
    assert [item.clock_rate for item in agreement.events] == [8000]


def test_packet_time_of_the_offer_holds_where_the_answer_does_not_say() -> None:
    assert taken("m=audio 5004 RTP/AVP 0\n", ptime_ms=40).ptime_ms == 40
    assert taken("m=audio 5004 RTP/AVP 0\na=maxptime:30\n", ptime_ms=40).ptime_ms == 30
    assert taken("m=audio 5004 RTP/AVP 96\na=rtpmap:96 opus/48000\na=ptime:30\n").ptime_ms == 20


@pytest.mark.parametrize(
    "section",
    [
        "",
        "m=audio 0 RTP/AVP 0\n",
        "m=video 5004 RTP/AVP 0\n",
        "m=audio 5004 RTP/SAVP 0\n",
        "m=audio 5004 RTP/AVP 3\n",
        "m=audio 5004 RTP/AVP 101\na=rtpmap:101 telephone-event/8000\n",
        "m=audio 5004 RTP/AVP 18 13\n",
    ],
)
def test_answer_that_does_not_fit_is_refused(section: str) -> None:
    with pytest.raises(NotAcceptableError):
        taken(section)


def test_feedback_profile_may_be_answered_without() -> None:
    assert accept(
        parse(offer().replace("RTP/AVP ", "RTP/AVPF ")), parse(HEAD + "m=audio 5004 RTP/AVP 0\n")
    ).codec


@pytest.mark.parametrize("near", DIRECTIONS)
@pytest.mark.parametrize("distant", DIRECTIONS)
def test_direction_of_the_answer_is_held_within_the_offer(near: Direction, distant: Direction) -> None:
    agreement = taken(f"m=audio 5004 RTP/AVP 0\na={distant}\n", direction=near)
    assert can_send(agreement.direction) == (can_send(near) and can_receive(distant))
    assert can_receive(agreement.direction) == (can_receive(near) and can_send(distant))
    assert agreement.direction == narrowed(near, distant)


def test_keys_must_have_been_offered() -> None:
    near = [CryptoLine("1", SUITES["AES_CM_128_HMAC_SHA1_80"], bytes(30))]
    good, other = (f"inline:{text * 40}" for text in "AB")
    section = HEAD + "m=audio 5004 RTP/SAVP 0\na=crypto:{} " + other + "\n"
    [media] = parse(section.format("1 AES_CM_128_HMAC_SHA1_80")).media
    pair = accepted_keys(near, media)
    assert pair.own is near[0]
    assert pair.remote.text().endswith(other)
    assert good in pair.own.text()
    for line in ("2 AES_CM_128_HMAC_SHA1_80", "1 AES_CM_128_HMAC_SHA1_32"):
        with pytest.raises(NotAcceptableError):
            accepted_keys(near, parse(section.format(line)).media[0])


orders = st.permutations(CODECS).flatmap(
    lambda names: st.integers(1, len(names)).map(lambda count: tuple(names[:count]))
)


@given(orders, orders, st.sampled_from(DIRECTIONS), st.sampled_from((10, 20, 30, 40, 50, 60)))
@settings(deadline=None, max_examples=200)
def test_both_ends_of_ours_come_to_the_same_agreement(offered, supported, direction, ptime) -> None:
    text = offer(direction, offered, ptime)
    description = parse(text)
    try:
        distant = negotiate(description, profiles=PLAIN_PROFILES, supported=supported)
    except NotAcceptableError:
        assert not set(offered) & set(supported)
        return
    own = OwnAudio(
        OwnTransport("RTP/AVP", "192.0.2.8", 30000),
        (distant.codec, *distant.events),
        ssrc=2,
        cname="def",
        direction=distant.direction,
        ptime_ms=distant.ptime_ms,
    )
    near = accept(
        description, parse(own_description(own, layout_of(description, distant.index), 8, 1).text())
    )
    assert near.codec.rtpmap == distant.codec.rtpmap
    assert near.ptime_ms == distant.ptime_ms
    assert (near.send_events is None) == (distant.send_events is None)
    assert narrowed(near.direction, distant.direction) == near.direction
    assert narrowed(distant.direction, near.direction) == distant.direction


@given(st.text(max_size=200))
@settings(deadline=None, max_examples=200)
def test_hostile_answer_raises_nothing_but_peer_errors(text: str) -> None:
    try:
        accept(parse(offer()), parse(HEAD + "m=audio 5004 RTP/AVP 0\n" + text))
    except PeerError:
        return
