import pytest

from softswitch.sip.registrar.bindings import Bindings, Outcome
from softswitch.sip.syntax.message import Request, parse
from softswitch.sip.transaction.flow import Flow

AOR = "sip:alice@example.com"
UDP = Flow("udp", "192.0.2.1", 5060)
WS = Flow("ws", "192.0.2.2", 50000, connection=7)


def register(
    *contacts: str,
    expires: str | None = None,
    cseq: int = 1,
    call_id: str = "one",
    via: str = "192.0.2.1",
    path: str = "",
) -> Request:
    lines = [
        "REGISTER sip:example.com SIP/2.0",
        f"Via: SIP/2.0/UDP {via};branch=z9hG4bK1",
        "From: <sip:alice@example.com>;tag=1",
        "To: <sip:alice@example.com>",
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} REGISTER",
        "User-Agent: desk phone",
        *(f"Contact: {contact}" for contact in contacts),
        *([] if expires is None else [f"Expires: {expires}"]),
        *([f"Path: {path}"] if path else []),
    ]
    read = parse("\r\n".join([*lines, "", ""]).encode())
    assert isinstance(read, Request)
    return read


def contacts_of(outcome: Outcome) -> list[str]:
    return [value for name, value in outcome.headers if name == "Contact"]


@pytest.fixture
def bindings() -> Bindings:
    return Bindings()


def test_a_phone_is_found_where_it_registered(bindings: Bindings):
    outcome = bindings.update(AOR, register("<sip:alice@192.0.2.1:5060>;expires=600"), UDP, 100.0)
    assert (outcome.code, outcome.reason) == (200, "OK")
    assert contacts_of(outcome) == ["<sip:alice@192.0.2.1:5060>;expires=600"]
    assert [one.contact.uri.host for one in outcome.added] == ["192.0.2.1"]
    (found,) = bindings.contacts(AOR, 100.0)
    assert (found.flow, found.expires_at, found.user_agent, found.aor) == (UDP, 700.0, "desk phone", AOR)
    assert len(bindings) == 1
    assert bindings.contacts("sip:bob@example.com", 100.0) == []


@pytest.mark.parametrize(
    ("contact", "expires", "granted"),
    [
        ("<sip:a@b>;expires=600", "900", 600),
        ("<sip:a@b>", "900", 900),
        ("<sip:a@b>", None, 3600),
        ("<sip:a@b>", "soon", 3600),
        ("<sip:a@b>;expires=soon", None, 3600),
        ("<sip:a@b>;expires=99999999999999999999", None, 7200),
        ("<sip:a@b>;expires=60", None, 60),
    ],
)
def test_the_interval_is_the_contacts_then_the_headers_then_ours(
    bindings: Bindings, contact: str, expires: str | None, granted: int
):
    outcome = bindings.update(AOR, register(contact, expires=expires), UDP, 0.0)
    assert contacts_of(outcome) == [f"<sip:a@b>;expires={granted}"]


def test_an_interval_too_brief_is_423_and_changes_nothing(bindings: Bindings):
    outcome = bindings.update(AOR, register("<sip:a@b>", "<sip:c@d>;expires=59"), UDP, 0.0)
    assert (outcome.code, outcome.headers) == (423, [("Min-Expires", "60")])
    assert len(bindings) == 0


def test_a_refresh_replaces_and_adds_nothing(bindings: Bindings):
    bindings.update(AOR, register("<sip:a@b;transport=tcp>"), UDP, 0.0)
    outcome = bindings.update(AOR, register("<sip:a@B;Transport=TCP>", cseq=2), WS, 1000.0)
    assert outcome.added == outcome.removed == ()
    (found,) = bindings.contacts(AOR, 1000.0)
    assert (found.flow, found.expires_at) == (WS, 4600.0)


def test_the_same_instance_replaces_its_old_contact(bindings: Bindings):
    instance = ';+sip.instance="<urn:uuid:1>"'
    bindings.update(AOR, register(f"<sip:a@old.invalid>{instance};reg-id=1"), WS, 0.0)
    bindings.update(AOR, register(f"<sip:a@new.invalid>{instance};reg-id=1", call_id="two"), WS, 1.0)
    bindings.update(AOR, register(f"<sip:a@new.invalid>{instance};reg-id=2", call_id="two"), WS, 2.0)
    assert [one.contact.uri.host for one in bindings.contacts(AOR, 3.0)] == ["new.invalid", "new.invalid"]


