"""Where a provider is and what it is told: the settings, or what a client sent of its own."""

from collections.abc import Mapping
from urllib.parse import quote, urlencode

import msgspec

from softswitch.settings.speech_provider import SpeechProvider, secret
from softswitch.speech.interface import SpeechUnavailableError

MASK = "***"
MOST_ERROR = 200
"""Characters of a vendor's own error text that are told."""

_KEYS = ("apiKey", "secretKey", "api_key", "secret_key", "key")
_SECRET_IDS = ("secretId", "secret_id")
_APP_IDS = ("appId", "app_id", "appid")
_URLS = ("baseUrl", "base_url", "endpoint")
_REGIONS = ("region",)


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Address, key and parameters of one provider."""

    name: str
    """Name on the wire."""
    base_url: str
    """Without a slash at its end."""
    trusted: bool = True
    """Whether the operator wrote `base_url`."""
    own_url: bool = False
    """Whether `base_url` is not the vendor's."""
    key: str = ""
    secret_id: str = ""
    app_id: str = ""
    region: str = ""
    mode: str = ""
    model: str = ""
    tts_model: str = ""
    voice: str = ""
    language: str = ""
    options: dict[str, str | int | float | bool] = {}
    """Further parameters of the vendor's request."""

    def __repr__(self) -> str:
        """Show which provider it is, and nothing secret."""
        return f"Access({self.name!r})"

    def url(self, path: str, query: Mapping[str, object] | None = None) -> str:
        """Return an http(s) address below `base_url`; parameters without a value are left out."""
        return f"{_scheme(self.base_url, 'http')}{path}{_query(query)}"

    def socket_url(self, path: str, query: Mapping[str, object] | None = None) -> str:
        """Return a ws(s) address below `base_url`; parameters without a value are left out."""
        return f"{_scheme(self.base_url, 'ws')}{path}{_query(query)}"

    def bearer(self) -> dict[str, str]:
        """Return the header that shows the key; none where there is no key."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    def clean(self, text: str) -> str:
        """Return a vendor's text of an error, short and without the secrets that it may repeat."""
        for hidden in (self.key, self.secret_id):
            if hidden:
                text = text.replace(hidden, MASK)
        return "".join(sign if sign.isprintable() else " " for sign in text[:MOST_ERROR])


def access(
    row: SpeechProvider, extra: Mapping[str, object], *, base_url: str, needs: tuple[str, ...]
) -> Access:
    """Return the access to a provider.

    A client that sends a key of its own gets nothing of the operator's: its key, ids and address come from
    `extra` alone, and its address is held to be untrusted. Without a key of its own it cannot change the
    address, nor the vendor's parameters.

    Args:
        row: the settings.
        extra: what the client sent for the provider.
        base_url: the vendor's own address; empty: the vendor has no server of its own.
        needs: attributes that must not be empty, of key, secret_id, app_id, region.

    Raises:
        SpeechUnavailableError: something of `needs` or the address is missing.
    """
    key = _text(extra, _KEYS)
    wanted = _text(extra, _URLS) if key else ""
    if key:
        known = (*_KEYS, *_SECRET_IDS, *_APP_IDS, *_URLS, *_REGIONS)
        made = Access(
            name=row.name,
            base_url=(wanted or row.base_url or base_url).rstrip("/"),
            trusted=not wanted,
            own_url=bool(wanted or row.base_url),
            key=key,
            secret_id=_text(extra, _SECRET_IDS),
            app_id=_text(extra, _APP_IDS),
            region=_text(extra, _REGIONS) or row.region,
            mode=row.mode,
            model=row.model,
            tts_model=row.tts_model,
            voice=row.voice,
            language=row.language,
            options={
                name: value
                for name, value in extra.items()
                if name not in known and isinstance(value, str | int | float | bool)
            },
        )
    else:
        made = Access(
            name=row.name,
            base_url=(row.base_url or base_url).rstrip("/"),
            own_url=bool(row.base_url),
            key=secret(row.key),
            secret_id=secret(row.secret_id),
            app_id=secret(row.app_id),
            region=row.region,
            mode=row.mode,
            model=row.model,
            tts_model=row.tts_model,
            voice=row.voice,
            language=row.language,
            options=row.options,
        )
    if not made.base_url:
        raise SpeechUnavailableError(
            f"provider {row.name!r} has no address: set base_url in its [[speech.provider]]"
        )
    # A server of the operator's own may well need no key.
    for need in needs if not (made.own_url and made.trusted) else ():
        if not getattr(made, need):
            raise SpeechUnavailableError(
                f"provider {row.name!r} has no {need}: set it in its [[speech.provider]], "
                "or send a key of your own in the option (apiKey, secretKey, secretId, appId, region)"
            )
    return made


def has_own_key(extra: Mapping[str, object]) -> bool:
    """Tell whether a client sent a key of its own."""
    return bool(_text(extra, _KEYS))


def _text(extra: Mapping[str, object], names: tuple[str, ...]) -> str:
    for name in names:
        value = extra.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value):
            return str(value)
    return ""


def _scheme(url: str, scheme: str) -> str:
    """Return a URL with http or ws as its scheme, with TLS where it had TLS."""
    old, mark, rest = url.partition("://")
    return f"{scheme}{'s' if old in ('https', 'wss') else ''}{mark}{rest}"


def _query(query: Mapping[str, object] | None) -> str:
    pairs: list[tuple[str, str]] = []
    for name, value in (query or {}).items():
        for one in value if isinstance(value, tuple | list) else (value,):
            if one is None or one == "":
                continue
            pairs.append((name, str(one).lower() if isinstance(one, bool) else str(one)))
    return f"?{urlencode(pairs, quote_via=quote)}" if pairs else ""
