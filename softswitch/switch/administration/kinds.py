"""The kinds of entries, and the table of the settings that each stands beside."""

from typing import get_type_hints

import msgspec

from softswitch.settings import AccessKey, Route, SpeechProvider, Trunk, User, WebhookAccount
from softswitch.settings.queue import Queue
from softswitch.settings.section import Section


class Kind(msgspec.Struct, frozen=True):
    """A kind of entry."""

    name: str
    """As in the database and in commands."""
    plural: str
    """As in paths."""
    table: str
    """Table of the settings file; empty: it has none."""
    struct: type[Section]
    """Checks the fields, in the file and here."""
    secrets: tuple[str, ...] = ()
    """Fields that are never returned."""

    def fields(self) -> tuple[str, ...]:
        """Return the names of the fields of a body."""
        return tuple(get_type_hints(self.struct))


_ALL = (
    Kind("user", "users", "user", User, ("password", "ha1")),
    Kind("trunk", "trunks", "trunk", Trunk, ("password",)),
    Kind("queue", "queues", "queue", Queue),
    Kind("route", "routes", "route", Route),
    Kind("provider", "providers", "speech.provider", SpeechProvider, ("key", "secret_id", "app_id")),
    Kind("webhook", "webhooks", "webhook.account", WebhookAccount, ("secret",)),
    Kind("key", "keys", "", AccessKey),
)
KINDS = {kind.name: kind for kind in _ALL}
"""All kinds, by name; those that others refer to come first."""
BY_PLURAL = {kind.plural: kind for kind in _ALL}
