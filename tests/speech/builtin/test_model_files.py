import hashlib

import pytest

from softswitch.speech.builtin.model_files import ModelFile
from softswitch.speech.interface import SpeechUnavailableError


@pytest.fixture
def package(tmp_path, monkeypatch):
    (tmp_path / "pretended_model").mkdir()
    (tmp_path / "pretended_model" / "__init__.py").write_text("raise RuntimeError('is never imported')")
    (tmp_path / "pretended_model" / "weights").write_bytes(b"weights")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / "pretended_model"


SHA256 = hashlib.sha256(b"weights").hexdigest()


def file(sha256=SHA256, module="pretended_model", path="weights"):
    return ModelFile(module, path, sha256, "pretended-model==1.0")


def test_a_pinned_file_is_found_without_importing_its_package(package):
    assert file().installed()
    assert file().locate() == package / "weights"
    assert file().read() == b"weights"


def test_another_content_is_refused(package):
    (package / "weights").write_bytes(b"other weights")
    with pytest.raises(SpeechUnavailableError, match=r"is not the file that is known.*pretended-model==1.0"):
        file().locate()


def test_what_is_missing_is_named(package):
    with pytest.raises(SpeechUnavailableError, match="absent_model is not installed"):
        file(module="absent_model").read()
    with pytest.raises(SpeechUnavailableError, match="nothing cannot be read"):
        file(path="nothing").read()
    assert not file(module="absent_model").installed()
    assert not file(path="nothing").installed()