def test_a_register_that_was_overtaken_is_refused(bindings: Bindings):
    bindings.update(AOR, register("<sip:a@b>", cseq=5), UDP, 0.0)
    assert bindings.update(AOR, register("<sip:a@b>;expires=0", cseq=4), UDP, 1.0).code == 500
    assert bindings.update(AOR, register("*", expires="0", cseq=5), UDP, 1.0).code == 500
    assert len(bindings) == 1
    assert bindings.update(AOR, register("<sip:a@b>;expires=0", cseq=1, call_id="two"), UDP, 1.0).code == 200
    assert len(bindings) == 0


def test_taking_back_one_leaves_the_others(bindings: Bindings):
    bindings.update(AOR, register("<sip:a@b>", "<sip:c@d>"), UDP, 0.0)
    outcome = bindings.update(AOR, register("<sip:a@b>;expires=0", cseq=2), UDP, 1.0)
    assert contacts_of(outcome) == ["<sip:c@d>;expires=3599"]
    assert [str(one.contact.uri) for one in outcome.removed] == ["sip:a@b"]


def test_a_star_takes_all_back_with_expires_zero_alone(bindings: Bindings):
    bindings.update(AOR, register("<sip:a@b>", "<sip:c@d>"), UDP, 0.0)
    for expires in (None, "60", "x"):
        assert bindings.update(AOR, register("*", expires=expires, cseq=2), UDP, 1.0).code == 400
    outcome = bindings.update(AOR, register("*", expires="0", cseq=2), UDP, 1.0)
    assert (outcome.code, contacts_of(outcome), len(outcome.removed)) == (200, [], 2)
    assert bindings.all_bindings(1.0) == {}


def test_asking_without_contact_changes_nothing(bindings: Bindings):
    bindings.update(AOR, register('<sip:a@b>;q=0.5;+sip.instance="<urn:uuid:1>"'), UDP, 0.0)
    outcome = bindings.update(AOR, register(expires="0"), UDP, 0.5)
    assert contacts_of(outcome) == ['<sip:a@b>;q=0.5;+sip.instance="<urn:uuid:1>";expires=3600']
    assert outcome.added == outcome.removed == ()


def test_the_most_wanted_and_then_the_latest_comes_first(bindings: Bindings):
    for number, q in enumerate(("0.5", "1.0", "nan", "2", "x", "0.5")):
        bindings.update(AOR, register(f"<sip:a@h{number}>;q={q}", call_id=str(number)), UDP, float(number))
    assert [one.contact.uri.host for one in bindings.contacts(AOR, 9.0)] == [
        "h4",
        "h3",
        "h2",
        "h1",
        "h5",
        "h0",
    ]


def test_one_contact_too_many_pushes_the_oldest_out(bindings: Bindings):
    for number in range(4):
        outcome = bindings.update(
            AOR, register(f"<sip:a@h{number}>", call_id=str(number)), UDP, float(number), max_contacts=3
        )
    assert [one.contact.uri.host for one in outcome.removed] == ["h0"]
    assert len(bindings) == 3
    too_many = register(*(f"<sip:a@n{number}>" for number in range(4)), call_id="x")
    assert bindings.update(AOR, too_many, UDP, 9.0, max_contacts=3).code == 403
    assert len(bindings) == 3


def test_the_table_is_bounded():
    bindings = Bindings(most=3)
    for number in range(5):
        outcome = bindings.update(f"sip:{number}@b", register("<sip:a@b>"), UDP, 0.0)
        assert outcome.code == (200 if number < 3 else 503)
    assert ("Retry-After", "60") in outcome.headers
    assert bindings.update("sip:4@b", register("<sip:a@b>"), UDP, 4000.0).code == 503
    bindings.elapse(4000.0)
    assert bindings.update("sip:4@b", register("<sip:a@b>"), UDP, 4000.0).code == 200


def test_what_expired_is_gone(bindings: Bindings):
    bindings.update(AOR, register("<sip:a@b>;expires=60", "<sip:c@d>"), UDP, 0.0)
    assert [one.contact.uri.host for one in bindings.contacts(AOR, 60.0)] == ["d"]
    assert [one.contact.uri.host for one in bindings.elapse(60.0)] == ["b"]
    assert len(bindings) == 1
    assert bindings.elapse(60.0) == []


def test_a_connection_takes_its_bindings_along(bindings: Bindings):
    bindings.update(AOR, register("<sip:a@b.invalid>"), WS, 0.0)
    bindings.update(AOR, register("<sip:a@b>", call_id="two"), UDP, 0.0)
    assert bindings.lost(0) == []
    assert [one.flow for one in bindings.lost(7)] == [WS]
    assert [one.flow for one in bindings.contacts(AOR, 1.0)] == [UDP]
    assert len(bindings) == 1


