"""Settings of certificates from an authority."""

from pathlib import Path

import pytest

from softswitch.errors import SettingsError
from softswitch.settings import load
from softswitch.settings.acme import Acme


def loaded(tmp_path: Path, text: str):
    file = tmp_path / "softswitch.toml"
    file.write_text(f'[paths]\ndata = "{tmp_path}"\n' + text)
    return load(file)


ACME = '[acme]\ndomains = ["pbx.example.org"]\nagree = true\n'


def test_listeners_without_a_certificate_use_that_of_the_authority(tmp_path: Path) -> None:
    live = str(tmp_path / "acme" / "live.pem")
    settings = loaded(tmp_path, ACME + "[sip]\ntls_port = 5061\n")
    assert (settings.http.tls_cert, settings.http.tls_key) == (live, live)
    assert (settings.sip.tls_cert, settings.sip.tls_key) == (live, live)
    assert loaded(tmp_path, ACME).sip.tls_cert == ""


def test_own_certificates_and_plain_http_stay(tmp_path: Path) -> None:
    settings = loaded(tmp_path, ACME + '[http]\ntls_cert = "a"\ntls_key = "b"\n')
    assert (settings.http.tls_cert, settings.http.tls_key) == ("a", "b")
    assert loaded(tmp_path, ACME + "https = false\n").http.tls_cert == ""
    assert loaded(tmp_path, "").http.tls_cert == ""


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"domains": ("localhost",), "agree": True}, "domains: 'localhost'"),
        ({"domains": ("*.example.org",), "agree": True}, "domains"),
        ({"domains": ("192.0.2.1:80",), "agree": True}, "domains"),
        ({"domains": ("pbx.example.org",)}, "agree must be true"),
        ({"directory": "http://acme.example"}, "directory"),
    ],
)
def test_wrong_settings_are_told(more: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Acme(**more)  # type: ignore[arg-type]


def test_wrong_settings_of_a_file_are_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"\[acme\].*agree"):
        loaded(tmp_path, '[acme]\ndomains = ["pbx.example.org"]\n')
