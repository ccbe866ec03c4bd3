"""Measure what a two-way stream adds to a SIP call, in two trees at the same time.

Telephones in G.711 talk to both switches at once, at first without streams, then each streamed both ways to
one bot. The calls are those of wavix_streams.py; call_pair.py says why both trees are loaded together.

    python bench/stream_pair.py BEFORE [calls [rounds]]
"""

import asyncio
import contextlib
import sys
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE))

from bench._server import Server  # noqa: E402  (found by the line above)
from bench.call_pair import WARM_UP_S, measured, switch_of  # noqa: E402
from bench.wavix_streams import Bot, ask, calling  # noqa: E402


async def load(
    switches: list[Server], calls: int, rounds: int
) -> tuple[list[list[float]], list[list[float]]]:
    """Return the microseconds per call and 20 ms of each switch and round, without and with streams."""
    loop = asyncio.get_running_loop()
    bots = await loop.create_server(Bot, "127.0.0.1", 0, backlog=1000)
    url = f"ws://127.0.0.1:{bots.sockets[0].getsockname()[1]}/answers"
    wish = {"stream_url": url, "stream_type": "twoway", "stream_channel": "inbound"}
    async with contextlib.AsyncExitStack() as stack:
        groups = [(switch, await stack.enter_async_context(calling(switch, calls))) for switch in switches]
        await asyncio.sleep(WARM_UP_S)
        plain = [await measured(switches, calls, asyncio.sleep) for _ in range(rounds)]
        for switch, (ids, _) in groups:
            for one in ids:
                await asyncio.to_thread(ask, switch, "POST", f"/{one}/streams", wish)
        await asyncio.sleep(WARM_UP_S)
        frames = sum(bot.frames for bot in Bot.made)
        streamed = [await measured(switches, calls, asyncio.sleep) for _ in range(rounds)]
        assert len(Bot.made) == calls * len(switches), len(Bot.made)
        print(f"{sum(bot.frames for bot in Bot.made) - frames} messages came to the bot")
    bots.close()
    return plain, streamed


def main() -> None:
    """Print a line for each round (in brackets the two busiest threads), and what a stream adds."""
    calls, rounds = (int(word) for word in (*sys.argv[2:4], *("50", "5")[len(sys.argv[2:4]) :]))
    print("us per call and 20 ms: before, this tree; without streams, then with them")
    settings = {"EGRESS_ALLOW": "127.0.0.0/8"}
    with switch_of(Path(sys.argv[1]).resolve(), **settings) as earlier, switch_of(HERE, **settings) as later:
        plain, streamed = asyncio.run(load([earlier, later], calls, rounds))
    without = [median(column) for column in zip(*plain, strict=True)]
    ratio = median((now - without[1]) / (then - without[0]) for then, now in streamed)
    added = [
        median(column) - least for column, least in zip(zip(*streamed, strict=True), without, strict=True)
    ]
    whole = median(now / then for then, now in streamed)
    print(
        f"{calls} calls: a stream adds {added[0]:.1f} and {added[1]:.1f}, ratio {ratio:.2f};"
        f" call and stream {whole:.2f}"
    )


if __name__ == "__main__":
    main()
