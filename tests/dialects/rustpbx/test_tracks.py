"""Track ids of commands."""

import pytest

from softswitch.call.vocabulary.values import Subject, machine_on, party_of
from softswitch.dialects.rustpbx.tracks import read_track, track_id


@pytest.mark.parametrize("subject", [party_of("session"), machine_on(""), machine_on("music")])
def test_a_track_id_is_read_as_it_is_written(subject: Subject) -> None:
    assert read_track(track_id(subject)) == subject


def test_no_track_id_names_nobody_in_particular() -> None:
    assert read_track(None) is None
