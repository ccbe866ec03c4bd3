"""Packets of HEP version 3, read by a reader of their own."""

import ipaddress
import struct
from typing import Any

from softswitch.sip.hep import MOST_PAYLOAD, encode
from softswitch.sip.transaction.flow import Flow


def decode(packet: bytes) -> dict[int, Any]:
    """Return the chunks of a packet by type."""
    assert packet[:4] == b"HEP3"
    assert struct.unpack(">H", packet[4:6])[0] == len(packet)
    chunks, at = {}, 6
    while at < len(packet):
        vendor, kind, length = struct.unpack(">HHH", packet[at : at + 6])
        assert vendor == 0
        chunks[kind] = packet[at + 6 : at + length]
        at += length
    return chunks


def test_packet_of_a_received_message_has_all_chunks():
    flow = Flow("udp", "192.0.2.1", 5070, 0, "192.0.2.9", 5060)
    chunks = decode(
        encode(b"BYE a", flow, sent=False, at=1000.25, agent=2001, key="k", correlation=b"call@x")
    )
    assert chunks[1] == b"\x02"
    assert chunks[2] == bytes([17])
    assert (chunks[3], chunks[4]) == (bytes([192, 0, 2, 1]), bytes([192, 0, 2, 9]))
    assert [struct.unpack(">H", chunks[kind])[0] for kind in (7, 8)] == [5070, 5060]
    assert [struct.unpack(">I", chunks[kind])[0] for kind in (9, 10, 12)] == [1000, 250_000, 2001]
    assert (chunks[11], chunks[14], chunks[15], chunks[17]) == (b"\x01", b"k", b"BYE a", b"call@x")


def test_packet_of_a_sent_message_over_ipv6_is_turned_round():
    flow = Flow("tls", "2001:db8::1", 5061, 3, "2001:db8::9", 40000)
    chunks = decode(encode(b"x", flow, sent=True, at=0.0, agent=1))
    assert chunks[1] == b"\x0a"
    assert chunks[2] == bytes([6])
    assert chunks[5] == ipaddress.ip_address("2001:db8::9").packed
    assert chunks[6] == ipaddress.ip_address("2001:db8::1").packed
    assert [struct.unpack(">H", chunks[kind])[0] for kind in (7, 8)] == [40000, 5061]
    assert 14 not in chunks
    assert 17 not in chunks


def test_unknown_addresses_and_long_messages_fit():
    flow = Flow("udp", "name.example.org", 5060, 0, "2001:db8::9", 5060)
    packet = encode(b"y" * 70_000, flow, sent=False, at=1.0, agent=1)
    chunks = decode(packet)
    assert len(chunks[15]) == MOST_PAYLOAD
    assert chunks[3] == chunks[4] == bytes(4)
    assert len(packet) < 65_507
