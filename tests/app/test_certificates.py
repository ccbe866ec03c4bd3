"""A running switch that gets its certificate by itself."""

import asyncio
import json
import socket
import ssl
from pathlib import Path

import pytest
from cryptography import x509

from tests.support.pebble import pebble
from tests.support.ports import free_port
from tests.support.secure import cut, secure_session
from tests.support.switch import SwitchProcess

SETTINGS = """
[http]
hosts = ["pbx.example.org"]
[sip]
tls_port = {sip}
[egress]
ca_file = "{ca}"
[acme]
domains = ["pbx.example.org"]
agree = true
directory = "{directory}"
port = {proof}
"""


class Started(SwitchProcess):
    """A switch that serves HTTPS with a certificate which no client trusts."""

    def _ready(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


async def issuer(port: int) -> tuple[str, set[str]]:
    """Return the issuer of the certificate that a port shows, and its names."""
    client = ssl.create_default_context()
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client)
    found = x509.load_der_x509_certificate(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
    await cut(writer)
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return found.issuer.rfc4514_string(), set(names.get_values_for_type(x509.DNSName))


@pytest.mark.client
async def test_https_and_sip_get_a_certificate_without_a_restart(tmp_path: Path) -> None:
    async with pebble(tmp_path / "pebble") as authority:
        sip = free_port()
        text = SETTINGS.format(
            sip=sip, ca=authority.ca, directory=authority.directory, proof=authority.proof_port
        )
        with Started(tmp_path / "data", {}, text) as switch:
            async with asyncio.timeout(60):
                while (
                    "Pebble" not in (await issuer(switch.port))[0] or "Pebble" not in (await issuer(sip))[0]
                ):
                    await asyncio.sleep(0.5)
            assert (await issuer(sip))[1] == (await issuer(switch.port))[1] == {"pbx.example.org"}
            async with secure_session(False) as session:
                async with session.get(f"https://127.0.0.1:{switch.port}/readyz") as response:
                    assert "certificate" not in json.dumps(await response.json())
                async with session.get(f"https://127.0.0.1:{switch.port}/metrics") as response:
                    metrics = await response.text()
                proof = f"https://127.0.0.1:{switch.port}/.well-known/acme-challenge/{'t' * 43}"
                async with session.get(proof, headers={"Host": "pbx.example.org"}) as response:
                    assert response.status == 404
            assert 'softswitch_certificate_orders_total{result="given"} 1.0' in metrics
            assert "softswitch_certificate_seconds_left 0.0" not in metrics
