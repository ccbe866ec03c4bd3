"""A headless Firefox that is driven by WebDriver BiDi, with a microphone that hums."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

START_S = 60.0
PREFERENCES = {
    "media.navigator.permission.disabled": True,
    "media.navigator.streams.fake": True,
    "media.autoplay.default": 0,
    # A host with nothing but `lo` would find no candidate at all.
    "media.peerconnection.ice.loopback": True,
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "",
    "toolkit.telemetry.reportingpolicy.firstRun": False,
}


class Firefox:
    """A BiDi session with one tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._commands = 0
        self._tab = ""

    async def command(self, method: str, **params: Any) -> dict[str, Any]:
        """Carry out a BiDi command; raises RuntimeError with the browser's message where it is refused."""
        self._commands += 1
        await self._socket.send_json({"id": self._commands, "method": method, "params": params})
        while True:
            answer = await self._socket.receive_json()
            if answer.get("id") == self._commands:
                if answer["type"] == "error":
                    raise RuntimeError(answer["message"])
                result: dict[str, Any] = answer["result"]
                return result

    async def open(self, url: str) -> None:
        """Open an address in the tab."""
        await self.command("session.new", capabilities={})
        self._tab = (await self.command("browsingContext.getTree"))["contexts"][0]["context"]
        await self.command("browsingContext.navigate", context=self._tab, url=url, wait="complete")

    async def evaluate(self, script: str) -> Any:
        """Return the primitive value of an expression or its promise; it counts as a press of a button."""
        answer = await self.command(
            "script.evaluate", expression=script, target={"context": self._tab}, awaitPromise=True,
            userActivation=True,
        )  # fmt: skip
        if answer["type"] == "exception":
            raise RuntimeError(answer["exceptionDetails"]["text"])
        return answer["result"].get("value")

    async def until(self, script: str, seconds: float = 60.0) -> None:
        """Wait until an expression is true."""
        async with asyncio.timeout(seconds):
            while not await self.evaluate(script):
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def firefox(program: str, profile: Path) -> AsyncIterator[Firefox]:
    """Start Firefox with a fresh profile; it is ended with the context."""
    profile.mkdir()
    lines = (f'user_pref("{name}", {_literal(value)});' for name, value in PREFERENCES.items())
    (profile / "user.js").write_text("\n".join(lines), "utf-8")
    process = await asyncio.create_subprocess_exec(
        program, "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        env={"HOME": str(profile), "PATH": "/usr/bin:/bin", "MOZ_CRASHREPORTER_DISABLE": "1"},
    )  # fmt: skip
    assert process.stderr is not None
    try:
        async with asyncio.timeout(START_S):
            address = ""
            while not address:
                line = (await process.stderr.readline()).decode(errors="replace")
                assert line, "Firefox ended before it listened"
                if found := re.search(r"BiDi listening on (ws://\S+)", line):
                    address = found[1]
        drain = asyncio.create_task(process.stderr.read())
        async with aiohttp.ClientSession() as client, client.ws_connect(f"{address}/session") as socket:
            yield Firefox(socket)
        drain.cancel()
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _literal(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')
