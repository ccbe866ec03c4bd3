"""TLS contexts that follow their files."""

import asyncio
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from softswitch.tls.live import LOOK_S, server_context
from tests.certificates import make_certificate
from tests.support.secure import cut


async def shown(port: int) -> int:
    """Return the serial number of the certificate that a listener shows."""
    client = ssl.create_default_context()
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client)
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    await cut(writer)
    return x509.load_der_x509_certificate(found).serial_number


def serial(path: Path) -> int:
    return x509.load_pem_x509_certificate(path.read_bytes()).serial_number


@pytest.mark.each_loop
async def test_renewed_certificate_is_shown_by_a_listener_that_runs(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    now = [100.0]
    context = server_context(str(certificate), str(key), lambda: now[0])
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        first = serial(certificate)
        assert await shown(port) == first
        make_certificate(tmp_path, timedelta(days=2))
        assert await shown(port) == first, "it looks once a second at most"
        now[0] += LOOK_S
        await shown(port)
        assert await shown(port) == serial(certificate) != first
        good = serial(certificate)
        certificate.write_text("junk")
        now[0] += LOOK_S
        assert [await shown(port), await shown(port)] == [good, good]
        certificate.unlink()
        now[0] += LOOK_S
        assert await shown(port) == good


def test_file_that_is_wrong_from_the_start_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_text("junk")
    with pytest.raises(ssl.SSLError):
        server_context(str(tmp_path / "a.pem"), str(tmp_path / "a.pem"))
