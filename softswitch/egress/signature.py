"""Signatures by which a receiver of webhooks, or a streaming service, recognises this switch.

``docs/guides/webhooks.md`` shows how a receiver checks them.
"""

import hashlib
import hmac

HEADER = "X-Softswitch-Signature"
EVENT_ID = "X-Softswitch-Event-Id"
"""Header with the id of a webhook message, which is the same in each try."""


def signature(secret: str, seconds: int, content: bytes) -> str:
    """Return the value of the header: ``t=<epoch seconds>,v1=<hex of HMAC-SHA256 over "<t>.<content>">``.

    Args:
        secret: Shared with the receiver.
        seconds: Epoch seconds of the moment of signing.
        content: What is signed: the body of a webhook, the URL of a stream.
    """
    return f"t={seconds},v1={_proof(secret, b'%d.' % seconds + content)}"


def webhook_signature(secret: str, seconds: int, event_id: str, body: bytes) -> str:
    """Return the value of the header for a webhook message, ``t=...,v1=...,v2=...``.

    ``v2`` is the hex HMAC-SHA256 over ``<t>.<event id>.<body>``; a receiver that has seen the id within its
    replay window refuses the message. ``v1`` does not cover the id: it is kept for receivers of before.

    Args:
        secret: Shared with the receiver.
        seconds: Epoch seconds of this try.
        event_id: Id of the message, ASCII.
        body: Body of the request.
    """
    second = _proof(secret, b"%d.%b." % (seconds, event_id.encode()) + body)
    return f"{signature(secret, seconds, body)},v2={second}"


def _proof(secret: str, content: bytes) -> str:
    return hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()
