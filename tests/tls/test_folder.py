"""The folder of a certificate."""

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from softswitch.errors import SettingsError, UnavailableError
from softswitch.settings import Settings
from softswitch.settings.acme import Acme
from softswitch.settings.sections import Paths
from softswitch.store.seal import Seal
from softswitch.tls.folder import CertificateFolder, prepare_certificates

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOKEN = "t" * 43


@pytest.fixture
def folder(tmp_path: Path) -> CertificateFolder:
    prepare_certificates(settings(tmp_path), NOW)
    return CertificateFolder(tmp_path / "acme", Seal(tmp_path / "secrets.key"))


def settings(root: Path) -> Settings:
    return Settings(paths=Paths(data=str(root)), acme=Acme(("pbx.example.org", "b.example.org"), agree=True))


def test_first_certificate_is_signed_by_itself(folder: CertificateFolder, tmp_path: Path) -> None:
    standing = folder.standing()
    assert standing is not None
    assert standing.names == ("pbx.example.org", "b.example.org")
    assert standing.is_placeholder
    before = folder.live.read_bytes()
    prepare_certificates(settings(tmp_path))
    assert folder.live.read_bytes() == before, "what is there stays"


def test_secrets_are_for_the_owner_only_and_the_account_is_sealed(folder: CertificateFolder) -> None:
    assert folder.account() is None
    folder.keep_account('{"kty":"EC","d":"very-secret"}')
    folder.publish(TOKEN, "proof")
    assert folder.account() == '{"kty":"EC","d":"very-secret"}'
    files = [path for path in folder.path.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert not any(b"very-secret" in path.read_bytes() for path in files)
    other = CertificateFolder(folder.path, Seal(folder.path / "another.key"))
    with pytest.raises(UnavailableError):
        other.account()


def test_proofs_are_answered_until_they_are_withdrawn(folder: CertificateFolder) -> None:
    folder.publish(TOKEN, f"{TOKEN}.thumb")
    assert folder.proof(TOKEN) == f"{TOKEN}.thumb"
    folder.withdraw(TOKEN)
    folder.withdraw(TOKEN)
    assert folder.proof(TOKEN) is None


@pytest.mark.parametrize("token", ["", "../../secrets.key", "a/b" * 8, "t" * 300, "short", "..%2f..%2fa"])
def test_tokens_lead_to_no_other_file(folder: CertificateFolder, token: str) -> None:
    assert folder.proof(token) is None
    with pytest.raises(ValueError, match="malformed"):
        folder.publish(token, "x")


def test_one_process_alone_cares_for_a_certificate(folder: CertificateFolder) -> None:
    with folder.alone() as first, folder.alone() as second:
        assert (first, second) == (True, False)
    with folder.alone() as again:
        assert again


def test_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "acme").write_text("a file")
    with pytest.raises(SettingsError, match="certificates"):
        prepare_certificates(settings(tmp_path))
    assert CertificateFolder(tmp_path / "none", Seal(tmp_path / "k")).standing() is None
