"""How a service, or whoever gets a webhook, can tell that a message is ours: an HMAC over it and its time."""

import hashlib
import hmac

HEADER = "X-Softswitch-Signature"


def signature(secret: str, seconds: int, content: bytes) -> str:
    """Return the value of the header: ``t=<epoch seconds>,v1=<hex of HMAC-SHA256 over "<t>.<content>">``.

    Args:
        secret: Shared with the receiver.
        seconds: Epoch seconds of the moment of signing.
        content: What is signed: the body of a webhook, the URL of a stream.
    """
    proof = hmac.new(secret.encode(), b"%d." % seconds + content, hashlib.sha256)
    return f"t={seconds},v1={proof.hexdigest()}"
