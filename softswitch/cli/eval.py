"""Call a bot as a scenario says and measure it: response time, barge-in, words that are missing.

The exit code is 0 if the bot keeps the limits, 1 if not, 2 if it could not be tried. Without --url a switch
is started for the scenario, on loopback and without SIP; --config gives it settings ([[agent]], [[stream]]).
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from softswitch.settings import Settings, load


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the evaluation."""
    parser.add_argument("scenario", type=Path, help="the scenario (TOML), see docs/guides/testing-bots.md")
    parser.add_argument("--url", help="/call of a running switch: ws://127.0.0.1:8080/call")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings of the switch that is started")
    parser.add_argument("--token", help="API key or JSON web token; also SOFTSWITCH_KEY")
    parser.add_argument("--report", type=Path, metavar="JSON", help="write the report there as well")


def run(arguments: argparse.Namespace) -> int:
    """Evaluate; print the report as JSON and return the exit code."""
    from softswitch.client import ClientError  # noqa: PLC0415  (slow to import)
    from softswitch.evals import Report, load_scenario  # noqa: PLC0415  (as above)

    scenario = load_scenario(arguments.scenario)
    settings = load(arguments.config) if arguments.config else Settings()
    token = arguments.token or os.environ.get("SOFTSWITCH_KEY") or None

    async def work() -> Report:
        from softswitch.evals.caller import evaluate  # noqa: PLC0415  (as above)

        if arguments.url:
            return await evaluate(scenario, arguments.url, token)
        async with switch(settings) as url:
            return await evaluate(scenario, url, token)

    try:
        report = asyncio.run(work())
    except (ClientError, TimeoutError, ValueError) as error:
        print(f"softswitch: {error or 'the switch did not answer in time'}", file=sys.stderr)
        return 2
    text = msgspec.json.format(msgspec.json.encode(report)).decode()
    print(text)
    if arguments.report:
        arguments.report.write_text(f"{text}\n", encoding="utf-8")
    return 0 if report.passed else 1


@asynccontextmanager
async def switch(settings: Settings) -> AsyncIterator[str]:
    """Run a switch for a scenario and yield the URL of its ``/call``."""
    from aiohttp import web  # noqa: PLC0415  (slow to import)

    from softswitch.app import build  # noqa: PLC0415  (as above)

    replace = msgspec.structs.replace
    with tempfile.TemporaryDirectory() as folder:
        settings = replace(
            settings,
            http=replace(settings.http, host="127.0.0.1", port=0, tls_cert="", tls_key=""),
            sip=replace(settings.sip, enabled=False),
            paths=replace(settings.paths, data=folder),
            egress=replace(settings.egress, allow=(*settings.egress.allow, "127.0.0.0/8", "::1")),
        )
        runner = web.AppRunner(build(settings), access_log=None, shutdown_timeout=2.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"ws://127.0.0.1:{runner.addresses[0][1]}/call"
        finally:
            await runner.cleanup()
