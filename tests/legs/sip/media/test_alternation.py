"""Offers and answers between two SIP legs, in every order that RFC 3264 allows."""

import asyncio
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.legs.sip.media.shared import MediaOptions
from softswitch.media.messages import AddRtpPort, RtpParameters, SetDirection, UpdateRtp
from softswitch.sdp import CODECS, Direction, can_receive, can_send, narrowed, parse
from tests.legs.sip.media.test_negotiation import Leg

DIRECTIONS: tuple[Direction, ...] = ("sendrecv", "sendonly", "recvonly", "inactive")
OPTIONS = {
    "plain": MediaOptions(),
    "sdes": MediaOptions(srtp="sdes"),
    "dtls": MediaOptions(srtp="dtls"),
    "ice": MediaOptions(is_browser=True),
}

steps = st.tuples(st.integers(0, 1), st.sampled_from((*DIRECTIONS, "refresh", "refused")), st.booleans())
codecs = st.permutations(CODECS).flatmap(lambda names: st.integers(1, 4).map(lambda n: tuple(names[:n])))


def parameters(leg: Leg) -> RtpParameters:
    changes = [item for item in leg.engine.messages if isinstance(item, AddRtpPort | UpdateRtp)]
    return changes[-1].rtp


def flow(leg: Leg) -> tuple[bool, bool]:
    changes = leg.engine.of(SetDirection)
    return (changes[-1].sends, changes[-1].receives) if changes else (True, True)


class Call:
    """Two legs and what each wants."""

    def __init__(self, first: MediaOptions, second: MediaOptions) -> None:
        self.legs = Leg(first), Leg(second)
        self.wanted: list[Direction] = ["sendrecv", "sendrecv"]
        self.versions = [0, 0]

    async def negotiate(self, offerer: int, offer: str, *, repeated: bool = False) -> None:
        one, other = self.legs[offerer].media, self.legs[1 - offerer].media
        self.see(offerer, offer)
        answer = await other.answer(offer)
        self.see(1 - offerer, answer)
        await one.take_answer(answer)
        if repeated:  # 183, then 200
            await one.take_answer(answer)

    def see(self, side: int, sdp: str) -> None:
        version = int(parse(sdp).origin.version)
        assert version - self.versions[side] in (0, 1)
        self.versions[side] = version

    async def step(self, side: int, action: str, *, repeated: bool) -> None:
        media = self.legs[side].media
        match action:
            case "refresh":
                await self.negotiate(side, await media.offer(), repeated=repeated)
            case "refused":
                self.see(side, media.reoffer("inactive"))
                await media.withdraw()
            case "sendrecv" | "sendonly" | "recvonly" | "inactive":
                self.wanted[side] = action
                await self.negotiate(side, media.reoffer(action), repeated=repeated)

    def check(self) -> None:
        first, second = (leg.media.agreement for leg in self.legs)
        assert first is not None
        assert second is not None
        assert first.codec.rtpmap == second.codec.rtpmap
        assert first.ptime_ms == second.ptime_ms
        flows = [flow(leg) for leg in self.legs]
        both = narrowed(self.wanted[0], self.wanted[1])
        assert flows[0] == (can_send(both), can_receive(both))
        assert flows[1] == (can_receive(both), can_send(both))
        sent = [parameters(leg) for leg in self.legs]
        for one, other in (sent, sent[::-1]):
            assert one.send.payload_type in {item.payload_type for item in other.receive}
            if one.send_events is not None:
                assert one.send_events.payload_type in {item.payload_type for item in other.receive}

    async def close(self) -> None:
        for leg in self.legs:
            leg.media.close()
        for leg in self.legs:
            await leg.media.closed()
            assert leg.shared.sockets.in_use == 0


@given(
    st.sampled_from(list(OPTIONS)),
    codecs,
    codecs,
    st.sampled_from((10, 20, 30, 40, 50, 60)),
    st.lists(steps, max_size=6),
)
@settings(deadline=None, max_examples=40)
def test_both_sides_agree_after_any_alternation(keying, offered, supported, ptime, actions) -> None:
    async def alternate() -> None:
        options = replace(OPTIONS[keying], ptime_ms=ptime)
        call = Call(replace(options, codecs=offered), replace(options, codecs=(*supported, *CODECS)))
        try:
            await call.negotiate(0, await call.legs[0].media.offer())
            call.check()
            for side, action, repeated in actions:
                await call.step(side, action, repeated=repeated)
                call.check()
        finally:
            await call.close()

    asyncio.run(alternate())
