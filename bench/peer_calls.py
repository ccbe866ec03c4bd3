"""Measure legs of `/call` and `/call/webrtc` beside active-call, which has the same commands.

active-call is built from its public source: `cargo build --release --no-default-features --features opus`.
Both programs are loaded at the same time, get the same sound and play the same file to each caller, as in
`call_pair.py` and `webrtc_pair.py`. With `energy` active-call detects no speech at all, which is its cheapest
way; with `silero` both run the same network.

    python bench/peer_calls.py PROGRAM call|webrtc [calls [rounds [vad [BEFORE]]]]

BEFORE is a work tree of another commit, which is loaded at the same time. For `webrtc`: active-call
names no candidate on the loopback; give that of a network namespace another address
(`ip addr add 10.77.0.1/32 dev lo`).
"""

import asyncio
import contextlib
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE))

from bench import call_pair, webrtc_pair  # noqa: E402  (found by the line above)
from bench._server import Server, wait_for  # noqa: E402
from bench.call_legs import RATE, speech_like  # noqa: E402
from bench.webrtc_legs import calm_client  # noqa: E402
from softswitch.audio.wav import header  # noqa: E402

CONFIG = """
addr = "127.0.0.1"
http_addr = "127.0.0.1:{port}"
udp_port = {sip}
log_level = "warn"
external_ip = "127.0.0.1"
media_cache_path = "{folder}/cache"
codecs = ["opus", "telephone_event"]
[recording]
enabled = false
auto_start = false
"""


@contextlib.contextmanager
def active_call(program: Path) -> Iterator[Server]:
    """Run it with the bed of sound that each call plays."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            other.bind(("127.0.0.1", 0))
            port, sip = one.getsockname()[1], other.getsockname()[1]
        (folder / "peer.toml").write_text(CONFIG.format(port=port, sip=sip, folder=folder))
        bed = speech_like(5, 99).tobytes()
        (folder / "bed.wav").write_bytes(header(RATE, 1, len(bed)) + bed)
        with subprocess.Popen(
            [program, "--conf", "peer.toml"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                wait_for(port)
                yield Server(port, process.pid, folder)
            finally:
                process.kill()


def main() -> None:
    """Print a line for each round, and the ratio of this tree to the others."""
    program, kind = Path(sys.argv[1]).resolve(), sys.argv[2]
    calls, rounds = (int(word) for word in (sys.argv[3:5] + ["20", "6"][len(sys.argv[3:5]) :]))
    vad = sys.argv[5] if len(sys.argv) > 5 else "energy"
    trees = [Path(sys.argv[6]).resolve()] if len(sys.argv) > 6 else []
    load = webrtc_pair.load if kind == "webrtc" else call_pair.load
    calm_client()
    with contextlib.ExitStack() as stack:
        peer = stack.enter_context(active_call(program))
        switches = [stack.enter_context(call_pair.switch_of(tree)) for tree in [*trees, HERE]]
        names = ["active-call", *(["before"] if trees else []), "this tree"]
        print(f"us per leg and 20 ms: {', '.join(names)}")
        vads = ["nop" if vad == "energy" else vad, *[vad] * len(switches)]
        found = asyncio.run(load([peer, *switches], calls, rounds, vads))
    for index, name in enumerate(names[:-1]):
        print(f"{kind}, {calls} calls, {vad}: {median(row[-1] / row[index] for row in found):.2f} of {name}")


if __name__ == "__main__":
    main()
