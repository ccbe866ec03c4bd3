import pytest

from softswitch.sdp import Fingerprint, SdpError, candidate_line, parse, transport_offer
from tests.sdp import offers


@pytest.mark.parametrize("name", offers.ALL)
def test_transport_offer_reads_real_offers(name: str) -> None:
    offer = parse(offers.ALL[name])
    found = transport_offer(offer, offer.media[0])
    assert found.fingerprints == (Fingerprint("sha-256", offers.FINGERPRINT),)
    assert found.setup == "actpass"
    assert found.trickle == (name != "pion")
    assert len(found.candidates) == (2 if name == "pion" else 0)


@pytest.mark.parametrize("prefix", ["", "candidate:", "a=candidate:", "  a=candidate:"])
def test_candidate_line_reads_all_spellings(prefix: str) -> None:
    text = "842163049 1 UDP 1677729535 203.0.113.4 45664 typ srflx raddr 10.0.0.2 rport 50000"
    text += " generation 0 ufrag abcd"
    found = candidate_line(prefix + text)
    assert (found.address, found.port, found.kind, found.protocol) == ("203.0.113.4", 45664, "srflx", "udp")
    assert (found.related_address, found.related_port, found.ufrag) == ("10.0.0.2", 50000, "abcd")
    assert candidate_line(found.text()).port == 45664
    assert found.ip is not None


def test_candidate_line_reads_mdns_names_without_resolving_them() -> None:
    found = candidate_line("1 1 udp 2113937151 3f0b0e6a-0000-4000-8000-000000000000.local 54321 typ host")
    assert found.ip is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "candidate:",
        "1",
        "1 1 udp 1 1.2.3.4 5 host",
        "1 0 udp 1 1.2.3.4 5 typ host",
        "1 x udp 1 1.2.3.4 5 typ host",
        "1 1 udp 99999999999 1.2.3.4 5 typ host",
        "1 1 udp -1 1.2.3.4 5 typ host",
        "1 1 udp 1 1.2.3.4 65536 typ host",
        "1 1 udp 1 1.2.3.4 ² typ host",
        "1 1 udp 1 1.2.3.4/8 5 typ host",
        "1 1 udp 1 1.2.3.4 5 typ other",
        "\x00 1 udp 1 1.2.3.4 5 typ host",
        "1 1 udp 1 1.2.3.4 5 typ host raddr 1.1.1.1 rport x",
        "1 1 udp 1 1.2.3.4 5 typ host " + "x" * 2000,
    ],
)
def test_candidate_line_names_what_is_malformed(text: str) -> None:
    with pytest.raises(SdpError) as caught:
        candidate_line(text)
    assert caught.value.field == "candidate"


@pytest.mark.parametrize("algorithm", ["sha-256", "sha-384", "sha-512", "SHA-256"])
def test_transport_offer_takes_strong_fingerprints(algorithm: str) -> None:
    octets = {"sha-256": 32, "sha-384": 48, "sha-512": 64}[algorithm.lower()]
    value = ":".join(["0f"] * octets)
    offer = parse(offers.CHROME.replace(f"sha-256 {offers.FINGERPRINT}", f"{algorithm} {value}"))
    assert transport_offer(offer, offer.media[0]).fingerprints == (
        Fingerprint(algorithm.lower(), value.upper()),
    )


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (f"a=fingerprint:sha-256 {offers.FINGERPRINT}\n", "", "fingerprint"),
        ("sha-256 ", "sha-1 ", "fingerprint"),
        (offers.FINGERPRINT, "AB:CD", "malformed"),
        (offers.FINGERPRINT, offers.FINGERPRINT.replace("AB", "XY", 1), "malformed"),
        ("a=ice-ufrag:F7gI\n", "", "ice-ufrag"),
        ("a=ice-ufrag:F7gI\n", "a=ice-ufrag:F\n", "ice-ufrag"),
        ("a=ice-pwd:x9cml/YzichV2+XlhiMu8g4K\n", "a=ice-pwd:short\n", "ice-pwd"),
        ("a=setup:actpass", "a=setup:foo", "setup"),
        ("a=setup:actpass", "a=setup:holdconn", "setup"),
        ("a=rtcp-mux\n", "", "rtcp-mux"),
    ],
)
def test_transport_offer_names_what_is_missing(old: str, new: str, reason: str) -> None:
    offer = parse(offers.CHROME.replace(old, new))
    with pytest.raises(SdpError, match=reason):
        transport_offer(offer, offer.media[0])


def test_transport_offer_passes_over_malformed_candidates() -> None:
    offer = parse(offers.PION + "a=candidate:1\n")
    found = transport_offer(offer, offer.media[0])
    assert len(found.candidates) == 2
    assert len(found.refused) == 1


def test_transport_offer_bounds_candidates() -> None:
    many = "a=candidate:1 1 udp 1 192.0.2.1 5000 typ host\n" * 65
    offer = parse(offers.PION + many)
    with pytest.raises(SdpError, match="64"):
        transport_offer(offer, offer.media[0])


def test_credentials_do_not_show_their_password() -> None:
    offer = parse(offers.CHROME)
    assert "x9cml" not in repr(transport_offer(offer, offer.media[0]))
