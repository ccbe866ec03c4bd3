"""WebRTC peers from npm: @roamhq/wrtc (libwebrtc without a browser), node-datachannel (libdatachannel)."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.clients.telephony import Telephony
from tests.conftest import ROOT, missing, require_tool

pytestmark = pytest.mark.client

SCRIPT = Path(__file__).parent / "webrtc_peers.cjs"
MODULES = ROOT / ".venv" / "js" / "node_modules"
PEERS = {"wrtc": "@roamhq/wrtc", "datachannel": "node-datachannel"}
CALL_S = 60.0


async def call(kind: str, url: str) -> dict[str, Any]:
    """Let a peer call the echo; return what it says about the call."""
    process = await asyncio.create_subprocess_exec(
        require_tool("node"), str(SCRIPT), kind, url,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={"NODE_PATH": str(MODULES), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    try:
        async with asyncio.timeout(CALL_S):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        out, err = await process.communicate()
        raise AssertionError(f"{kind} did not end: {out.decode()} {err.decode()}") from None
    assert process.returncode == 0, err.decode()
    found: dict[str, Any] = json.loads(out.decode().strip().splitlines()[-1])
    return found


@pytest.mark.parametrize(
    ("kind", "heard"),
    [("wrtc", {"tone": 1000, "errors": []}), ("datachannel", {"packets": 50, "errors": []})],
)
async def test_a_peer_from_npm_hears_itself_at_the_echo(
    tmp_path: Path, kind: str, heard: dict[str, Any]
) -> None:
    if not (MODULES / PEERS[kind]).is_dir():
        require_tool("npm")
        missing(f"{PEERS[kind]} is not installed (scripts/setup.sh test)")
    with Telephony(tmp_path / "data", "") as switch:
        assert await call(kind, switch.url("/")) == heard
        await switch.no_calls()
        assert switch.tracebacks() == []
