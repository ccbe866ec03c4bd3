"""Store of several hosts: records in PostgreSQL, recordings and dumps in a folder of this host."""

import asyncio
import re
from collections.abc import Coroutine, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from softswitch.errors import UnavailableError
from softswitch.store.database import Row
from softswitch.store.database_store import DatabaseStore
from softswitch.store.migrate import WORDS_VERSION, migrations
from softswitch.store.tables import SAVE_WORDS, Record
from softswitch.store.words import indexed

try:
    import asyncpg
except ImportError:  # The extra "postgres" is not installed.
    asyncpg = None

Result = TypeVar("Result")

CONNECT_S = 5.0
COMMAND_S = 10.0
_LOCK = 7_036_875
"""Advisory lock of the migration, since several switches may start at the same time."""
_USER = re.compile(r"\buser\b")


@lru_cache(maxsize=256)
def dialect(statement: str) -> str:
    """Return an SQLite statement of this package in PostgreSQL's dialect.

    Only what these statements contain is translated: value marks, the row id, a reserved word.
    """
    statement = (
        statement.replace("LIMIT -1", "LIMIT ALL").replace("rowid", "ctid").replace("INTEGER", "BIGINT")
    )
    statement = _USER.sub('"user"', statement)
    pieces = statement.split("?")
    marked = "".join(f"{piece}${number}" for number, piece in enumerate(pieces[:-1], 1))
    return marked + pieces[-1]


