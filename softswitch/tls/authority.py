"""Orders of certificates from an ACME authority (RFC 8555), proved over HTTP (section 8.3).

The library of certbot speaks the protocol; its requests go through the egress client. It blocks, so an order
runs in a thread.
"""

import asyncio
import datetime as dt
import json
from collections.abc import Callable
from typing import Any, cast

import josepy.errors
import josepy.jwa
import josepy.jwk
import josepy.util
import requests
from acme import challenges, client, crypto_util, errors, messages
from cryptography.hazmat.primitives.asymmetric import ec

from softswitch.egress import EgressClient, EgressError
from softswitch.settings.acme import Acme
from softswitch.tls.folder import CertificateFolder, new_key
from softswitch.tls.renewal import OrderError, Publisher

ORDER_S = 120.0
"""Longest time for an order, seconds."""
REQUEST_S = 30.0
"""Longest time for one request, seconds."""
NONCE_TRIES = 4
"""Tries of a request whose nonce the authority does not take."""
SAID = 400
"""Characters of the authority's words that an error repeats."""


class Authority:
    """The authority that the settings name, with the account of this switch."""

    def __init__(
        self, settings: Acme, folder: CertificateFolder, egress: EgressClient, user_agent: str
    ) -> None:
        """Prepare.

        Args:
            settings: Directory, names, address.
            folder: Keeps the account.
            egress: Sends requests; the directory comes from the settings, so it may be a private address.
            user_agent: Name of this program.
        """
        self._settings, self._folder, self._egress = settings, folder, egress
        self._user_agent = user_agent
        self.stopping = False
        """Set: an order that runs ends with its next request."""

    async def order(self, publisher: Publisher) -> tuple[bytes, bytes]:
        """Return a new certificate with its chain, and its key, both PEM.

        Raises:
            OrderError: The authority refuses, or cannot be reached.
            UnavailableError: The key of the account cannot be opened.
            OSError: A file cannot be written.
        """
        loop = asyncio.get_running_loop()
        net = _Network(self._fetch, loop, user_agent=self._user_agent)
        try:
            return await asyncio.to_thread(self._order, net, publisher)
        except (errors.Error, messages.Error, requests.RequestException, josepy.errors.Error) as error:
            raise OrderError(_words(error)) from error

    async def _fetch(self, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> Any:
        if self.stopping:
            raise requests.ConnectionError("the switch stops")
        return await self._egress.fetch(
            url, method=method, headers=headers, body=body, trusted=True, redirects=False, timeout_s=REQUEST_S
        )

    def _order(self, net: "_Network", publisher: Publisher) -> tuple[bytes, bytes]:
        net.key = self._account_key()
        net.alg = josepy.jwa.ES256
        acme = client.ClientV2(client.ClientV2.get_directory(self._settings.directory, net), net)
        self._sign_in(acme, net)
        key = new_key()
        order = acme.new_order(crypto_util.make_csr(key, list(self._settings.domains)))
        published: list[tuple[str, str, str]] = []
        try:
            for authorization in order.authorizations:
                if authorization.body.status != messages.STATUS_VALID:
                    self._prove(acme, net, authorization, publisher, published)
            deadline = dt.datetime.now() + dt.timedelta(seconds=ORDER_S)  # noqa: DTZ005 - the library's
            done = acme.poll_and_finalize(order, deadline)
        finally:
            for one in published:
                publisher.remove(*one)
        return done.fullchain_pem.encode(), key

    def _prove(
        self,
        acme: client.ClientV2,
        net: "_Network",
        authorization: messages.AuthorizationResource,
        publisher: Publisher,
        published: list[tuple[str, str, str]],
    ) -> None:
        domain = str(authorization.body.identifier.value)
        for challenge in authorization.body.challenges:
            if isinstance(challenge.chall, challenges.HTTP01):
                response, proof = challenge.response_and_validation(net.key)
                token = challenge.chall.encode("token")
                published.append((domain, token, proof))
                publisher.add(domain, token, proof)
                acme.answer_challenge(challenge, response)
                return
        raise OrderError(f"the authority offers no proof over HTTP for {domain}")

    def _account_key(self) -> josepy.jwk.JWK:
        kept = self._folder.account()
        if kept is not None:
            return cast(josepy.jwk.JWK, josepy.jwk.JWK.from_json(json.loads(kept)))
        key = josepy.jwk.JWKEC(key=josepy.util.ComparableECKey(ec.generate_private_key(ec.SECP256R1())))
        self._folder.keep_account(json.dumps(key.to_json()))
        return key

    def _sign_in(self, acme: client.ClientV2, net: "_Network") -> None:
        """Make the account, or find the one that this key has already."""
        wanted = messages.NewRegistration.from_data(
            email=self._settings.email or None, terms_of_service_agreed=True
        )
        try:
            acme.new_account(wanted)
        except errors.ConflictError as known:
            net.account = messages.RegistrationResource(uri=known.location, body=messages.Registration())


class _Network(client.ClientNetwork):
    """The library's HTTP client, which hands its requests to the egress client on the loop."""

    def __init__(
        self, fetch: Callable[..., Any], loop: asyncio.AbstractEventLoop, *, user_agent: str
    ) -> None:
        super().__init__(None, user_agent=user_agent)
        self._fetch, self._loop = fetch, loop

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a signed request; one whose nonce was not taken is sent again (RFC 8555 section 6.5)."""
        for _ in range(NONCE_TRIES - 1):
            try:
                return super().post(*args, **kwargs)
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
        return super().post(*args, **kwargs)

    def _send_request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:
        headers = {"User-Agent": self.user_agent, **kwargs.get("headers", {})}
        body = kwargs.get("data")
        data = body.encode() if isinstance(body, str) else body
        work = asyncio.run_coroutine_threadsafe(self._fetch(method, url, data, headers), self._loop)
        try:
            fetched = work.result(REQUEST_S + 5.0)
        except (EgressError, TimeoutError) as error:
            raise requests.ConnectionError(f"{url}: {error}") from error
        response = requests.Response()
        response.status_code, response.url = fetched.status, url
        for name in fetched.headers:
            # Several lines of one header are one list (RFC 9110 section 5.3), as Link is.
            response.headers[name] = ", ".join(fetched.headers.getall(name))
        response.encoding = "utf-8"
        response._content = fetched.body  # noqa: SLF001 - how a response is made without a connection
        return response


def _words(error: Exception) -> str:
    """Return the words of an error of the library."""
    if isinstance(error, errors.ValidationError):
        found = [
            f"{failed.body.identifier.value}: {one.error.detail}"
            for failed in error.failed_authzrs
            for one in failed.body.challenges
            if one.error is not None
        ]
        return "; ".join(found)[:SAID]
    return (str(error) or type(error).__name__)[:SAID]
