"""Datagrams through sockets and by delivery, plain and encrypted."""

import os
import socket
import time

import numpy as np
import pytest

from softswitch.media import messages as m
from softswitch.media.rtp.link import INBOX_DATAGRAMS
from softswitch.media.rtp.secure import SrtpPair
from softswitch.media.rtp.sockets import CONNECT_AFTER_S
from tests.media.fake_plane import packet, sound
from tests.media.rig import Rig, steady

KEY, OTHER_KEY = bytes(range(30)), bytes(range(50, 80))
PROFILE = "AES128_CM_SHA1_80"


@pytest.fixture
def rig():
    rig = Rig()
    yield rig
    rig.engine.stop()


@pytest.fixture
def far():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind(("127.0.0.1", 0))
        far.settimeout(5)
        yield far


def near_socket() -> tuple[int, tuple[str, int]]:
    """Return a bound socket to hand over, and its address."""
    near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    near.bind(("127.0.0.1", 0))
    address = near.getsockname()
    return near.detach(), address


def connect(rig, far, **keys):
    """Open an RTP port with a socket of its own; return its id, descriptor and address."""
    port = rig.rtp_port(connected=False)
    fd, address = near_socket()
    rig.post(m.ConnectPlain(port, fd, *far.getsockname(), **keys))
    rig.tick()
    return port, fd, address


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def tick_until(rig, condition) -> None:
    """Tick until the kernel has carried what was sent."""
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        rig.tick()
        time.sleep(0.001)
    assert condition()


def test_socket_is_drained_and_sent_on(rig, far):
    monitor = rig.feed_port(speaks=False)
    _port, _, address = connect(rig, far)
    far.sendto(packet(steady(123.0)), address)
    tick_until(rig, lambda: rig.heard(monitor).any())
    assert (rig.heard(monitor) != 0).sum() == 480
    rig.track(pcm=steady(77.0, 480))
    rig.tick()
    sounds = [sound(far.recv(2000)) for _ in range(2)]
    while not any(frame.any() for frame in sounds):
        sounds.append(sound(far.recv(2000)))
    assert (sounds[-1] == 77.0).all()


def test_encrypted_socket_carries_nothing_plain(rig, far):
    monitor = rig.feed_port(speaks=False)
    port, _, address = connect(rig, far, receive_key=KEY, send_key=OTHER_KEY, profile=PROFILE)
    peer = SrtpPair(OTHER_KEY, KEY, PROFILE)
    far.sendto(packet(steady(123.0)), address)
    far.sendto(peer.protect(packet(steady(55.0))), address)
    tick_until(rig, lambda: rig.heard(monitor).any())
    assert set(rig.heard(monitor)) == {0.0, 55.0}
    assert rig.engine.counters["srtp_errors"] == 1
    assert peer.unprotect(far.recv(2000)) == packet(steady(0.0))
    rig.post(m.RemovePort(port))
    [closed] = [report for report in rig.tick() if isinstance(report, m.PortClosed)]
    assert closed.statistics["srtp_errors"] == 1


def test_delivered_datagrams_are_unprotected_and_answers_handed_out(rig):
    port, monitor = rig.rtp_port(connected=False), rig.feed_port(speaks=False)
    peer = SrtpPair(OTHER_KEY, KEY, PROFILE)
    rig.engine.deliver(port, peer.protect(packet(steady(9.0))))
    rig.tick()
    assert not rig.heard(monitor).any()
    rig.post(m.ConnectSecure(port, KEY, OTHER_KEY, PROFILE))
    rig.tick()
    assert (rig.heard(monitor)[-480:] == 9.0).all()
    assert peer.unprotect(rig.datagrams[port][0]) == packet(steady(0.0))


def test_secure_port_sends_on_the_socket_it_was_given(rig, far):
    port = rig.rtp_port(connected=False)
    fd, _ = near_socket()
    rig.post(m.ConnectSecure(port, KEY, OTHER_KEY, PROFILE, fd, *far.getsockname()))
    rig.tick()
    assert SrtpPair(OTHER_KEY, KEY, PROFILE).unprotect(far.recv(2000)) == packet(steady(0.0))
    assert port not in rig.datagrams
    rig.post(m.RemovePort(port))
    rig.tick()
    assert not is_open(fd)


def shared_socket(rig, port, far) -> tuple[int, tuple[str, int]]:
    """Give a port a socket that it reads as well; return the descriptor and its address."""
    fd, address = near_socket()
    host, far_port = far.getsockname()
    rig.post(m.ConnectSecure(port, KEY, OTHER_KEY, PROFILE, fd, host, far_port, reads=True))
    rig.tick()
    return fd, address


