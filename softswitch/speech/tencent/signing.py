"""Signatures of Tencent Cloud's speech WebSockets."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote, urlsplit


def signed_url(url: str, query: Mapping[str, object], key: str, *, verb: str = "", field: str) -> str:
    """Return a URL with its parameters and their signature.

    Signed is ``verb + host + path + "?" + sorted k=v`` with the values as they are, by HMAC-SHA1, in Base64;
    in the URL the values are percent-encoded.

    Args:
        url: without parameters.
        query: parameters.
        key: the SecretKey.
        verb: "GET" for synthesis, empty for recognition.
        field: name of the parameter with the signature.
    """
    parts = urlsplit(url)
    names = sorted(query)
    plain = "&".join(f"{name}={query[name]}" for name in names)
    text = f"{verb}{parts.netloc}{parts.path}?{plain}"
    proof = base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha1).digest()).decode()
    encoded = "&".join(f"{name}={quote(str(query[name]), safe='')}" for name in names)
    return f"{url}?{encoded}&{field}={quote(proof, safe='')}"