class _Connection:
    """Connection with an event loop of its own, for the synchronous threads of the store."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._loop: asyncio.AbstractEventLoop | None = None
        self._link: Any = None

    @property
    def is_open(self) -> bool:
        return self._link is not None and not self._link.is_closed()

    def open(self) -> None:
        """Connect; raises `UnavailableError`."""
        if asyncpg is None:
            raise UnavailableError("asyncpg is not installed: pip install softswitch[postgres]")
        self.close()
        self._loop = asyncio.new_event_loop()
        try:
            self._link = self.wait(asyncpg.connect(self._url, timeout=CONNECT_S, command_timeout=COMMAND_S))
        except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            self.close()
            raise UnavailableError(f"the database cannot be reached: {type(error).__name__}") from error

    def wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        if self._loop is None:
            work.close()
            raise UnavailableError("the database is closed")
        return self._loop.run_until_complete(work)

    @property
    def link(self) -> Any:
        if not self.is_open:
            self.open()
        return self._link

    def close(self) -> None:
        """Close; closing twice is harmless."""
        link, self._link = self._link, None
        loop, self._loop = self._loop, None
        if loop is None:
            return
        if link is not None and not link.is_closed():
            try:
                loop.run_until_complete(link.close(timeout=CONNECT_S))
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                link.terminate()
        # Run the callbacks of a broken connection, so that none of them outlives the loop.
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


class PostgresDatabase:
    """Writing side, used by one thread at a time."""

    def __init__(self, url: str) -> None:
        self._connection = _Connection(url)

    def open(self) -> None:
        """Connect and apply the migrations; raises `UnavailableError`."""
        self._connection.open()
        try:
            self._connection.wait(_migrate(self._connection.link))
        except (OSError, TimeoutError, asyncpg.PostgresError) as error:
            self.close()
            raise UnavailableError(f"the migration of the database failed: {error}") from error

    def close(self) -> None:
        """Close; closing twice is harmless."""
        self._connection.close()

    def write(self, rows: Sequence[Row]) -> list[bool]:
        """Execute statements in one transaction; see `Writing.write`."""
        try:
            link = self._connection.link
            try:
                self._connection.wait(_transaction(link, rows))
            except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError, ValueError, OverflowError):
                return [self._alone(link, row) for row in rows]
        except UnavailableError:
            self.close()
            raise
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            self.close()
            raise UnavailableError(f"the database cannot be written: {type(error).__name__}") from error
        return [True] * len(rows)

    def _alone(self, link: Any, row: Row) -> bool:
        try:
            self._connection.wait(link.execute(dialect(row.statement), *row.values))
        except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError, ValueError, OverflowError):
            return False
        return True


class PostgresReader:
    """Reading side, used by one thread."""

    def __init__(self, url: str) -> None:
        self._connection = _Connection(url)

    def records(
        self, table: str, kind: type[Record], clause: str, values: tuple[str | int, ...] = ()
    ) -> list[Record]:
        """Return rows as records; raises `UnavailableError`, and the next call connects again."""
        names = kind.__struct_fields__
        rows = self._fetch(f"SELECT {', '.join(names)} FROM {table} {clause}", values)  # noqa: S608 - constant texts
        return [kind(**dict(zip(names, row, strict=True))) for row in rows]

    def count(self, table: str, clause: str, values: tuple[str | int, ...] = ()) -> int:
        """Return the number of rows; raises `UnavailableError`."""
        return int(self._fetch(f"SELECT COUNT(*) FROM {table} {clause}", values)[0][0])  # noqa: S608 - as above

    def matching(self, account_word: str, beginnings: Sequence[str]) -> tuple[str, str]:
        """Return the condition of a tsquery; words hold letters, digits and ``=`` alone."""
        wanted = [f"'{account_word}'"] if account_word else []
        wanted += [f"'{beginning}':*" for beginning in beginnings]
        return "lexemes @@ CAST(CAST(? AS TEXT) AS TSQUERY)", " & ".join(wanted)

    def close(self) -> None:
        """Close; closing twice is harmless."""
        self._connection.close()

    def _fetch(self, statement: str, values: tuple[str | int, ...]) -> list[Any]:
        was_open = self._connection.is_open
        try:
            return self._fetch_once(statement, values)
        except UnavailableError:
            if not was_open:
                raise
        # The connection may have broken long ago, with a server that was restarted.
        return self._fetch_once(statement, values)

    def _fetch_once(self, statement: str, values: tuple[str | int, ...]) -> list[Any]:
        try:
            link = self._connection.link
            found: list[Any] = self._connection.wait(link.fetch(dialect(statement), *values))
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            self.close()
            raise UnavailableError(f"the database cannot be read: {error}") from error
        return found


def postgres_store(root: Path, url: str, **options: Any) -> DatabaseStore:
    """Return a store with its records in PostgreSQL.

    Args:
        root: data folder.
        url: postgresql://user:password@host/name.
        options: further arguments of `DatabaseStore`.
    """
    return DatabaseStore(root, database=PostgresDatabase(url), reader=PostgresReader(url), **options)


async def _transaction(link: Any, rows: Sequence[Row]) -> None:
    async with link.transaction():
        for row in rows:
            await link.execute(dialect(row.statement), *row.values)


async def _migrate(link: Any) -> None:
    """Apply the scripts that a database lacks, in one transaction."""
    known = migrations("postgres")
    async with link.transaction():
        await link.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
        await link.execute("CREATE TABLE IF NOT EXISTS softswitch_version (version BIGINT NOT NULL)")
        version = await link.fetchval("SELECT COALESCE(MAX(version), 0) FROM softswitch_version")
        if version > known[-1][0]:
            newest = known[-1][0]
            raise UnavailableError(
                f"the database has version {version}, this softswitch supports {newest}: install a newer one"
            )
        for number, script in known:
            if number > version:
                await link.execute(dialect(_bare(script)))
                if number == WORDS_VERSION:
                    await _index_transcripts(link)
                await link.execute("INSERT INTO softswitch_version VALUES ($1)", number)


async def _index_transcripts(link: Any) -> None:
    """Index the transcripts that are stored already."""
    stored = link.cursor(
        "SELECT id, created_at, account, transcript_json FROM calls WHERE transcript_json <> ''", prefetch=50
    )
    async for call_id, created_at, account, transcript in stored:
        await link.execute(dialect(SAVE_WORDS), call_id, created_at, indexed(account, transcript))


def _bare(script: str) -> str:
    """Return a script without its comments, which could contain value marks and reserved words."""
    return "\n".join(line.partition("--")[0] for line in script.splitlines())
