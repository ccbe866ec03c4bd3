"""An ACME authority of a test's own: Let's Encrypt's pebble, and the name server that it asks."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.certificates import make_certificate
from tests.conftest import require_tool
from tests.support.ports import free_port


class Pebble:
    """A running authority."""

    def __init__(self, port: int, ca: Path, proof_port: int) -> None:
        self.directory = f"https://127.0.0.1:{port}/dir"
        self.ca = ca
        """Certificate that its own server is trusted by."""
        self.proof_port = proof_port
        """Port at which it asks for proofs, in place of 80."""


@asynccontextmanager
async def pebble(folder: Path) -> AsyncIterator[Pebble]:
    """Run an authority for which all names are 127.0.0.1; skips where pebble is not installed."""
    program, names = require_tool("pebble"), require_tool("pebble-challtestsrv")
    folder.mkdir(parents=True, exist_ok=True)
    certificate, key = make_certificate(folder)
    port, management, proof, dns, control = (free_port() for _ in range(5))
    config = folder / "pebble.json"
    server = {
        "listenAddress": f"127.0.0.1:{port}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": str(certificate),
        "privateKey": str(key),
        "httpPort": proof,
        "tlsPort": free_port(),
    }
    config.write_text(json.dumps({"pebble": server}))
    more = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "10", "PEBBLE_AUTHZREUSE": "0"}
    with (folder / "log").open("wb") as log:
        dns_server = await asyncio.create_subprocess_exec(
            names, "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dns01", f"127.0.0.1:{dns}",
            "-http01", "", "-https01", "", "-tlsalpn01", "",
            "-management", f"127.0.0.1:{control}", stdout=log, stderr=log,
        )  # fmt: skip
        authority = await asyncio.create_subprocess_exec(
            program, "-config", str(config), "-dnsserver", f"127.0.0.1:{dns}",
            stdout=log, stderr=log, env=os.environ | more,
        )  # fmt: skip
        try:
            await _until_open(port, folder / "log")
            yield Pebble(port, certificate, proof)
        finally:
            for process in (authority, dns_server):
                if process.returncode is None:
                    process.terminate()
                await process.wait()


async def _until_open(port: int, log: Path) -> None:
    async with asyncio.timeout(60):
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            await asyncio.sleep(0.05)
