"""What the patches rely on in pyVoIP 1.6.8: its names and shapes, and the faults that they are there for.

When this fails, the library has changed: look at every patch before the pin is moved.
"""

import importlib.metadata
import inspect
import io
import threading
from typing import cast

import pytest

from softswitch.legs.pyvoip.library import VERSION
from tests.legs.pyvoip.pyvoip import RTP, SIP, Call, Client, Phone, Stream, VoIPCall, VoIPPhone, pyVoIP


def test_release_is_the_one_that_is_pinned() -> None:
    assert importlib.metadata.version("pyVoIP") == pyVoIP.__version__ == VERSION


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (
            VoIPPhone.__init__,
            "self server port username password myIP callCallback sipPort rtpPortLow rtpPortHigh",
        ),
        (VoIPCall.__init__, "self phone callstate request session_id myIP ms sendmode"),
        (VoIPCall.create_rtp_clients, "self codecs ip port request baseport"),
        (VoIPCall.gen_ms, "self"),
        (VoIPCall.read_audio, "self length blocking"),
        (VoIPCall.write_audio, "self data"),
        (
            SIP.SIPClient.__init__,
            "self server port username password phone myIP myPort callCallback fatalCallback",
        ),
        (SIP.SIPClient.gen_first_response, "self deregister"),
        (SIP.SIPClient.gen_ringing, "self request"),
        (SIP.SIPClient.gen_answer, "self request sess_id ms sendtype"),
        (SIP.SIPClient.gen_invite, "self number sess_id ms sendtype branch call_id"),
        (SIP.SIPClient.gen_branch, "self length"),
        (SIP.SIPMessage.__init__, "self data"),
        (RTP.RTPClient.__init__, "self assoc inIP inPort outIP outPort sendrecv dtmf"),
        (RTP.RTPClient.read, "self length blocking"),
        (RTP.RTPClient.write, "self data"),
        (RTP.RTPPacketManager.write, "self offset data"),
        (RTP.RTPMessage.__init__, "self data assoc"),
    ],
)  # fmt: skip
def test_functions_take_what_they_are_given(function: object, names: str) -> None:
    assert " ".join(inspect.signature(function).parameters) == names  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mine", "remote", "names"),
    [
        (Phone, VoIPPhone, "start stop call get_status request_port release_ports"),
        (Call, VoIPCall, "create_rtp_clients answer deny hangup bye answered"),
        (Client, SIP.SIPClient, "start stop recv_loop recv gen_tag gen_call_id"),
        (Stream, RTP.RTPClient, "start stop recv trans parse_packet parse_telephone_event encode_packet"),
    ],
)
def test_mended_methods_stand_in_the_place_of_real_ones(mine: type, remote: type, names: str) -> None:
    assert issubclass(mine, remote)
    for name in names.split():
        assert callable(getattr(remote, name))


def plain_client() -> SIP.SIPClient:
    """Return a client of pyVoIP itself, without a telephone."""
    return SIP.SIPClient("h", 5060, "u", "p", phone=cast("VoIPPhone", None))


# --- the faults -----------------------------------------------------------------------


def test_empty_supported_of_baresip_still_cannot_be_read() -> None:
    head = (
        b"INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h:5060;branch=1\r\nSupported:\r\nCSeq: 1 INVITE\r\n\r\n"
    )
    with pytest.raises(IndexError):
        SIP.SIPMessage(head)


def test_lock_is_still_not_reentrant() -> None:
    client = plain_client()
    assert isinstance(client.recvLock, type(threading.Lock()))


def test_call_ids_still_repeat_after_each_start() -> None:
    first, second = (plain_client() for _ in range(2))
    assert first.gen_call_id() == second.gen_call_id()


def test_ack_still_has_a_tag_of_its_own() -> None:
    client = plain_client()
    client.tagLibrary["c"] = "local"
    response = SIP.SIPMessage(
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h:5060;branch=1\r\nFrom: <sip:a@b>;tag=local\r\n"
        b"To: <sip:c@d>;tag=remote\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\r\n"
    )
    assert "tag=remote" not in client.gen_ack(response)


def test_a_law_is_still_sent_as_mu_law() -> None:
    stream = RTP.RTPClient(
        {8: RTP.PayloadType.PCMA}, "127.0.0.1", 9, "127.0.0.1", 9, RTP.TransmitType.SENDRECV
    )
    assert (
        stream.encode_packet(bytes(160)) == stream.encode_pcmu(bytes(160)) != stream.encode_pcma(bytes(160))
    )


def test_packet_from_far_ahead_is_still_sought_in_a_file() -> None:
    manager = RTP.RTPPacketManager()
    manager.write(0, b"1")
    manager.write(10_000_000, b"2")
    assert isinstance(manager.buffer, io.BytesIO)
    assert manager.buffer.getbuffer().nbytes > 10_000_000


def test_jump_back_is_still_heard_as_silence() -> None:
    manager = RTP.RTPPacketManager()
    manager.write(500_000, b"1" * 160)
    manager.read(160)
    manager.write(450_000, b"2" * 160)
    assert manager.read(160) != b"2" * 160


def test_header_extensions_are_still_played() -> None:
    data = b"\x90\0\0\1\0\0\0\0\0\0\0\7" + b"\xbe\xde\0\1abcd" + b"x"
    assert RTP.RTPMessage(data, {0: RTP.PayloadType.PCMU}).payload != b"x"


def test_unknown_code_still_cannot_be_read() -> None:
    with pytest.raises(ValueError, match="699"):
        SIP.SIPMessage(b"SIP/2.0 699 Odd\r\nVia: SIP/2.0/UDP h:5060;branch=1\r\n\r\n")
