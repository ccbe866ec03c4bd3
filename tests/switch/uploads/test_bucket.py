"""Signed requests to a storage."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from softswitch.egress import EgressClient, EgressError
from softswitch.settings import Upload
from softswitch.switch.uploads.bucket import Bucket, StorageError
from tests.support.storage import Storage, signature

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def settings(storage: Storage, **more: object) -> Upload:
    fields = {"endpoint": storage.url, "bucket": "calls", "key": storage.key, "secret": storage.secret}
    return Upload(**(fields | more))  # type: ignore[arg-type]


def test_verifier_of_the_tests_signs_as_the_document_of_amazon_does() -> None:
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    headers = {
        "host": "examplebucket.s3.amazonaws.com",
        "range": "bytes=0-9",
        "x-amz-content-sha256": empty,
        "x-amz-date": "20130524T000000Z",
    }
    names, scope = "host;range;x-amz-content-sha256;x-amz-date", "20130524/us-east-1/s3/aws4_request"
    assert (
        signature(SECRET, "GET", "/test.txt", "", headers, names, scope)
        == "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )


async def test_file_is_stored_with_a_signature_that_holds(tmp_path: Path) -> None:
    file = tmp_path / "a.wav"
    file.write_bytes(b"sound" * 400_000)
    async with Storage() as storage:
        bucket = Bucket(settings(storage, prefix="{account}/{date}/"), EgressClient())
        name = bucket.name_of("a.wav", "shop 1", 1_700_000_000_000)
        assert name == "shop_1/2023-11-14/a.wav"
        assert await bucket.put(name, file, "audio/wav") == 2_000_000
        assert storage.objects == {f"/calls/{name}": file.read_bytes()}
        assert storage.kinds == {f"/calls/{name}": "audio/wav"}
        assert bucket.url_of(name) == f"{storage.url}/calls/{name}"


@pytest.mark.parametrize("wrong", [{"secret": "other"}, {"key": "other"}])
async def test_wrong_key_is_told_and_may_be_mended(tmp_path: Path, wrong: dict[str, str]) -> None:
    (tmp_path / "a.wav").write_bytes(b"x")
    async with Storage() as storage:
        with pytest.raises(StorageError, match="403: <Error><Code>SignatureDoesNotMatch") as raised:
            await Bucket(settings(storage, **wrong), EgressClient()).put(
                "a.wav", tmp_path / "a.wav", "audio/wav"
            )
        assert not raised.value.final


@pytest.mark.parametrize(
    ("status", "final"), [(400, True), (413, True), (404, False), (500, False), (307, False)]
)
async def test_answers_that_are_final(tmp_path: Path, status: int, final: bool) -> None:
    (tmp_path / "a.wav").write_bytes(b"x")
    async with Storage() as storage:
        storage.answers = [status]
        with pytest.raises(StorageError) as raised:
            await Bucket(settings(storage), EgressClient()).put("a.wav", tmp_path / "a.wav", "audio/wav")
        assert raised.value.final is final


async def test_storage_that_is_away_and_clock_that_is_given(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"x")
    async with Storage() as storage:
        bucket = Bucket(settings(storage), EgressClient(), lambda: datetime(2030, 1, 1, tzinfo=UTC))
        assert await bucket.put("a.wav", tmp_path / "a.wav", "audio/wav") == 1
    with pytest.raises(EgressError):
        await bucket.put("a.wav", tmp_path / "a.wav", "audio/wav")
    with pytest.raises(FileNotFoundError):
        await bucket.put("a.wav", tmp_path / "b.wav", "audio/wav")


async def test_object_is_deleted_and_one_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"x")
    async with Storage() as storage:
        bucket = Bucket(settings(storage), EgressClient())
        await bucket.put("a.wav", tmp_path / "a.wav", "audio/wav")
        for _ in range(2):
            await bucket.delete(bucket.url_of("a.wav"))
            assert storage.objects == {}
        assert storage.refused == []
        storage.answers = [404]
        await bucket.delete(bucket.url_of("a.wav"))
        storage.answers = [403]
        with pytest.raises(StorageError, match="403"):
            await bucket.delete(bucket.url_of("a.wav"))
        with pytest.raises(StorageError, match="another storage"):
            await bucket.delete("http://192.0.2.1/calls/a.wav")
