"""Which headers a client may set."""

import pytest

from softswitch.sip.syntax.reserved import first_reserved, is_reserved


@pytest.mark.parametrize(
    "name",
    [
        "P-Asserted-Identity", "p-asserted-identity", "P-PREFERRED-IDENTITY", "P-Charge-Info",
        "Remote-Party-ID",
        "Diversion", "History-Info", "Privacy", "Identity", "y", "Y", "n", "b", "Referred-By",
        "Via", "v", "f", "T", "i", "m", "l", "c", "e", "k", "x", "r", "o", "Path", "Proxy-Authorization",
        "Refer-To", " Privacy",
    ],
)  # fmt: skip
def test_header_of_the_switch_is_reserved_in_every_spelling(name):
    assert is_reserved(name)


@pytest.mark.parametrize(
    "name",
    ["X-Call", "Subject", "s", "User-to-User", "Call-Info", "Alert-Info", "Reason", "Priority", "X-P-A"],
)
def test_what_says_nothing_of_identity_is_free(name):
    assert not is_reserved(name)


def test_first_of_several_is_named_as_it_was_given_and_exceptions_hold_for_compact_forms():
    assert first_reserved(["X-A", "pRiVaCy", "Via"]) == "pRiVaCy"
    assert first_reserved(["X-A", "b", "Replaces"], but=frozenset({"referred-by", "replaces"})) is None
    assert first_reserved([]) is None
