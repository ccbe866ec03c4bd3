"""baresip, a real telephone: one process with one account, driven over its control socket."""

import asyncio
import json
import subprocess
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np

from tests.conftest import require_tool
from tests.support.ports import free_port
from tests.support.sound import Pcm

MODULES = Path("/usr/lib/baresip/modules")
START_S = 60.0

CONFIG = """\
poll_method epoll
sip_listen {host}:{port}
call_local_timeout 60
call_max_calls 4
audio_player aubridge,sink
audio_source aufile,{voice}
audio_alert aubridge,alert
ausrc_srate {rate}
auplay_srate {rate}
ausrc_channels 1
auplay_channels 1
ausrc_format s16
auplay_format s16
audio_level no
rtp_ports {first}-{last}
rtp_stats yes
jitter_buffer_delay 2-10
net_interface {host}
module_path {modules}
{codecs}
module aubridge.so
module aufile.so
module sndfile.so
module srtp.so
module dtls_srtp.so
module_tmp uuid.so
module_tmp account.so
module_app menu.so
{applications}
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{control}
snd_path {sounds}
"""

RATES = {"g711": 8000, "g722": 16000, "opus": 48000}
"""Sample rate of each codec module, in Hz."""


class Baresip:
    """A telephone.

    It answers by itself unless told otherwise, says `voice` over and over from the moment a call is up, and
    keeps what it hears.
    """

    def __init__(
        self,
        folder: Path,
        account: str,
        voice: Pcm,
        *,
        codec: str = "g711",
        host: str = "127.0.0.1",
        answers: bool = True,
        applications: Sequence[str] = (),
    ) -> None:
        """Prepare one.

        Args:
            folder: Of its own, need not exist.
            account: As in its `accounts` file: `<sip:alice@127.0.0.1:5060>;auth_pass=secret;regint=60`.
            voice: What it says, at the rate of its codec (`RATES`); it must outlast the call.
            codec: Its codec module: g711, g722 or opus.
            host: Loopback address it binds.
            answers: Whether it takes calls by itself.
            applications: Further application modules, such as mwi.
        """
        self.host, self.rate = host, RATES[codec]
        self.port, self.control, first = free_port(host, 1), free_port(), free_port(host, 9)
        self._folder = folder
        self._sounds = folder / "sounds"
        self._sounds.mkdir(parents=True)
        _write(folder / "voice.wav", voice, self.rate)
        mode = "auto" if answers else "manual"
        (folder / "accounts").write_text(f"{account};answermode={mode}\n")
        (folder / "contacts").write_text("")
        (folder / "config").write_text(
            CONFIG.format(
                host=host,
                port=self.port,
                voice=folder / "voice.wav",
                rate=self.rate,
                first=first,
                last=first + 9,
                modules=MODULES,
                codecs="\n".join(f"module {name}.so" for name in ([codec] if codec != "g711" else ["g711"])),
                applications="\n".join(f"module_app {name}.so" for name in applications),
                control=self.control,
                sounds=self._sounds.name,  # it cuts long paths
            )
        )
        self.events: list[dict[str, object]] = []
        self._grown = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start it and connect to its control socket."""
        program = require_tool("baresip")
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [program, "-4", "-s", "-v", "-f", str(self._folder)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self._folder,
            )
        async with asyncio.timeout(START_S):
            while self._writer is None:
                assert self._process.poll() is None, self.log()
                try:
                    reader, self._writer = await asyncio.open_connection("127.0.0.1", self.control)
                except ConnectionError:
                    await asyncio.sleep(0.05)
        self._reading = asyncio.get_running_loop().create_task(self._read(reader))
        return self

    async def __aexit__(self, *_: object) -> None:
        """End it; what it heard is complete afterwards."""
        if self._writer is not None:
            self.command("quit")
            self._writer.close()
        if self._reading is not None:
            self._reading.cancel()
        if self._process is not None:
            try:
                await asyncio.to_thread(self._process.wait, 5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def command(self, name: str, params: str = "") -> None:
        """Give a command: dial, accept, hangup, hold, resume, sndcode, transfer, mute ..."""
        assert self._writer is not None
        text = json.dumps({"command": name, "params": params, "token": name}).encode()
        self._writer.write(b"%d:%s," % (len(text), text))

    def press(self, digits: str) -> None:
        """Press keys, one after the other."""
        for digit in digits:
            self.command("sndcode", digit)

    async def until(self, *kinds: str, after: int = 0, seconds: float = 60.0) -> dict[str, object]:
        """Return the first event of one of these types (`CALL_ESTABLISHED`, `REGISTER_OK` ...).

        Args:
            kinds: What to wait for.
            after: How many events to pass over.
            seconds: How long to wait.
        """
        try:
            async with asyncio.timeout(seconds):
                while True:
                    for event in self.events[after:]:
                        if event.get("type") in kinds:
                            return event
                    self._grown.clear()
                    await self._grown.wait()
        except TimeoutError:
            seen = [event.get("type") for event in self.events]
            raise AssertionError(f"baresip told {seen}, not {kinds}:\n{self.log()[-4000:]}") from None

    async def registered(self, seconds: float = 60.0) -> None:
        """Return when its account is registered; its log says so, an event may have come too early."""
        try:
            async with asyncio.timeout(seconds):
                while "[1 binding]" not in self.log():
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"baresip did not register:\n{self.log()[-4000:]}") from None

    def heard(self) -> Pcm:
        """Return what it heard in its (last) call."""
        files = sorted(self._sounds.glob("*-dec.wav"), key=lambda path: path.stat().st_mtime)
        assert files, f"baresip heard nothing:\n{self.log()[-4000:]}"
        # The length in the header is completed only at the end of the program.
        data = files[-1].read_bytes()
        channels = int.from_bytes(data[22:24], "little")
        return np.frombuffer(data[44 : len(data) // 4 * 4], "<i2")[::channels]

    def log(self) -> str:
        """Return what it wrote."""
        return (self._folder / "log").read_text(errors="replace")

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                length = int((await reader.readuntil(b":"))[:-1])
                text = await reader.readexactly(length + 1)
                message = json.loads(text[:-1])
                if message.get("event"):
                    self.events.append(message)
                    self._grown.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            return


def _write(path: Path, sound: Pcm, rate: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(sound.astype("<i2").tobytes())
