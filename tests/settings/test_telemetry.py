"""Settings of traces."""

import pytest

from softswitch.settings.telemetry import Telemetry


def test_headers_are_read_by_name():
    settings = Telemetry(
        endpoint="https://otel.example.org/v1/traces", headers=("api-key: a:b", "X-Team:one")
    )
    assert settings.pairs() == {"api-key": "a:b", "X-Team": "one"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoint": "grpc://collector"},
        {"endpoint": "http://"},
        {"headers": ("no colon",)},
        {"headers": ("a: \n",)},
    ],
)
def test_malformed_values_are_refused(wrong):
    with pytest.raises(ValueError, match=r"endpoint|headers"):
        Telemetry(**wrong)
