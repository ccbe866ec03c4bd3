"""S3-compatible storage on loopback that verifies the signature of each request (AWS Signature Version 4)."""

import hashlib
import hmac
import re
from typing import Self
from urllib.parse import parse_qsl, quote

from aiohttp import web
from aiohttp.test_utils import TestServer

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<scope>[^,]+), ?SignedHeaders=(?P<names>[^,]+), ?"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)


def signature(
    secret: str, method: str, path: str, query: str, headers: dict[str, str], names: str, scope: str
) -> str:
    """Return the signature of a request, by Amazon's "Signature Calculations for the Authorization Header".

    Args:
        secret: Secret of the access key.
        method: HTTP method.
        path: Path as it stands in the request line, without the query.
        query: Query as it stands there.
        headers: Values by name in lower case.
        names: Signed names, separated by semicolons.
        scope: Day, region, service and "aws4_request", separated by slashes.
    """
    pairs = sorted((quote(k, safe="-_.~"), quote(v, safe="-_.~")) for k, v in parse_qsl(query, True))
    canonical = "\n".join(
        [
            method,
            path,
            "&".join(f"{name}={value}" for name, value in pairs),
            *(f"{name}:{' '.join(headers[name].split())}" for name in names.split(";")),
            "",
            names,
            headers["x-amz-content-sha256"],
        ]
    )
    to_sign = "\n".join(
        ("AWS4-HMAC-SHA256", headers["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest())
    )
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()


class Storage:
    """A storage with one access key."""

    def __init__(self, key: str = "AKIDEXAMPLE", secret: str = "secret/key") -> None:
        self.key, self.secret = key, secret
        self.objects: dict[str, bytes] = {}
        self.kinds: dict[str, str] = {}
        self.refused: list[str] = []
        self.answers: list[int] = []
        """Status codes of the next answers, in place of storing anything."""
        application = web.Application(client_max_size=1 << 30)
        application.router.add_put("/{bucket}/{name:.+}", self._put)
        application.router.add_delete("/{bucket}/{name:.+}", self._delete)
        self._server = TestServer(application, host="127.0.0.1")

    async def __aenter__(self) -> Self:
        """Serve."""
        await self._server.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await self._server.close()

    @property
    def url(self) -> str:
        """Return the endpoint."""
        return str(self._server.make_url("")).rstrip("/")

    async def _put(self, request: web.Request) -> web.Response:
        body = await request.read()
        wrong = self._fault(request, body)
        if wrong:
            self.refused.append(wrong)
            return web.Response(status=403, text=f"<Error><Code>SignatureDoesNotMatch</Code>{wrong}</Error>")
        if self.answers:
            return web.Response(status=self.answers.pop(0), text="<Error><Code>Given</Code></Error>")
        self.objects[request.path] = body
        self.kinds[request.path] = request.content_type
        return web.Response(headers={"ETag": '"x"'})

    async def _delete(self, request: web.Request) -> web.Response:
        wrong = self._fault(request, await request.read())
        if wrong:
            self.refused.append(wrong)
            return web.Response(status=403, text=f"<Error><Code>SignatureDoesNotMatch</Code>{wrong}</Error>")
        if self.answers:
            return web.Response(status=self.answers.pop(0), text="<Error><Code>Given</Code></Error>")
        self.objects.pop(request.path, None)
        return web.Response(status=204)

    def _fault(self, request: web.Request, body: bytes) -> str:
        found = _AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
        if found is None or found["key"] != self.key:
            return "credential"
        headers = {name.lower(): value for name, value in request.headers.items()}
        if (request.method == "PUT" and "content-length" not in headers) or "transfer-encoding" in headers:
            return "length"
        if hashlib.sha256(body).hexdigest() != headers["x-amz-content-sha256"]:
            return "digest"
        if not {"host", "x-amz-date", "x-amz-content-sha256"} <= set(found["names"].split(";")):
            return "signed headers"
        path, _, query = request.raw_path.partition("?")
        wanted = signature(self.secret, request.method, path, query, headers, found["names"], found["scope"])
        return "" if hmac.compare_digest(wanted, found["signature"]) else "signature"
