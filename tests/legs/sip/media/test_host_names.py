"""Host names in the c= lines of peers."""

import asyncio

import pytest

from softswitch.legs.sip.addressing.resolve import UnresolvedError
from softswitch.legs.sip.media.host_names import with_addresses
from softswitch.sdp import NotAcceptableError, parse

BOTH = ("192.0.2.1", "2001:db8::1")


def described(*lines: str) -> str:
    head = "v=0\r\no=- 1 1 IN IP4 x.example\r\ns=-\r\n"
    return head + "".join(f"{line}\r\n" for line in lines)


def session(family: str, host: str, *media: str) -> str:
    return described(f"c=IN {family} {host}", "t=0 0", "m=audio 4000 RTP/AVP 0", *media)


class Names:
    """A resolver that knows one name, and counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, host: str, asker: object) -> tuple[str, ...]:
        del asker
        self.asked.append(host)
        await asyncio.sleep(0)
        if host != "phone.example":
            raise UnresolvedError(f"{host}: DNS knows no address of this name")
        return BOTH


async def found(text: str, names: Names | None = None) -> str:
    description = await with_addresses(parse(text), names or Names())
    connection = description.connection_of(description.media[0])
    assert connection is not None
    return connection.address


@pytest.mark.parametrize(
    ("family", "host", "address"),
    [
        ("IP4", "phone.example", BOTH[0]),
        ("IP6", "phone.example", BOTH[1]),
        ("IP4", "192.0.2.9", "192.0.2.9"),
        ("IP4", "0.0.0.0", "0.0.0.0"),
        ("IP4", "host.invalid", "0.0.0.0"),
        ("IP6", "host.invalid.", "::"),
    ],
)
async def test_name_becomes_an_address_of_its_family(family, host, address):
    assert await found(session(family, host)) == address


async def test_name_of_a_section_is_resolved_and_that_of_an_unused_one_is_not():
    names = Names()
    text = described(
        "t=0 0",
        "m=audio 4000 RTP/AVP 0",
        "c=IN IP4 phone.example",
        "m=video 4002 RTP/AVP 31",
        "c=IN IP4 camera.example",
        "m=audio 0 RTP/AVP 0",
        "c=IN IP4 closed.example",
        "m=audio 4004 UDP/TLS/RTP/SAVPF 0",
        "c=IN IP4 ice.example",
    )
    assert await found(text, names) == BOTH[0]
    assert names.asked == ["phone.example"]


async def test_name_without_an_address_is_not_acceptable():
    with pytest.raises(NotAcceptableError, match=r"c= line: gone\.example: DNS knows no address"):
        await found(session("IP4", "gone.example"))


async def test_names_of_one_description_are_bounded():
    names = Names()
    more = [line for n in range(5) for line in ("m=audio 4000 RTP/AVP 0", f"c=IN IP4 h{n}.example")]
    with pytest.raises(NotAcceptableError, match="more than 4 host names"):
        await found(session("IP4", "192.0.2.9", *more), names)
    assert names.asked == []
