"""The doctor asks trunks, played by a telephone without audio."""

import asyncio
from typing import Any

import pytest

from softswitch.cli.checks import trunks
from softswitch.cli.checks.finding import Finding, Verdict
from softswitch.settings import Settings, Sip, Trunk
from softswitch.sip import events as hp
from tests.legs.sip.phone import HOST, Phone, phone


def settings(*servers: str, **fields: Any) -> Settings:
    trunk = Trunk(name="t", servers=servers, username="account", password="secret", **fields)
    return Settings(sip=Sip(port=0), trunk=(trunk,))


async def ask(server: Phone, code: int, **fields: Any) -> Finding:
    """Run the check while the server answers everything with a code."""
    checking = asyncio.create_task(
        asyncio.to_thread(trunks.check, settings(f"{HOST}:{server.port}", **fields))
    )
    if fields.get("register"):
        received = await server.until(hp.RequestReceived)
        assert received.request.contact == []
        server.agent.respond(received.key, code, server.driver.now())
        server.driver.pump()
    (finding,) = await checking
    return finding


async def test_registrar_that_takes_our_name_is_well():
    async with phone() as server:
        finding = await ask(server, 200, register=True)
    assert finding.verdict == Verdict.OK
    assert "name and password" in finding.text


@pytest.mark.parametrize(
    ("code", "words"), [(403, "account"), (404, "account"), (423, "expires"), (503, "overloaded")]
)
async def test_refusal_is_explained(code, words):
    async with phone() as server:
        finding = await ask(server, code, register=True)
    assert finding.verdict == Verdict.FAIL
    assert str(code) in finding.text
    assert words in finding.advice


async def test_trunk_without_registration_is_asked_for_its_options():
    async with phone() as server:
        finding = await ask(server, 200)
    assert finding.verdict == Verdict.OK
    assert "answers" in finding.text


async def test_nobody_there_is_explained():
    async with phone() as server:
        port = server.port
    (finding,) = await asyncio.to_thread(trunks.check, settings(f"{HOST}:{port}", register=True))
    assert finding.verdict == Verdict.FAIL
    assert "cannot be reached" in finding.text


async def test_silence_is_explained(monkeypatch):
    monkeypatch.setattr(trunks, "TIMEOUT_S", 0.3)
    async with phone() as server:
        chosen = settings(f"{HOST}:{server.port}", register=True)
        (finding,) = await asyncio.to_thread(trunks.check, chosen)
    assert finding.verdict == Verdict.FAIL
    assert "does not answer REGISTER" in finding.text
    assert "firewall" in finding.advice


async def test_name_that_dns_does_not_know_is_explained():
    (finding,) = await asyncio.to_thread(trunks.check, settings("unknown.invalid:5060"))
    assert finding.verdict == Verdict.FAIL
    assert "unknown.invalid" in finding.text
    assert "DNS" in finding.advice


def test_no_trunks_are_nothing_to_look_at():
    assert trunks.check(Settings()) == []