def test_host_is_known_as_long_as_a_register_from_it_is_in_force(bindings: Bindings):
    bindings.update(AOR, register("<sip:a@b>;expires=60", "<sip:c@d>;expires=600"), UDP, 0.0)
    bindings.update(AOR, register("<sip:a@b>;expires=60", cseq=2), UDP, 10.0)
    assert bindings.has_host(UDP.host)
    assert not bindings.has_host(WS.host)
    bindings.elapse(100.0)
    assert bindings.has_host(UDP.host)
    bindings.elapse(700.0)
    assert not bindings.has_host(UDP.host)


@pytest.mark.parametrize("contact", ["<name:John_Smith>", "<tel:+491>", "<mailto:a@b>"])
def test_a_contact_that_cannot_be_called_is_refused(bindings: Bindings, contact: str):
    assert bindings.update(AOR, register(contact), UDP, 0.0).code == 400


@pytest.mark.parametrize(
    ("via", "contact", "nat", "port", "behind_nat"),
    [
        ("192.0.2.1:5080", "192.0.2.1:5080", "auto", 5080, False),
        ("192.0.2.1:5080", "192.0.2.1", "auto", 5060, False),
        ("192.0.2.1:5080;rport", "192.0.2.1:5080", "auto", 40000, True),
        ("192.168.1.2:5060", "192.168.1.2:5060", "auto", 40000, True),
        ("192.0.2.1:5080", "192.168.1.2:5060", "auto", 40000, True),
        ("192.0.2.1:5080", "192.0.2.1:5080", "yes", 40000, True),
        ("192.0.2.1:5080;rport", "192.0.2.1:5080", "no", 5080, False),
        ("192.0.2.1:40000;rport", "192.0.2.1:40000", "auto", 40000, False),
        ("192.0.2.1:5080", "192.0.2.1:5080;transport=tcp", "auto", 40000, True),
        ("192.0.2.1:5080", "phone.example:5080", "no", 40000, False),
    ],
)
def test_calls_follow_the_contact_or_the_source(bindings, via, contact, nat, port, behind_nat):
    source = Flow("udp", "192.0.2.1", 40000)
    request = register(f"<sip:alice@{contact}>", via=via)
    assert bindings.update(AOR, request, source, 0.0, nat=nat).code == 200
    (found,) = bindings.contacts(AOR, 0.0)
    assert found.flow == source
    assert (found.target.host, found.target.port) == ("192.0.2.1", port)
    assert found.behind_nat is behind_nat


def test_path_is_echoed_and_becomes_the_route(bindings: Bindings):
    path = "<sip:p1.example.com;lr>, <sip:192.0.2.7:5070;lr>"
    outcome = bindings.update(AOR, register("<sip:alice@10.1.1.1>", path=path), UDP, 0.0)
    assert dict(outcome.headers)["Path"] == path
    (found,) = bindings.contacts(AOR, 0.0)
    uri, route = found.route()
    assert (str(uri), ", ".join(route)) == ("sip:alice@10.1.1.1", path)
    assert found.target == UDP  # the host of the nearest proxy is a name
    assert not found.behind_nat
    assert "Path" not in dict(
        bindings.update(AOR, register("<sip:alice@10.1.1.1>", cseq=2), UDP, 1.0).headers
    )
    (found,) = bindings.contacts(AOR, 1.0)
    assert found.route()[1] == ()


@pytest.mark.parametrize(
    ("path", "flow", "target", "uri", "route"),
    [
        ("<sip:192.0.2.7:5070;lr>", UDP, ("192.0.2.7", 5070), "sip:a@b", ["<sip:192.0.2.7:5070;lr>"]),
        ("<sip:192.0.2.7:5070>", UDP, ("192.0.2.7", 5070), "sip:192.0.2.7:5070", ["<sip:a@b>"]),
        ("<sip:192.0.2.7;lr>", WS, (WS.host, WS.port), "sip:a@b", ["<sip:192.0.2.7;lr>"]),
    ],
)
def test_call_goes_to_the_nearest_proxy_of_the_path(bindings, path, flow, target, uri, route):
    bindings.update(AOR, register("<sip:a@b>", path=path), flow, 0.0)
    (found,) = bindings.contacts(AOR, 0.0)
    assert (found.target.host, found.target.port) == target
    assert (str(found.route()[0]), list(found.route()[1])) == (uri, route)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("<sip:;lr>", 400),
        ("<tel:+49>", 400),
        (", ".join(["<sip:p;lr>"] * 9), 403),
        (f"<sip:p;lr;x={'p' * 2100}>", 403),
    ],
)
def test_path_that_cannot_be_followed_is_refused(bindings: Bindings, path: str, code: int):
    assert bindings.update(AOR, register("<sip:a@b>", path=path), UDP, 0.0).code == code
    assert len(bindings) == 0
