"""Tests of softswitch.media.rtp.redundancy."""

from softswitch.media.rtp.redundancy import CLEAN_AFTER_S, CLEAN_AGAIN_S, UNREPORTED_S, Redundancy


def test_network_is_clean_after_two_reports_without_loss():
    redundancy = Redundancy()
    assert redundancy.report(3, 0.0, 100.0) == 10
    assert redundancy.report(3, 0.0, 100.0 + CLEAN_AFTER_S - 0.1) == 10
    assert redundancy.report(3, 0.0, 100.0 + CLEAN_AFTER_S) == 0


def test_expected_loss_follows_reports_within_its_bounds():
    redundancy = Redundancy()
    losses = (0.004, 0.05, 0.13, 0.5)
    assert [redundancy.report(3, loss, 100.0) for loss in losses] == [10, 10, 13, 20]


def test_one_lost_packet_brings_redundancy_back_for_a_while():
    redundancy = Redundancy()
    redundancy.report(3, 0.0, 100.0)
    assert redundancy.report(3, 0.0, 105.0) == 0
    assert redundancy.report(3, 1 / 256, 110.0) == 10
    assert redundancy.report(3, 0.0, 110.0 + CLEAN_AGAIN_S - 0.1) == 10
    assert redundancy.report(3, 0.0, 110.0 + CLEAN_AGAIN_S) == 0


def test_network_without_reports_is_no_longer_clean():
    redundancy = Redundancy()
    for slot, now in ((3, 100.0), (4, 100.0), (3, 105.0), (4, 110.0)):
        redundancy.report(slot, 0.0, now)
    assert redundancy.unreported(105.0 + UNREPORTED_S - 0.1) == []
    assert redundancy.unreported(105.0 + UNREPORTED_S) == [3]
    assert redundancy.unreported(105.0 + UNREPORTED_S) == []
    assert redundancy.report(4, 0.0, 128.0) == 0
    assert redundancy.unreported(147.0) == []
    assert redundancy.unreported(148.0) == [4]


def test_closed_slot_begins_anew():
    redundancy = Redundancy()
    redundancy.report(3, 0.0, 100.0)
    redundancy.report(3, 0.0, 105.0)
    redundancy.close(3)
    assert redundancy.unreported(200.0) == []
    assert redundancy.report(3, 0.0, 201.0) == 10
