"""Messages that no agent sent."""

from softswitch.sip.events import Offered
from tests.sip.link import Link


def plain(method, *, branch="z9hG4bKx", to_tag="", extra="", sequence=1, host="10.0.0.1"):
    tag = f";tag={to_tag}" if to_tag else ""
    return (
        f"{method} sip:bert@10.0.0.2 SIP/2.0\nVia: SIP/2.0/UDP {host}:5060;branch={branch}\n"
        f"Max-Forwards: 70\n"
        f"From: <sip:anna@10.0.0.1>;tag=a\nTo: <sip:bert@10.0.0.2>{tag}\nCall-ID: c9\n"
        f"CSeq: {sequence} {method}\n"
        f"{extra}\n"
    )


def reaction(method, **options):
    link = Link("anna", "bert")
    link["bert"].inject(plain(method, **options), link["anna"])
    link.run(0.1)
    return link, (link.sent[-1][2] if link.sent else None)


def forge(peer, session, method, *, call_id=None, tag=None, other=None, sequence=99, headers="", body=""):
    there = peer.agent.dialog(session)
    call_id, tag, other = call_id or there[0], tag or there[1], other or there[2]
    peer.inject(
        f"{method} sip:{peer.name}@{peer.host} SIP/2.0\n"
        f"Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKf{method}{sequence}\n"
        f"From: <sip:x@y>;tag={other}\nTo: <sip:z@y>;tag={tag}\nCall-ID: {call_id}\n"
        f"CSeq: {sequence} {method}\n"
        f"Max-Forwards: 70\nContact: <sip:x@10.0.0.1>\n{headers}\n{body}",
        peer.link["anna"],
    )
    peer.link.run(0.1)
    return peer.link.sent[-1][2]


def accept(peer, sdp):
    peer.reactions[Offered] = lambda one: peer.agent.accept_offer(one.session, sdp, peer.link.now)


def send_inside(link, peer, session, method, *, headers=(), sdp=""):
    """Have a peer's agent send a request it would not send by itself; return the codes that come back."""
    heard: list[int] = []
    request, flow = peer.agent._sessions.by_id[session].state.dialog.request(method)
    request.headers.set("Contact", f"<sip:{peer.name}@{peer.host}>")
    for name, value in headers:
        request.headers.set(name, value)
    if sdp:
        request.body = sdp.encode()
        request.headers.set("Content-Type", "application/sdp")
    peer.agent._context.send_request(request, flow, lambda _t, response, _m: heard.append(response.code))
    link.run()
    return heard
