"""Changes of users, trunks and the rest while the switch runs: what makes them, and what takes them."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from softswitch.app.membership import Membership, follow
from softswitch.dialects.streams import stream_dialects
from softswitch.legs.telephones import Telephones
from softswitch.settings import HashedKey, Settings
from softswitch.store.seal import NAME as SEAL_KEY
from softswitch.store.seal import Seal
from softswitch.switch.administration.administration import Administration, access_of
from softswitch.switch.notify.webhook_sender import WebhookSender, WebhookTerms
from softswitch.switch.resources import Resources
from softswitch.web.auth import Authenticator


def administration(
    resources: Resources,
    telephones: Telephones | None,
    authenticator: Authenticator,
    sender: WebhookSender,
    *,
    member: Membership | None,
    load: Callable[[], Settings] | None,
) -> Administration:
    """Return what changes users, trunks and the rest while the switch runs."""
    settings = resources.settings
    file = settings.store.key_file
    made = Administration(
        settings,
        resources.store,
        Seal(Path(file) if file else settings.paths.root() / SEAL_KEY),
        check=stream_dialects,
        load=load,
    )
    made.on_applied(partial(_apply, resources, telephones, authenticator, sender))
    if member is not None:
        made.tell = follow(member, "administration", made.told)
    return made


def _apply(
    resources: Resources,
    telephones: Telephones | None,
    authenticator: Authenticator,
    sender: WebhookSender,
    settings: Settings,
    keys: Sequence[HashedKey],
) -> None:
    """Have all parts take other settings and keys; what runs is not touched."""
    resources.settings = settings
    named = [(key.name, key.scopes) for key in settings.auth.keys()]  # noqa: SIM118  (it is no mapping)
    named += [(key.terms.account or key.terms.name, frozenset(key.terms.scopes)) for key in keys]
    resources.administrators = frozenset(account for account, scopes in named if "admin" in scopes)
    resources.calls_per_account = access_of(keys)
    authenticator.use(settings.auth, keys)
    resources.providers.use(settings.speech)
    sender.use(WebhookTerms.of(settings.webhook, resources.administrators))
    if telephones is not None:
        telephones.use(settings)
