"""The program `softswitch` while the test goes on: as a process, or in a thread."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from softswitch.cli import main

PATIENCE_S = 120.0


async def start(*words: str | Path, key: str = "") -> asyncio.subprocess.Process:
    """Start a command with pipes; the key of the switch is in its environment."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "softswitch",
        *map(str, words),
        env={**os.environ, "SOFTSWITCH_KEY": key, "PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


Run = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return what runs a command in a thread of this process; its result is code, output and errors.

    To start Python costs seconds on a loaded machine.
    """

    async def work(*words: str | Path, key: str = "") -> tuple[int, str, str]:
        monkeypatch.setenv("SOFTSWITCH_KEY", key)
        capsys.readouterr()
        code = await asyncio.to_thread(main, [str(word) for word in words])
        told = capsys.readouterr()
        return code, told.out, told.err

    return work
