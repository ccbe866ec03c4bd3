"""Random datagrams: no call fails or is lost, and honest peers are served as before."""

import asyncio
from random import Random

from softswitch.call.vocabulary.reports import LegAnswered
from tests.legs.pyvoip.peer import SDP, Peer
from tests.legs.pyvoip.rig import Bench

SEED = (
    "{method} sip:echo@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5099;branch=z9hG4bK{number};rport\r\n"
    'Max-Forwards: 70\r\nFrom: "A, B" <sip:far@127.0.0.1>;tag=f{number}\r\nTo: <sip:echo@127.0.0.1>{tag}\r\n'
    "Call-ID: fuzz-{number}\r\nCSeq: 1 {method}\r\nContact: <sip:far@127.0.0.1:5099>\r\nSupported:\r\n"
    "Record-Route: <sip:p;lr>, <sip:q;lr>\r\nContent-Type: application/sdp\r\n\r\n{body}"
)
STRINGS = [
    b"\r\n",
    b"\0",
    b"\xff\xfe",
    b";",
    b"=",
    b":",
    b"<",
    b'"',
    b"%",
    b" ",
    b"0",
    b"99999999999",
    b"m=audio",
    b"c=IN",
]


def mutated(random: Random, number: int) -> bytes:
    """Return a message that was once valid."""
    method = random.choice(
        ["INVITE", "INVITE", "INVITE", "BYE", "CANCEL", "INFO", "OPTIONS", "ACK", "NOTIFY"]
    )
    tag = random.choice(["", "", ";tag=x"])
    body = SDP.format(port=40000, more="a=sendonly\r\n")
    data = bytearray(SEED.format(method=method, number=number, tag=tag, body=body).encode())
    for _ in range(random.randrange(4)):
        place = random.randrange(len(data))
        match random.randrange(3):
            case 0:
                data[place] = random.randrange(256)
            case 1:
                data[place:place] = random.choice(STRINGS)
            case _:
                del data[place : place + random.randrange(1, 40)]
    return bytes(data)


async def test_no_mutation_of_a_message_fails_the_telephone_or_keeps_its_room() -> None:
    random = Random(11)
    async with Bench() as bench, Peer(bench.endpoints.own_port) as peer:
        bench.endpoints.limits.most = 10**6
        for number in range(1500):
            peer.send(mutated(random, number))
            if number % 50 == 49:
                await asyncio.sleep(0.02)
                while not bench.incoming.empty():
                    bench.incoming.get_nowait().reject(486, "Busy Here")
        await asyncio.sleep(0.2)
        while not bench.incoming.empty():
            bench.incoming.get_nowait().reject(486, "Busy Here")
        await bench.until(lambda: bench.endpoints.limits.total == 0)
        numbers = bench.endpoints.numbers()
        assert numbers["failures"] == 0
        assert numbers["calls_received"] > 100
        assert numbers["messages_malformed"] > 50


async def test_no_packet_of_rtp_ends_the_audio_of_a_call() -> None:
    random = Random(12)
    async with Bench() as bench, Peer(bench.endpoints.own_port) as peer:
        peer.invite(port=peer.port)
        _, leg = await bench.called()
        leg.endpoint.answer()
        response = await peer.until("SIP/2.0 200")
        peer.ack(response)
        await leg.until(LegAnswered)
        peer.to = int(response.body.partition("m=audio ")[2].split()[0])
        for number in range(2000):
            head = random.choice([b"\x80\x08", b"\x80\x65", b"\x80\xe5", random.randbytes(2)])
            peer.send(head + random.randbytes(random.randrange(300)))
            if number % 100 == 99:
                await asyncio.sleep(0.01)
        leg.listen()
        await asyncio.sleep(0.2)
        for number in range(50):
            stamp = (160 * number).to_bytes(4, "big")
            peer.send(
                b"\x80\x08" + number.to_bytes(2, "big") + stamp + b"\0\0\0\7" + bytes([0x2A, 0xAA] * 80)
            )
            await asyncio.sleep(0.02)
        peer.to = bench.endpoints.own_port
        await leg.end()
    assert leg.sound().size > 4000
    assert abs(leg.sound().astype(int)).max() > 1000
