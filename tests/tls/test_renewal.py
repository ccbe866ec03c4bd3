"""Renewal of a certificate, by an authority that does what the test says."""

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from softswitch.metrics import Metrics
from softswitch.settings.acme import Acme
from softswitch.store.seal import Seal
from softswitch.tls.folder import CertificateFolder, prepare_certificates
from softswitch.tls.renewal import LONGEST_PAUSE_S, LOOK_S, OrderError, ProofPublisher, Publisher, Renewal
from tests.tls.issuer import issue
from tests.tls.test_folder import TOKEN, settings

NAMES = ("pbx.example.org", "b.example.org")


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


class Office:
    """Gives certificates for 90 days, or fails."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.orders = clock, 0
        self.error: Exception | None = None

    async def order(self, publisher: Publisher) -> tuple[bytes, bytes]:
        self.orders += 1
        if self.error is not None:
            raise self.error
        return issue(NAMES, self.clock.now, self.clock.now + timedelta(days=90))


class House:
    def __init__(self, root: Path) -> None:
        self.clock = Clock()
        self.office = Office(self.clock)
        prepare_certificates(settings(root), self.clock.now)
        self.folder = CertificateFolder(root / "acme", Seal(root / "secrets.key"))
        self.metrics = Metrics("1")
        acme = Acme(NAMES, agree=True)
        self.renewal = Renewal(acme, self.folder, self.office, self.metrics, clock=self.clock)
        self.served = 0

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        self.served += 1
        yield

    async def look(self) -> float:
        return await self.renewal.renew_if_due(self.serve)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


async def test_first_certificate_takes_the_place_of_the_one_signed_by_itself(house: House) -> None:
    assert house.renewal.warnings() == ["certificate: the authority has given none yet"]
    assert house.renewal.seconds_left() == 0
    assert await house.look() == LOOK_S
    assert (house.office.orders, house.served) == (1, 1)
    assert house.renewal.warnings() == []
    assert house.renewal.seconds_left() == 90 * 86_400
    await house.look()
    assert house.office.orders == 1


async def test_certificate_is_renewed_thirty_days_before_its_end(house: House) -> None:
    await house.look()
    house.clock.now += timedelta(days=59)
    await house.look()
    assert house.office.orders == 1
    house.clock.now += timedelta(days=2)
    await house.look()
    assert house.office.orders == 2
    assert house.renewal.seconds_left() == 90 * 86_400


async def test_failures_are_told_and_tried_again_ever_less_often(house: House) -> None:
    await house.look()
    house.clock.now += timedelta(days=85)
    house.office.error = OrderError("rate limited")
    pauses = [await house.look() for _ in range(15)]
    assert 45 <= pauses[0] <= 75
    assert pauses[-1] > LONGEST_PAUSE_S / 2
    assert house.renewal.warnings() == ["certificate: it ends in 5.0 days (rate limited)"]
    house.office.error = None
    assert await house.look() == LOOK_S
    assert house.renewal.warnings() == []
    samples = next(iter(house.metrics.certificate_orders.collect())).samples
    counted = {one.labels["result"]: one.value for one in samples if one.name.endswith("_total")}
    assert counted == {"given": 2, "failed": 15}


async def test_other_names_in_the_settings_need_another_certificate(house: House) -> None:
    await house.look()
    house.renewal._settings = Acme((*NAMES, "c.example.org"), agree=True)
    await house.look()
    assert house.office.orders == 2


async def test_certificate_that_cannot_be_read_is_ordered_anew(house: House) -> None:
    house.folder.live.write_text("junk")
    assert house.renewal.warnings() == ["certificate: it cannot be read"]
    await house.look()
    assert house.renewal.warnings() == []


def hook(folder: Path, script: str) -> str:
    path = folder / "hook"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    return str(path)


def test_hook_is_told_of_proofs(house: House, tmp_path: Path) -> None:
    publisher = ProofPublisher(house.folder, hook(tmp_path, f'echo "$@" >> {tmp_path}/told'))
    publisher.add("pbx.example.org", TOKEN, "proof")
    publisher.remove("pbx.example.org", TOKEN, "proof")
    told = (tmp_path / "told").read_text().splitlines()
    assert told == [f"add pbx.example.org {TOKEN} proof", f"remove pbx.example.org {TOKEN} proof"]
    assert house.folder.proof(TOKEN) is None


def test_hook_that_fails_ends_the_order(house: House, tmp_path: Path) -> None:
    publisher = ProofPublisher(house.folder, hook(tmp_path, "echo no disk >&2; exit 3"))
    with pytest.raises(OrderError, match="ended with 3: no disk"):
        publisher.add("pbx.example.org", TOKEN, "proof")
    publisher.remove("pbx.example.org", TOKEN, "proof")
    with pytest.raises(OrderError, match="malformed"):
        ProofPublisher(house.folder).add("x", "../x", "proof")
    with pytest.raises(OrderError, match="hook"):
        ProofPublisher(house.folder, str(tmp_path / "none")).add("x", TOKEN, "proof")
