import pytest

from softswitch.sdp import Keying, is_nowhere, keying_of, parse, rtcp_port, shares_rtcp
from tests.sdp import offers

HEAD = "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\n"
CRYPTO = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40 + "\n"
PRINT = f"a=fingerprint:sha-256 {offers.FINGERPRINT}\n"
ALL: tuple[Keying, ...] = ("plain", "sdes", "dtls", "ice")


@pytest.mark.parametrize(
    ("section", "keying"),
    [
        ("m=audio 5004 RTP/AVP 0\n", "plain"),
        ("m=audio 5004 RTP/AVPF 0\n", "plain"),
        ("m=audio 5004 RTP/AVP 0\n" + CRYPTO, "sdes"),
        ("m=audio 5004 RTP/SAVP 0\n" + CRYPTO, "sdes"),
        ("m=audio 5004 RTP/SAVPF 0\n" + CRYPTO + PRINT, "sdes"),
        ("m=audio 5004 RTP/SAVP 0\n", None),
        ("m=audio 5004 RTP/SAVP 0\n" + PRINT, "dtls"),
        ("m=audio 5004 UDP/TLS/RTP/SAVP 0\n" + PRINT, "dtls"),
        ("m=audio 5004 UDP/TLS/RTP/SAVP 0\n" + CRYPTO, None),
        ("m=audio 5004 UDP/TLS/RTP/SAVPF 0\na=ice-ufrag:abcd\n" + PRINT, "ice"),
        ("m=audio 5004 RTP/AVP 0\na=ice-ufrag:abcd\n" + PRINT, "plain"),
        ("m=audio 5004 udptl 0\n", None),
    ],
)
def test_keying_follows_the_profile_and_what_is_there(section: str, keying: Keying | None) -> None:
    description = parse(HEAD + section)
    assert keying_of(description, description.media[0], ALL) == keying


def test_keying_is_none_where_it_is_not_allowed() -> None:
    description = parse(HEAD + "m=audio 5004 RTP/AVP 0\n" + CRYPTO)
    [media] = description.media
    assert keying_of(description, media, {"plain"}) == "plain"
    assert keying_of(description, media, {"dtls"}) is None
    assert keying_of(parse(HEAD + PRINT), parse(HEAD + "m=audio 1 RTP/SAVP 0").media[0], {"sdes"}) is None


def test_fingerprint_of_the_session_counts() -> None:
    description = parse(HEAD + PRINT + "m=audio 5004 UDP/TLS/RTP/SAVP 0\n")
    assert keying_of(description, description.media[0], ALL) == "dtls"


@pytest.mark.parametrize(
    ("lines", "port", "shared"),
    [
        ("", 5005, False),
        ("a=rtcp:6000\n", 6000, False),
        ("a=rtcp:6000 IN IP4 192.0.2.1\n", 6000, False),
        ("a=rtcp:22\n", 5005, False),
        ("a=rtcp:x\n", 5005, False),
        ("a=rtcp-mux\n", 5005, True),
    ],
)
def test_rtcp_has_the_next_port_unless_told_otherwise(lines: str, port: int, shared: bool) -> None:
    [media] = parse(HEAD + "m=audio 5004 RTP/AVP 0\n" + lines).media
    assert (rtcp_port(media), shares_rtcp(media)) == (port, shared)


def test_nowhere_is_an_address_of_zeros() -> None:
    assert [is_nowhere(text) for text in ("0.0.0.0", "::", "192.0.2.1", "host.example")] == [
        True,
        True,
        False,
        False,
    ]
