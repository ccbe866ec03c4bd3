"""Settings of e-mail."""

from typing import Any

import pytest

from softswitch.settings import Mail, User
from softswitch.settings.voicemail import Voicemail


def test_no_mail_is_sent_by_default():
    assert Mail().server == ""
    assert User(name="anna", password="x").email == ""


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        ({"server": "mail.test"}, "sender"),
        ({"server": "mail.test:25", "sender": "a@b.test!"}, "sender"),
        ({"server": "https://mail.test", "sender": "a@b.test"}, "server"),
        ({"server": "mail.test", "sender": "a b@b.test"}, "sender"),
        ({"server": "mail.test", "sender": "a@b.test\r\nBcc: c@d.test"}, "sender"),
        ({"server": "mail.test", "sender": "a@b.test", "user": "a"}, "password"),
        ({"server": "mail.test", "sender": "a@b.test", "user": "a", "password": "b", "tls": "off"}, "tls"),
    ],
)
def test_wrong_value_is_named(wrong: dict[str, Any], names: str):
    with pytest.raises(ValueError, match=names):
        Mail(**wrong)


def test_password_may_go_in_the_clear_to_this_machine_only():
    for server in ("localhost", "127.0.0.1", "::1"):
        Mail(server=server, sender="a@b.test", user="a", password="b", tls="off")


def test_address_of_a_user_is_checked():
    with pytest.raises(ValueError, match="email"):
        User(name="anna", password="x", email="anna")
    assert User(name="anna", password="x", email="anna.b+c@mail.home.test").email


def test_links_need_a_page():
    with pytest.raises(ValueError, match="page"):
        Voicemail(mail="link")
    with pytest.raises(ValueError, match="page"):
        Voicemail(page="calls.example.com")
    Voicemail(mail="link", page="https://calls.example.com/")