def test_socket_of_ice_is_read_and_what_is_no_media_of_the_peer_handed_out(rig, far):
    port, monitor = rig.rtp_port(connected=False), rig.feed_port(speaks=False)
    fd, address = shared_socket(rig, port, far)
    peer = SrtpPair(OTHER_KEY, KEY, PROFILE)
    with socket.socket(type=socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.sendto(b"\x80 no media of the peer", address)
        far.sendto(b"\x00\x01 a check", address)
        far.sendto(peer.protect(packet(steady(9.0))), address)
        far.sendto(b"\x16 a handshake", address)
        rig.tick()
        assert (rig.heard(monitor)[-480:] == 9.0).all()
        assert rig.strays == [
            (port, b"\x80 no media of the peer", stranger.getsockname()),
            (port, b"\x00\x01 a check", far.getsockname()),
            (port, b"\x16 a handshake", far.getsockname()),
        ]
    rig.post(m.RemovePort(port))
    rig.tick()
    assert not is_open(fd)


def test_socket_of_ice_is_left_when_another_one_or_none_is_given(rig, far):
    port = rig.rtp_port(connected=False)
    first, _ = shared_socket(rig, port, far)
    second, address = shared_socket(rig, port, far)
    assert not is_open(first) or first == second
    far.sendto(b"\x00\x01 a check", address)
    rig.tick()
    assert len(rig.strays) == 1
    rig.post(m.ConnectSecure(port, KEY, OTHER_KEY, PROFILE))
    rig.tick(2)
    assert not is_open(second)


def test_socket_of_ice_keeps_the_newest_media_of_a_stall(rig, far):
    port = rig.rtp_port(connected=False)
    _, address = shared_socket(rig, port, far)
    peer = SrtpPair(OTHER_KEY, KEY, PROFILE)
    for _ in range(70):
        far.sendto(peer.protect(packet(steady(9.0))), address)
    far.sendto(b"\x00\x01 a check", address)
    rig.now += 1.4
    rig.tick()
    assert len(rig.strays) == 1
    rig.post(m.RemovePort(port))
    [closed] = [report for report in rig.tick() if isinstance(report, m.PortClosed)]
    # An inbox holds 64, of which the newest eight are kept.
    assert closed.statistics["stale_datagrams"] == 62


def test_first_socket_after_ticks_without_any_keeps_all_that_waited(rig, far):
    first, _, _ = connect(rig, far)
    rig.post(m.RemovePort(first))
    rig.tick(30)
    port = rig.rtp_port(connected=False)
    fd, address = near_socket()
    for _ in range(12):
        far.sendto(packet(steady(9.0)), address)
    rig.post(m.ConnectPlain(port, fd, *far.getsockname()))
    rig.tick()
    rig.post(m.RemovePort(port))
    [closed] = [report for report in rig.tick() if isinstance(report, m.PortClosed)]
    # No tick was late: none of them is too old.
    assert "stale_datagrams" not in closed.statistics


def test_rtcp_with_keys_of_its_own_is_delivered_and_handed_out(rig, far):
    seen: list[bytes] = []
    rig.plane.receive = lambda rows, lengths, slots, now: seen.extend(
        row[:length].tobytes() for row, length in zip(rows, lengths, strict=True)
    )
    rig.plane.control = lambda now: (
        np.frombuffer(RTCP.ljust(16), np.uint8).reshape(1, 16),
        np.array([8]),
        np.array([0]),
    )
    port = rig.rtp_port(connected=False)
    peer_key, own_key = bytes(range(30)), bytes(range(30, 60))
    peer, control = SrtpPair(OTHER_KEY, KEY, PROFILE), SrtpPair(own_key, peer_key, PROFILE)
    for _ in range(2):  # the same again, as when the remote party has moved: the index of packets goes on
        fd, _ = near_socket()
        rig.post(
            m.ConnectSecure(
                port,
                KEY,
                OTHER_KEY,
                PROFILE,
                fd,
                far.getsockname()[0],
                far.getsockname()[1],
                rtcp_receive_key=peer_key,
                rtcp_send_key=own_key,
            )
        )
        rig.engine.deliver(port, control.protect(RTCP))
        rig.engine.deliver(port, peer.protect(packet(steady(9.0))))
        rig.tick()
    assert [item for item in seen if item == RTCP] == [RTCP, RTCP]
    assert len(seen) == 3  # the second packet of audio is a replay
    assert [control.unprotect(item) for item in rig.datagrams[port]] == [RTCP, RTCP]
    assert peer.unprotect(far.recv(2000))[1] == packet(steady(0.0))[1]


def test_new_keys_replace_the_old_socket(rig, far):
    port, old, _ = connect(rig, far)
    fd, _ = near_socket()
    rig.post(m.ConnectSecure(port, KEY, OTHER_KEY, PROFILE, fd, *far.getsockname()))
    rig.tick()
    assert not is_open(old)
    assert is_open(fd)


def test_same_keys_go_on_where_they_were(rig, far):
    port, monitor = rig.rtp_port(connected=False), rig.feed_port(speaks=False)
    rig.post(m.ConnectSecure(port, KEY, OTHER_KEY, PROFILE))
    peer = SrtpPair(OTHER_KEY, KEY, PROFILE)
    cipher = peer.protect(packet(steady(9.0)))
    rig.engine.deliver(port, cipher)
    rig.tick()
    # After an ICE restart the pair is another and the keys are not: a replay is still one.
    fd, _ = near_socket()
    rig.post(m.ConnectSecure(port, KEY, OTHER_KEY, PROFILE, fd, *far.getsockname()))
    rig.engine.deliver(port, cipher)
    rig.forget()
    rig.tick()
    assert not rig.heard(monitor).any()
    assert rig.engine.counters["srtp_replays"] == 1
    assert peer.unprotect(far.recv(2000))


def test_replay_and_forgery_are_dropped_and_counted(rig):
    port, monitor = rig.rtp_port(connected=False), rig.feed_port(speaks=False)
    rig.post(m.ConnectSecure(port, KEY, OTHER_KEY, PROFILE))
    peer = SrtpPair(OTHER_KEY, KEY, PROFILE)
    cipher = peer.protect(packet(steady(9.0)))
    rig.engine.deliver(port, cipher)
    rig.tick()
    rig.forget()
    for datagram in (cipher, cipher[:-1] + b"?", b"", b"\x80", bytes(20)):
        rig.engine.deliver(port, datagram)
    rig.tick()
    assert not rig.heard(monitor).any()
    counters = rig.engine.counters
    assert (counters["srtp_replays"], counters["srtp_errors"]) == (3, 2)


def test_inbox_drops_its_oldest_and_counts(rig):
    port, monitor = rig.rtp_port(connected=False), rig.feed_port(speaks=False)
    for level in range(INBOX_DATAGRAMS + 10):
        rig.engine.deliver(port, packet(steady(float(level))))
    assert rig.engine.counters["dropped_datagrams"] == 10
    rig.post(m.ConnectPlain(port, -1, "127.0.0.1", 9))
    for _ in range(4):
        rig.tick()
    assert (rig.heard(monitor)[-480:] == INBOX_DATAGRAMS + 9).all()


def test_datagram_for_an_unknown_port_is_counted(rig):
    rig.engine.deliver(99, b"x")
    assert rig.engine.counters["stray_datagrams"] == 1


def test_other_source_is_not_heard_and_flood_is_bounded(rig, far):
    monitor = rig.feed_port(speaks=False)
    _port, _, address = connect(rig, far)
    far.sendto(packet(steady(5.0)), address)
    tick_until(rig, lambda: rig.heard(monitor).any())
    rig.tick(200)
    rig.forget()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.2", 0))
        for _ in range(60):
            stranger.sendto(packet(steady(9000.0)), address)
        tick_until(rig, lambda: rig.engine.counters["rejected_sources"] == 60)
    assert not rig.heard(monitor).any()


def test_odd_lengths_are_refused(rig, far):
    _port, _, address = connect(rig, far)
    far.sendto(b"", address)
    far.sendto(bytes(1501), address)
    tick_until(rig, lambda: rig.engine.counters["odd_datagrams"] == 2)


@pytest.mark.parametrize(
    "change",
    [{"remote_host": "example.org"}, {"remote_port": 0}, {"profile": "NULL"}, {"send_key": b"1"}],
)
def test_impossible_connection_fails_the_port_and_closes_its_descriptor(rig, change):
    port = rig.rtp_port(connected=False)
    fd, _ = near_socket()
    options: dict = {"remote_host": "127.0.0.1", "remote_port": 9, "receive_key": KEY, "send_key": KEY}
    rig.post(m.ConnectPlain(port, fd, **options | {"profile": PROFILE} | change))
    failed, closed = rig.tick()
    assert isinstance(failed, m.PortFailed)
    assert isinstance(closed, m.PortClosed)
    assert not is_open(fd)


def test_connection_of_a_port_that_is_gone_closes_its_descriptors(rig):
    (fd, _), (rtcp_fd, _) = near_socket(), near_socket()
    rig.post(m.ConnectPlain(99, fd, "127.0.0.1", 9, rtcp_fd=rtcp_fd))
    rig.tick()
    assert not is_open(fd)
    assert not is_open(rtcp_fd)


@pytest.mark.parametrize(
    "change", [{"remote_host": "example.org"}, {"rtcp_remote_port": 70000}, {"send_key": b"1"}]
)
def test_impossible_connection_closes_the_descriptor_of_rtcp_too(rig, change):
    port = rig.rtp_port(connected=False)
    (fd, _), (rtcp_fd, _) = near_socket(), near_socket()
    options = {"remote_host": "127.0.0.1", "remote_port": 9, "profile": PROFILE} | change
    rig.post(m.ConnectPlain(port, fd, rtcp_fd=rtcp_fd, **options))
    assert isinstance(rig.tick()[0], m.PortFailed)
    assert not is_open(fd)
    assert not is_open(rtcp_fd)


RTCP = bytes([0x80, 201, 0, 1]) + bytes(4)


@pytest.mark.parametrize("keys", [{}, {"receive_key": KEY, "send_key": OTHER_KEY, "profile": PROFILE}])
def test_rtcp_has_a_socket_of_its_own_where_it_was_given_one(rig, far, keys):
    seen: list[bytes] = []
    rig.plane.receive = lambda rows, lengths, slots, now: seen.extend(
        row[:length].tobytes() for row, length in zip(rows, lengths, strict=True)
    )
    rig.plane.control = lambda now: (
        np.frombuffer(RTCP.ljust(16), np.uint8).reshape(1, 16),
        np.array([8]),
        np.array([0]),
    )
    peer = SrtpPair(OTHER_KEY, KEY, PROFILE) if keys else None
    port = rig.rtp_port(connected=False)
    (fd, _), (rtcp_fd, rtcp_address) = near_socket(), near_socket()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far_control:
        far_control.bind(("127.0.0.1", 0))
        far_control.settimeout(5)
        ports = far.getsockname()[1], far_control.getsockname()[1]
        rig.post(
            m.ConnectPlain(
                port, fd, "127.0.0.1", ports[0], rtcp_fd=rtcp_fd, rtcp_remote_port=ports[1], **keys
            )
        )
        rig.tick()
        came = far_control.recv(2000)
        assert (peer.unprotect(came) if peer else came) == RTCP
        # Audio is not taken from there.
        far_control.sendto(packet(steady(1.0)), rtcp_address)
        far_control.sendto(peer.protect(RTCP) if peer else RTCP, rtcp_address)
        tick_until(rig, lambda: seen)
    assert seen == [RTCP]
    assert rig.engine.counters["odd_datagrams"] == 1
    rtp = far.recv(2000)
    assert (peer.unprotect(rtp) if peer else rtp)[1] == packet(steady(0.0))[1]
    rig.post(m.RemovePort(port))
    rig.tick()
    assert not is_open(rtcp_fd)


def test_rtcp_goes_one_port_above_by_default(rig):
    port = rig.rtp_port(connected=False)
    (fd, _), (rtcp_fd, _) = near_socket(), near_socket()
    rig.post(m.ConnectPlain(port, fd, "127.0.0.1", 40000, rtcp_fd=rtcp_fd))
    rig.tick()
    [link] = rig.engine._parts.transports._links.values()
    assert link.control.source.target == ("127.0.0.1", 40001)


def test_stop_closes_every_socket(far):
    rig = Rig()
    _, fd, _ = connect(rig, far)
    rig.engine.stop()
    assert not is_open(fd)


def test_unconnected_port_sends_nothing(rig):
    rig.rtp_port(connected=False)
    rig.plane.control = lambda now: (np.zeros((1, 16), np.uint8), np.array([16]), np.array([0]))
    rig.tick(3)
    assert not rig.datagrams


def test_packet_after_an_icmp_error_is_sent_by_a_connected_socket(rig, far):
    port, _, address = connect(rig, far)
    for _ in range(round((CONNECT_AFTER_S + 0.5) / 0.02)):
        far.sendto(packet(steady(1.0)), address)
        rig.tick()
    [link] = rig.engine._parts.transports._links.values()
    assert link.port == port
    assert link.socket.is_connected
    there = far.getsockname()
    far.close()
    rig.tick()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(there)
        again.settimeout(5)
        # Without a reading in between, which would clear the error.
        rig.engine._parts.transports.send(
            np.frombuffer(packet(steady(5.0)), np.uint8)[None], np.array([972]), np.array([link.slot]), []
        )
        assert again.recv(2000)
    assert rig.engine.counters["send_errors"] == 0
