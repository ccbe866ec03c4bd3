"""Orders from a real authority: Let's Encrypt's pebble, on loopback."""

from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509

from softswitch.egress import EgressClient
from softswitch.settings.acme import Acme
from softswitch.store.seal import Seal
from softswitch.tls.authority import Authority
from softswitch.tls.folder import CertificateFolder, prepare_certificates
from softswitch.tls.renewal import OrderError, ProofPublisher
from tests.support.pebble import Pebble, pebble
from tests.tls.test_folder import settings

NAMES = ("pbx.example.org", "b.example.org")


def authority_of(running: Pebble, folder: CertificateFolder, names: tuple[str, ...] = NAMES) -> Authority:
    acme = Acme(names, "ops@example.org", True, running.directory)
    return Authority(acme, folder, EgressClient(ca_file=str(running.ca)), "softswitch/test")


@pytest.mark.client
async def test_certificate_is_ordered_and_the_account_is_found_again(tmp_path: Path) -> None:
    prepare_certificates(settings(tmp_path))
    folder = CertificateFolder(tmp_path / "acme", Seal(tmp_path / "secrets.key"))

    async def answer(request: web.Request) -> web.Response:
        proof = folder.proof(request.match_info["token"])
        return web.Response(text=proof) if proof else web.Response(status=404)

    application = web.Application()
    application.router.add_get("/.well-known/acme-challenge/{token}", answer)
    async with pebble(tmp_path / "pebble") as running:
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", running.proof_port).start()
        try:
            for _ in range(2):
                chain, key = await authority_of(running, folder).order(ProofPublisher(folder))
                folder.install(chain, key)
                standing = folder.standing()
                assert standing is not None
                assert set(standing.names) == set(NAMES)
                assert not standing.is_placeholder
                assert len(x509.load_pem_x509_certificates(chain)) >= 2
                assert not list((folder.path / "proofs").iterdir()), "proofs are withdrawn"
        finally:
            await runner.cleanup()
        with pytest.raises(OrderError, match=r"pbx\.example\.org: .*|b\.example\.org: .*"):
            await authority_of(running, folder).order(ProofPublisher(folder))
        assert folder.account() is not None
    with pytest.raises(OrderError, match="https://127"):
        await authority_of(running, folder).order(ProofPublisher(folder))
