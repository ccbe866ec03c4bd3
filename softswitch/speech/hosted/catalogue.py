"""The hosted providers of the settings: which one an account means by a name."""

from collections.abc import Mapping

from softswitch import settings
from softswitch.egress import EgressClient, EgressPool
from softswitch.settings.speech_provider import SpeechProvider
from softswitch.speech.hosted import kinds
from softswitch.speech.hosted.access import has_own_key
from softswitch.speech.hosted.accounts import Concurrency, ProviderCounters
from softswitch.speech.hosted.provider import HostedProvider
from softswitch.speech.hosted.warm import WarmLines
from softswitch.speech.phrases import PhraseCache

MAX_ACCOUNTS = 1000
"""Accounts whose use of vendors with keys of their own is counted apart; the rest share one count."""
OWN_CONCURRENCY = 50
"""Recognitions and syntheses at once of an account with keys of its own, for each vendor."""


class HostedProviders:
    """All hosted providers, by name and account.

    A kind is also a provider of its own name for a client that sends its own key.
    """

    def __init__(self, speech: settings.Speech, client: EgressClient, phrases: PhraseCache) -> None:
        """Prepare; nothing is opened and no kind is imported yet.

        Args:
            speech: the operator's section.
            client: the way out.
            phrases: keeps sentences already spoken.
        """
        self._client = client
        self._phrases = phrases
        self._pool = EgressPool(client)
        self._lines = WarmLines()
        self._rows = _rows(speech)
        self._made: dict[tuple[str, str], HostedProvider] = {}
        self._counters: dict[tuple[str, str], ProviderCounters] = {}

    def use(self, speech: settings.Speech) -> None:
        """Take other providers; streams that are open go on with those they were opened with."""
        rows = _rows(speech)
        for key, row in self._rows.items():
            if rows.get(key) != row:
                self._made.pop(key, None)
        self._rows = rows

    def names(self, account: str) -> list[str]:
        """Return the names that an account may use."""
        return sorted({name for name, whose in self._rows if whose in ("", account)})

    def find(self, name: str, account: str, extra: Mapping[str, object]) -> HostedProvider | None:
        """Return the provider that an account means by a name; None where the name is unknown.

        Args:
            name: as on the wire.
            account: of the call; empty: the administrator's.
            extra: what the client sent for the provider.
        """
        for whose in (account, "") if account else ("",):
            row = self._rows.get((name, whose))
            if row is not None:
                return self._provider((name, whose), row)
        if name in kinds.MODULES and has_own_key(extra):
            key = (name, f"own:{account}")
            if key not in self._made and len(self._made) >= MAX_ACCOUNTS:
                key = (name, "own")
            row = SpeechProvider(name=name, kind=name, concurrency=OWN_CONCURRENCY)  # type: ignore[arg-type]
            return self._provider(key, row)
        return None

    def counters(self) -> Mapping[tuple[str, str], ProviderCounters]:
        """Return the numbers of all providers by name and account; ``own:`` marks a client's own key."""
        return self._counters

    def connections(self) -> dict[str, float]:
        """Return the numbers of the connections for synthesis."""
        return {"connections_opened": self._lines.opened, "connections_reused": self._lines.reused}

    async def close(self) -> None:
        """Close all connections that are kept."""
        await self._lines.close()
        await self._pool.close()

    def _provider(self, key: tuple[str, str], row: SpeechProvider) -> HostedProvider:
        if key not in self._made:
            counters = self._counters.setdefault(key, ProviderCounters())
            self._made[key] = HostedProvider(
                row,
                kinds.load(row.kind),
                self._client,
                Concurrency(row.name, row.concurrency, counters),
                pool=self._pool,
                lines=self._lines,
                phrases=self._phrases,
            )
        return self._made[key]


def _rows(speech: settings.Speech) -> dict[tuple[str, str], SpeechProvider]:
    return {(row.name, row.account): row for row in speech.provider}
