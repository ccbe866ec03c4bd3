"""SRTP of one port."""

import pytest

from softswitch.media.rtp.secure import SrtpPair, is_rtcp

KEYS = {"AES128_CM_SHA1_80": 30, "AES128_CM_SHA1_32": 30, "AEAD_AES_128_GCM": 28, "AEAD_AES_256_GCM": 44}
RTCP = bytes.fromhex("80c80006 00000001 0000000000000000 00000000 00000000 00000000".replace(" ", ""))


def rtp(sequence: int) -> bytes:
    return bytes([0x80, 0]) + sequence.to_bytes(2, "big") + bytes(8) + bytes(range(160))


def pair(profile: str = "AES128_CM_SHA1_80") -> tuple[SrtpPair, SrtpPair]:
    one, other = bytes(range(KEYS[profile])), bytes(range(100, 100 + KEYS[profile]))
    return SrtpPair(one, other, profile), SrtpPair(other, one, profile)


@pytest.mark.parametrize("profile", KEYS)
def test_packets_go_through_and_are_not_plain_on_the_way(profile):
    here, there = pair(profile)
    for packet in (rtp(1), RTCP, rtp(2)):
        cipher = here.protect(packet)
        assert packet[12:] not in cipher
        assert there.unprotect(cipher) == packet


def test_replay_is_reported_from_forgery():
    here, there = pair()
    cipher = here.protect(rtp(1))
    assert there.unprotect(cipher) == rtp(1)
    assert there.unprotect(cipher) == "srtp_replays"
    forged = bytearray(here.protect(rtp(2)))
    forged[20] ^= 1
    assert there.unprotect(bytes(forged)) == "srtp_errors"


def test_late_packet_within_the_window_is_taken():
    here, there = pair()
    ciphers = [here.protect(rtp(sequence)) for sequence in range(1000)]
    assert there.unprotect(ciphers[-1]) == rtp(999)
    assert there.unprotect(ciphers[0]) == rtp(0)


def test_repeated_packet_may_be_sent():
    here, there = pair()
    assert here.protect(rtp(1)) == here.protect(rtp(1))
    assert there


@pytest.mark.parametrize(
    "data", [b"", b"\x80", b"\x80\x00", b"\x80\xc8\x00\x00", b"\x80\x00" + bytes(9), bytes(1500)]
)
def test_rubbish_is_refused(data):
    assert pair()[0].unprotect(data) == "srtp_errors"


@pytest.mark.parametrize("name", ["SRTP_AES128_CM_SHA1_80", "SRTP_PROFILE_AES128_CM_SHA1_80"])
def test_profile_may_carry_its_prefix(name):
    SrtpPair(bytes(30), bytes(30), name)


def test_unknown_profile_and_short_key_are_named():
    with pytest.raises(ValueError, match="profile"):
        SrtpPair(bytes(30), bytes(30), "NULL")
    with pytest.raises(ValueError, match="send_key"):
        SrtpPair(bytes(30), bytes(29), "AES128_CM_SHA1_80")


def test_rtcp_is_known_by_its_second_octet():
    assert is_rtcp(RTCP)
    assert not is_rtcp(rtp(1))
    assert not is_rtcp(bytes([0x80, 0x80 | 96]))
