import socket

import pytest

from softswitch.cli.checks import network
from softswitch.cli.checks.finding import Verdict
from softswitch.settings import Auth, Http, Rtp, Settings


def test_free_port_is_fine():
    assert network.http_port(Settings(http=Http(port=0))).verdict == Verdict.OK


def test_taken_port_is_a_warning_since_it_may_be_the_switch_itself():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        finding = network.http_port(Settings(http=Http(port=taken.getsockname()[1])))
    assert finding.verdict == Verdict.WARN
    assert "--port" in finding.advice


def test_address_of_another_machine_fails():
    assert network.http_port(Settings(http=Http(host="192.0.2.77", port=0))).verdict == Verdict.FAIL
    assert network.media_ports(Settings(rtp=Rtp(host="192.0.2.77"))).verdict == Verdict.FAIL


def test_media_port_in_use_is_a_warning():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        low, high = (port, port + 2) if port < 60000 else (port - 2, port)
        finding = network.media_ports(Settings(rtp=Rtp(port_min=low, port_max=high)))
    assert finding.verdict == Verdict.WARN


@pytest.mark.parametrize(("external", "verdict"), [("", Verdict.WARN), ("198.51.100.7", Verdict.OK)])
def test_private_address_of_a_public_switch_needs_an_external_one(monkeypatch, external, verdict):
    monkeypatch.setattr(
        network, "own_address", lambda family: "10.0.0.5" if family == socket.AF_INET else None
    )
    settings = Settings(
        http=Http(host="0.0.0.0"), auth=Auth(api_keys=("key",)), rtp=Rtp(external_ip=external)
    )
    assert network.addresses(settings)[0].verdict == verdict


def test_machine_without_a_network_is_told(monkeypatch):
    monkeypatch.setattr(network, "own_address", lambda _: None)
    assert network.addresses(Settings())[0].verdict == Verdict.WARN
