from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from softswitch.cli.checks import host
from softswitch.cli.checks.finding import Verdict
from softswitch.settings import Auth, Http, Paths, Recording, Settings
from softswitch.settings.acme import Acme
from softswitch.tls.folder import prepare_certificates
from tests.certificates import make_certificate
from tests.tls.issuer import issue

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def with_tls(tmp_path, good_for: timedelta) -> Settings:
    certificate, key = make_certificate(tmp_path, good_for, NOW)
    return Settings(http=Http(tls_cert=str(certificate), tls_key=str(key)))


def test_this_machine_can_run_a_switch():
    assert all(finding.verdict != Verdict.FAIL for finding in host.check(Settings()))


def test_data_folder_that_is_a_file_fails_and_says_what_to_do(tmp_path):
    (tmp_path / "file").touch()
    finding = host.data(Settings(paths=Paths(str(tmp_path / "file" / "data"))))
    assert finding.verdict == Verdict.FAIL
    assert "--data" in finding.advice


def test_data_folder_without_room_for_the_quota_is_a_warning(tmp_path):
    settings = Settings(paths=Paths(str(tmp_path)), recording=Recording(quota_mb=10**12))
    assert host.data(settings).verdict == Verdict.WARN


def test_data_folder_is_not_made_by_looking(tmp_path):
    settings = Settings(paths=Paths(str(tmp_path / "a" / "b")), recording=Recording(quota_mb=1))
    assert host.data(settings).verdict == Verdict.OK
    assert list(tmp_path.iterdir()) == []


def test_few_files_are_a_warning(monkeypatch):
    monkeypatch.setattr("resource.getrlimit", lambda _: (1024, 4096))
    finding = host.files()
    assert (finding.verdict, finding.advice.split(",")[0]) == (Verdict.WARN, "ulimit -n 4096")


def test_public_address_without_tls_warns_of_the_microphone():
    settings = Settings(http=Http(host="0.0.0.0"), auth=Auth(api_keys=("canary",)))
    found = host.access(settings)
    assert [finding.verdict for finding in found] == [Verdict.OK, Verdict.WARN]
    assert "canary" not in str(found)


@pytest.mark.parametrize(("days", "verdict"), [(60, Verdict.OK), (5, Verdict.WARN), (-5, Verdict.FAIL)])
def test_certificate_is_judged_by_its_age(tmp_path, days, verdict):
    (finding,) = host.certificate(with_tls(tmp_path, timedelta(days=days)), NOW)
    assert finding.verdict == verdict


def test_certificate_that_is_none_fails(tmp_path):
    settings = with_tls(tmp_path, timedelta(days=60))
    broken = msgspec.structs.replace(settings, http=Http(tls_cert=__file__, tls_key=__file__))
    assert host.certificate(broken)[0].verdict == Verdict.FAIL


@pytest.mark.parametrize(("path", "verdict"), [("none.so", Verdict.WARN), (None, Verdict.OK)])
def test_kind_of_the_media_sockets_is_named(monkeypatch, path, verdict):
    used = type("Used", (), {"name": "python" if path else "compiled"})
    monkeypatch.setattr("softswitch.media.rtp.batch.load", used)
    assert host.compiled().verdict == verdict


def test_certificate_of_an_authority_is_told_before_and_after_it_is_given(tmp_path):
    acme = Acme(("pbx.example.org",), agree=True)
    settings = Settings(paths=Paths(data=str(tmp_path)), acme=acme)
    live = str(tmp_path / "acme" / "live.pem")
    settings = msgspec.structs.replace(settings, http=Http(tls_cert=live, tls_key=live))
    (none,) = host.certificate(settings)
    assert (none.verdict, none.text) == (Verdict.OK, "ordered at the start for pbx.example.org")
    prepare_certificates(settings)
    (waiting,) = host.certificate(settings)
    assert (waiting.verdict, waiting.text) == (Verdict.WARN, "signed by itself")
    now = datetime.now(UTC)
    chain, key = issue(acme.domains, now - timedelta(days=1), now + timedelta(days=60, hours=1))
    (tmp_path / "acme" / "live.pem").write_bytes(chain + key)
    assert "valid for 60 more days" in host.certificate(settings)[0].text
