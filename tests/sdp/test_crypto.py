import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.sdp import SUITES, Attribute, CryptoLine, Media, crypto_lines

KEY = bytes(range(30))
INLINE = "inline:" + base64.b64encode(KEY).decode()


def media(*values: str) -> Media:
    return Media(
        "audio", 5004, "RTP/SAVP", ("0",), None, tuple(Attribute("crypto", value) for value in values)
    )


@pytest.mark.parametrize(
    "value",
    [
        f"1 AES_CM_128_HMAC_SHA1_80 {INLINE}",
        f"1 aes_cm_128_hmac_sha1_80 {INLINE}|2^31",
        f"1 AES_CM_128_HMAC_SHA1_80 {INLINE}|1048576 WSH=64",
        f"1 AES_CM_128_HMAC_SHA1_80 {INLINE} KDR=0",
    ],
)
def test_crypto_line_is_read(value: str) -> None:
    [line] = crypto_lines(media(value))
    assert (line.tag, line.suite.profile, line.key) == ("1", "AES128_CM_SHA1_80", KEY)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "1 AES_CM_128_HMAC_SHA1_80",
        f"x AES_CM_128_HMAC_SHA1_80 {INLINE}",
        f"1 AES_256_CM_HMAC_SHA1_80 {INLINE}",
        f"1 AES_CM_128_HMAC_SHA1_80 {INLINE}|2^20|1:4",
        f"1 AES_CM_128_HMAC_SHA1_80 {INLINE}|1:4",
        f"1 AES_CM_128_HMAC_SHA1_80 {INLINE};{INLINE}",
        f"1 AES_CM_128_HMAC_SHA1_80 {INLINE} UNENCRYPTED_SRTP",
        f"1 AES_CM_128_HMAC_SHA1_80 {INLINE} KDR=1",
        f"1 AEAD_AES_256_GCM {INLINE}",
        "1 AES_CM_128_HMAC_SHA1_80 inline:AAAA",
        "1 AES_CM_128_HMAC_SHA1_80 inline:A",
        "1 AES_CM_128_HMAC_SHA1_80 uri:https://example.com/key",
    ],
)
def test_crypto_line_that_cannot_be_honoured_is_passed_over(value: str) -> None:
    good = f"7 AES_CM_128_HMAC_SHA1_32 {INLINE}"
    assert [line.tag for line in crypto_lines(media(value, good))] == ["7"]


def test_padding_may_be_missing() -> None:
    key = bytes(44)
    text = base64.b64encode(key).decode().rstrip("=")
    assert [line.key for line in crypto_lines(media(f"1 AEAD_AES_256_GCM inline:{text}"))] == [key]


def test_first_line_of_a_tag_counts_and_lines_are_bounded() -> None:
    other = "inline:" + base64.b64encode(bytes(30)).decode()
    lines = crypto_lines(media(*(f"1 AES_CM_128_HMAC_SHA1_80 {text}" for text in (INLINE, other))))
    assert [line.key for line in lines] == [KEY]
    many = media(*(f"{tag} AES_CM_128_HMAC_SHA1_80 {INLINE}" for tag in range(1000)))
    assert len(crypto_lines(many)) == 32


def test_key_is_not_shown() -> None:
    [line] = crypto_lines(media(f"1 AES_CM_128_HMAC_SHA1_80 {INLINE}"))
    assert INLINE[7:20] not in repr(line)
    assert repr(KEY)[2:20] not in repr(line)


@given(st.sampled_from(list(SUITES.values())), st.integers(0, 10**9 - 1), st.data())
@settings(deadline=None, max_examples=50)
def test_line_is_read_as_it_was_written(suite, tag, data) -> None:
    line = CryptoLine(
        str(tag), suite, data.draw(st.binary(min_size=suite.key_length, max_size=suite.key_length))
    )
    assert crypto_lines(media(line.text())) == (line,)


@given(st.text(max_size=80))
@settings(deadline=None, max_examples=200)
def test_hostile_line_raises_nothing(text: str) -> None:
    assert len(crypto_lines(media(text, f"1 AES_CM_128_HMAC_SHA1_80 {text}"))) <= 1
