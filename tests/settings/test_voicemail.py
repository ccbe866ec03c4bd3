"""Settings of voicemail."""

import msgspec
import pytest

from softswitch.settings import Settings
from softswitch.settings.telephones import Route
from softswitch.settings.voicemail import Voicemail


def test_wrong_url_and_bounds_are_named() -> None:
    with pytest.raises(ValueError, match="url must start"):
        Voicemail(url="ftp://x")
    with pytest.raises(msgspec.ValidationError, match="max_s"):
        msgspec.convert({"max_s": 1}, Voicemail)


def test_route_may_lead_to_a_mailbox() -> None:
    Settings(route=(Route("1", "voicemail:anna"),)).check_telephones()
