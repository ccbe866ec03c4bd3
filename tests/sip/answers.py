"""Answers to our requests that no agent gives."""

from softswitch.sip.syntax.message import Request
from tests.sip.link import ANSWER, Link


def challenge_once(link, name, header, code, nonces=("n1",)):
    """Have `name` refuse every request that carries none of `nonces`."""
    peer = link[name]
    original = peer.agent.receive

    def receive(message, flow, now):
        answer = "Proxy-Authorization" if code == 407 else "Authorization"
        if isinstance(message, Request) and message.method in ("INVITE", "REGISTER", "BYE", "OPTIONS"):
            given = message.headers.get(answer) or ""
            if not any(f'nonce="{nonce}"' in given for nonce in nonces[-1:]):
                stale = ", stale=true" if any(f'nonce="{nonce}"' in given for nonce in nonces) else ""
                value = f'Digest realm="there", nonce="{nonces[-1]}", qop="auth", algorithm=MD5{stale}'
                if not peer.agent.knows(message):
                    peer.agent.respond_stateless(message, flow, code, headers={header: value})
                    return
        original(message, flow, now)

    peer.agent.receive = receive


def response(invite, code, tag, **headers):
    text = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    body = ANSWER if code == 200 else ""
    kind = "Content-Type: application/sdp\r\n" if body else ""
    return (
        f"SIP/2.0 {code} X\r\nVia: {invite.headers['Via']}\r\nFrom: {invite.headers['From']}\r\n"
        f"To: {invite.headers['To']};tag={tag}\r\nCall-ID: {invite.call_id}\r\n"
        f"CSeq: {invite.headers['CSeq']}\r\n"
        f"{text}{kind}\r\n{body}"
    ).encode()


def forked(**wish):
    """A call to no party: its INVITE, to be answered by hand."""
    link = Link("anna", "bert", "carl")
    anna, bert = link["anna"], link["bert"]
    link.filter = lambda *_: False
    session = anna.call(bert, **wish)
    link.run(0.01)
    return link, anna, link.sent[0][2], session
