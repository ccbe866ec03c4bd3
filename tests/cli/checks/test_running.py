"""What the doctor says of SIP ports, and of a switch that runs."""

import socket
import threading

import pytest

from softswitch.cli.checks import running
from softswitch.cli.checks.finding import Verdict
from softswitch.settings import Http, Settings, Sip
from tests.support.switch import SwitchThread


def free_port() -> int:
    """Return a port that is free for UDP and TCP."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            try:
                udp.bind(tcp.getsockname())
            except OSError:
                continue
            return int(tcp.getsockname()[1])


def settings(sip_port: int, port: int = 0) -> Settings:
    return Settings(http=Http(port=port or free_port()), sip=Sip(port=sip_port))


def test_free_sip_ports_are_fine_while_no_switch_runs():
    found = running.check(settings(free_port()))
    assert [(one.what, one.verdict) for one in found] == [
        ("sip port udp", Verdict.OK),
        ("sip port tcp", Verdict.OK),
    ]


@pytest.mark.parametrize("server", ["Asterisk PBX 20", ""])
def test_port_of_another_program_fails_and_it_is_named(server, monkeypatch):
    monkeypatch.setattr(running, "TIMEOUT_S", 0.2)
    port = free_port()
    with socket.socket(type=socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", port))
        if server:
            threading.Thread(target=answer, args=(other, server), daemon=True).start()
        udp, tcp = running.check(settings(port))
    assert (udp.verdict, tcp.verdict) == (Verdict.FAIL, Verdict.OK)
    assert (server or "does not answer OPTIONS") in udp.text
    assert "--sip-port" in udp.advice


def answer(udp: socket.socket, server: str) -> None:
    """Respond to one request as another program would."""
    _, source = udp.recvfrom(2048)
    udp.sendto(f"SIP/2.0 200 OK\r\nServer: {server}\r\n\r\n".encode(), source)


def test_running_switch_answers_for_itself(tmp_path):
    port = free_port()
    with SwitchThread(tmp_path, {"sip": {"port": port}}) as switch:
        ready, tick, udp, tcp = running.check(settings(port, switch.port))
    assert (ready.what, ready.verdict) == ("running switch", Verdict.OK)
    assert (tick.what, tick.verdict) == ("media tick", Verdict.OK)
    assert udp.verdict == tcp.verdict == Verdict.OK
    assert "answers OPTIONS: softswitch" in udp.text


def test_switch_without_its_sip_port_is_deaf_and_said_to_be(tmp_path):
    with SwitchThread(tmp_path, {"sip": {"enabled": False}}) as switch:
        found = running.check(settings(free_port(), switch.port))
    assert found[0].verdict == Verdict.OK
    assert [one.verdict for one in found[-2:]] == [Verdict.FAIL, Verdict.FAIL]
    assert "though a switch runs" in found[-1].text
