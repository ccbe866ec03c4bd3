"""The destination of a pyVoIP call."""

import pytest

from softswitch.call.interfaces import LegRequest
from softswitch.call.vocabulary.values import SipOption
from softswitch.legs.pyvoip.account import Account
from softswitch.legs.pyvoip.dialling import on_trunk, to_address
from softswitch.legs.sip.dial_error import DialError
from softswitch.legs.sip.routing.dial_check import DialCheck
from softswitch.settings import Trunk

ACCOUNT = Account(
    name="t",
    servers=(("192.0.2.1", 5070),),
    host="sip.example:5070",
    domain="example",
    bind=("127.0.0.1", 0),
    own_host="127.0.0.1",
    media_host="127.0.0.1",
    username="office",
)


def request(callee: str, **more: object) -> LegRequest:
    return LegRequest("c", "l", 1, 2, callee=callee, **more)  # type: ignore[arg-type]


def trunk(**more: object) -> Trunk:
    return Trunk("t", ("sip.example:5070",), username="office", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "callee", ["030 123-45", "tel:+4930-12345;x=1", "sip:03012345@elsewhere", "03012345"]
)
def test_number_is_dialled_at_the_server_after_rewriting(callee: str) -> None:
    dial = on_trunk(request(callee), trunk(rewrite=(("^0", "+49"),)), ACCOUNT)
    assert dial.uri == "sip:+493012345@sip.example:5070"
    assert dial.to is None


def test_prefixes_allow_after_rewriting() -> None:
    allowed = trunk(rewrite=(("^0", "+49"),), prefixes=("+49",))
    assert on_trunk(request("030"), allowed, ACCOUNT).uri.startswith("sip:+4930@")
    with pytest.raises(DialError, match="prefixes") as told:
        on_trunk(request("1"), allowed, ACCOUNT)
    assert told.value.code == 403
    with pytest.raises(DialError) as told:
        on_trunk(request("  "), allowed, ACCOUNT)
    assert told.value.code == 484


@pytest.mark.parametrize(
    ("caller", "settings", "shown", "asserted"),
    [
        ("+4930", {}, "sip:+4930@example", True),
        ("", {}, "sip:office@example", False),
        ("", {"caller_id": "+491"}, "sip:+491@example", True),
        ("+4930", {"caller_ids": ("+491",)}, "sip:+491@example", True),
        ("+491", {"caller_ids": ("+491",), "caller_id": "+492"}, "sip:+491@example", True),
        ("sip:+4930@x", {}, "sip:+4930@example", True),
    ],
)
def test_caller_shows_a_number_that_the_trunk_has(
    caller: str, settings: dict[str, object], shown: str, asserted: bool
) -> None:
    dial = on_trunk(request("1", caller=caller), trunk(**settings), ACCOUNT)
    assert dial.from_ == f"<{shown}>"
    assert (dial.headers.get("P-Asserted-Identity") == f"<{shown}>") is asserted


def test_anonymous_caller_shows_nothing_but_asserts_the_account() -> None:
    dial = on_trunk(request("1", caller="anonymous"), trunk(), ACCOUNT)
    assert "anonymous.invalid" in dial.from_
    assert dial.headers == {"Privacy": "id", "P-Asserted-Identity": "<sip:office@example>"}


def test_credentials_headers_and_contact_of_a_call_are_taken_over() -> None:
    option = SipOption("bob", "secret", "realm", "sip:bob@192.0.2.9", {"X-A": "1"})
    dial = on_trunk(request("1", sip=option, headers={"X-B": "2"}, ring_s=9.0), trunk(), ACCOUNT)
    assert (dial.username, dial.password, dial.realm, dial.contact) == (
        "bob", "secret", "realm", "sip:bob@192.0.2.9",
    )  # fmt: skip
    assert (dial.headers["X-A"], dial.headers["X-B"], dial.ring_s) == ("1", "2", 9.0)
    assert "secret" not in repr(dial)


def test_local_phone_dials_allowed_addresses() -> None:
    dial = to_address(request("sip:bob@127.0.0.1:5090", caller="me"), ACCOUNT, lambda host, port: None)
    assert (dial.to, dial.uri, dial.from_) == (
        ("127.0.0.1", 5090),
        "sip:bob@127.0.0.1:5090",
        "<sip:me@example>",
    )
    with pytest.raises(DialError) as told:
        to_address(request("sip:bob@127.0.0.1"), ACCOUNT, DialCheck((), ()).check)
    assert told.value.code == 403


@pytest.mark.parametrize("name", ["P-Asserted-Identity", "p-asserted-identity", "Privacy", "v", "Diversion"])
def test_header_of_the_switch_is_refused_by_name(name: str) -> None:
    with pytest.raises(DialError, match=f"headers: {name} "):
        on_trunk(request("1", headers={name: "<sip:boss@bank.example>"}), trunk(), ACCOUNT)


def test_uri_of_a_callee_carries_no_headers() -> None:
    dial = to_address(request("sip:bob@127.0.0.1?Privacy=none"), ACCOUNT, lambda host, port: None)
    assert dial.uri == "sip:bob@127.0.0.1"
