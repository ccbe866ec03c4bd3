"""The switch for a soak: it asks a name server of the test, and tells how many tasks it has.

`python -m tests.support.soaked PORT FILE [arguments of softswitch]` asks the server on UDP port `PORT`. Each
SIGUSR1 writes the number of tasks of the loop into `FILE`, and what they run beside it (`.names`).
"""

import asyncio
import signal
import sys
from functools import partialmethod
from pathlib import Path

import dns.asyncresolver

from softswitch.cli import main
from softswitch.egress.lookup import DnsLookup


def _serve(port: int, file: Path, arguments: list[str]) -> int:
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], port
    DnsLookup.__init__ = partialmethod(DnsLookup.__init__, resolver=resolver)  # type: ignore[assignment]

    def count(*_: object) -> None:
        written = file.with_suffix(".new")
        tasks = asyncio.all_tasks()
        file.with_suffix(".names").write_text("\n".join(sorted(str(task.get_coro()) for task in tasks)))
        written.write_text(str(len(tasks)))
        written.rename(file)

    signal.signal(signal.SIGUSR1, count)
    return main(arguments)


if __name__ == "__main__":
    sys.exit(_serve(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
