"""Which way the media of a leg take, by what is wished and what the far end says."""

from softswitch.endpoints.sip.media_dtls import DtlsWay
from softswitch.endpoints.sip.media_ice import IceWay
from softswitch.endpoints.sip.media_plain import PlainWay
from softswitch.endpoints.sip.media_shared import MediaOwner, MediaWish, SipMediaShared
from softswitch.endpoints.sip.media_way import Life, Way
from softswitch.sdp import Keying


def allowed(wish: MediaWish) -> frozenset[Keying]:
    """Return how an offer of theirs may be keyed."""
    match wish.srtp:
        case "off":
            return frozenset({"plain", "ice"})
        case "allowed":
            return frozenset({"plain", "sdes", "dtls", "ice"})
        case "sdes" | "dtls":
            return frozenset({"sdes", "dtls", "ice"})


def offered_keying(wish: MediaWish) -> Keying:
    """Return how an offer of ours is keyed."""
    if wish.far_webrtc:
        return "ice"
    return wish.srtp if wish.srtp in {"sdes", "dtls"} else "plain"


def announced_address(shared: SipMediaShared, wish: MediaWish) -> str:
    """Return what stands in the c= line: an address of ours that the far end can reach."""
    return wish.address or shared.external_ip or shared.own_address


def make_way(
    shared: SipMediaShared, life: Life, owner: MediaOwner, port: int, wish: MediaWish, keying: Keying
) -> Way:
    """Return a way for media that are keyed so."""
    if keying == "ice":
        return IceWay(shared, life.spawn, owner, port, wish.handshake_s)
    address = announced_address(shared, wish)
    if keying == "dtls":
        return DtlsWay(shared, life.spawn, owner, port, address, wish.handshake_s)
    return PlainWay(shared.engine, shared.sockets, shared.random, port, address, keying)
