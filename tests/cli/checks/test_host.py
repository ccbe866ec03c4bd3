from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from softswitch.cli.checks import host
from softswitch.cli.checks.finding import Verdict
from softswitch.settings import Auth, Http, Paths, Recording, Settings
from tests.certificates import make_certificate

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
